//! What is told of a change, bit by bit, and what is not accepted.

use super::standing;
use crate::enforce::{
    apply::{
        Outcome,
        testing::{CHECKSUM, FIXED, GRO, InMemory, ODD, State, TSO, set},
    },
    error::EnforceError,
    journal::{State as Standing, Store},
    kernel::Refusal,
    plan::{Because, Unmet},
};

#[test]
fn what_is_changed_is_told_bit_by_bit() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let before = host.features("tap0");
    let mut change = host.change("tap0", &[(CHECKSUM, false), (GRO, true), (TSO, true)]);
    let unmet = |bit, because| Unmet { bit, because };
    change.unmet = vec![
        unmet(TSO, Because::Needs(CHECKSUM)),
        unmet(FIXED, Because::Fixed),
    ];
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer
        .begin(vec![change.clone()], &[], None)
        .expect("a session");
    assert_eq!(host.sent(), [], "nothing is sent before it is applied");
    assert_eq!(standing(&state), Standing::Applying);
    let outcome = session.apply_all().expect("applied");
    let [verdict] = outcome.verdicts() else {
        panic!("{outcome:?}");
    };
    // What is on already is not sent.
    assert_eq!(verdict.sent.mask, set(&[CHECKSUM]));
    assert_eq!(verdict.met, set(&[CHECKSUM, GRO]));
    assert_eq!(verdict.unmet, change.unmet);
    assert!(verdict.collateral.is_empty() && verdict.unexpected.is_empty());
    assert!(!verdict.is_complete(), "TSO is not as asked for");
    session.confirm().expect("confirmed");
    assert_eq!(standing(&state), Standing::Confirmed);

    let commit = Store::open(&state.path()).get(1).expect("it").commit;
    assert_eq!(commit.entries[0].before, before);
    assert_eq!(commit.entries[0].set.mask, set(&[CHECKSUM]));
}

#[test]
fn predicted_collateral_is_accepted() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let change = host.change("tap0", &[(CHECKSUM, false)]);
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
    let outcome = session.apply_all().expect("applied");
    let verdict = &outcome.verdicts()[0];
    assert_eq!(verdict.collateral, set(&[TSO]));
    assert!(verdict.is_complete());
    session
        .roll_back("a test")
        .expect("taken back")
        .expect("by us");
}

#[test]
fn anything_else_that_changes_takes_all_back_at_once() {
    let (host, state) = (InMemory::with(&["tap0", "tap1"]), State::new());
    host.edit("tap1", |device| device.is_odd = true);
    let before = ["tap0", "tap1"].map(|dev| host.features(dev).wanted);
    let changes = ["tap0", "tap1"].map(|dev| host.change(dev, &[(GRO, false)]));
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer
        .begin(changes.to_vec(), &[], None)
        .expect("a session");
    let Outcome::TakenBack {
        verdicts,
        taken_back,
    } = session.apply_all().expect("done")
    else {
        panic!("it stays");
    };
    assert_eq!(verdicts[1].unexpected, set(&[ODD]));
    assert!(
        taken_back.because.starts_with("rx-odd of tap1"),
        "{}",
        taken_back.because
    );
    // The last one first.
    assert_eq!(taken_back.interfaces[0].id.dev, "tap1");
    let after = ["tap0", "tap1"].map(|dev| host.features(dev).wanted);
    assert_eq!(after, before);
    assert!(matches!(standing(&state), Standing::RolledBack { .. }));
    assert!(matches!(
        session.confirm(),
        Err(EnforceError::NotConfirmable { .. })
    ));
}

#[test]
fn what_may_or_may_not_change_is_no_surprise() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    host.edit("tap0", |device| device.is_odd = true);
    let mut change = host.change("tap0", &[(GRO, false)]);
    change.uncertain = set(&[ODD]);
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
    let outcome = session.apply_all().expect("done");
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    assert_eq!(outcome.verdicts()[0].collateral, set(&[ODD]));
    session.confirm().expect("confirmed");
}

#[test]
fn an_interface_that_refuses_or_is_another_one_leaves_the_others() {
    let (host, state) = (InMemory::with(&["tap0", "tap1", "tap2"]), State::new());
    let names = ["tap0", "tap1", "tap2"];
    let changes = names.map(|dev| host.change(dev, &[(GRO, false)]));
    host.edit("tap0", |device| device.refuses = true);
    host.edit("tap1", |device| device.dev = "other".into());
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer
        .begin(changes.to_vec(), &[], None)
        .expect("a session");
    let outcome = session.apply_all().expect("applied");
    let [refused, gone, changed] = outcome.verdicts() else {
        panic!("{outcome:?}");
    };
    assert!(matches!(refused.refused, Some(Refusal::Other { .. })));
    assert!(matches!(gone.refused, Some(Refusal::Gone(_))));
    assert!(!refused.is_complete() && !gone.is_complete() && changed.is_complete());
    assert!(host.features("other").active.contains(GRO));
    session.confirm().expect("confirmed");
    // What the kernel said is in the audit log.
    assert!(state.read("audit.jsonl").contains("(no)"));
}
