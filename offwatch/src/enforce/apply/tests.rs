//! Against the kernel in memory.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    time::Duration,
};

use super::{
    Outcome,
    take_back::take_back,
    testing::{CHECKSUM, FIXED, GRO, InMemory, ODD, State, TSO, set},
};
use crate::enforce::{
    audit::Action,
    error::EnforceError,
    journal::{State as Standing, Store},
    kernel::Refusal,
    plan::{Because, Unmet},
};

const SOON: Duration = Duration::from_secs(60);

/// How the only commit stands.
fn standing(state: &State) -> Standing {
    Store::open(&state.path()).get(1).expect("a commit").state
}

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

#[test]
fn taking_back_restores_what_was_asked_for_and_no_more() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    // Asked for, and off because of what it needs.
    host.edit("tap0", |device| {
        device.features.wanted = set(&[TSO, GRO, ODD]);
        device.features.active = set(&[GRO, ODD]);
    });
    let before = host.features("tap0");
    let change = host.change("tap0", &[(TSO, false), (GRO, false)]);
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
    session.apply_all().expect("applied");
    // Somebody else's wish, meanwhile.
    host.edit("tap0", |device| {
        device.features.wanted = device.features.wanted - set(&[ODD])
    });
    let taken = session.roll_back("a test").expect("done").expect("by us");
    assert!(taken.is_complete());
    assert_eq!(host.features("tap0").wanted, before.wanted - set(&[ODD]));
    host.sent();
    assert!(session.roll_back("again").expect("done").is_none());
    assert_eq!(host.sent(), []);
}

#[test]
fn what_cannot_be_set_back_is_told() {
    let (host, state) = (InMemory::with(&["tap0", "tap1"]), State::new());
    let changes = ["tap0", "tap1"].map(|dev| host.change(dev, &[(GRO, false)]));
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer
        .begin(changes.to_vec(), &[], None)
        .expect("a session");
    session.apply_all().expect("applied");
    host.edit("tap0", |device| device.refuses = true);
    host.edit("tap1", |device| device.dev = "renamed".into());
    let taken = session.roll_back("a test").expect("done").expect("by us");
    assert!(!taken.is_complete());
    let [renamed, refused] = &taken.interfaces[..] else {
        panic!("{taken:?}");
    };
    assert!(renamed.is_gone() && renamed.failure(&taken.names).is_none());
    assert!(refused.failure(&taken.names).expect("why").contains("(no)"));
    // The interface that has another name now is left alone.
    assert!(!host.features("renamed").wanted.contains(GRO));
    let Standing::RolledBack { failed, .. } = standing(&state) else {
        panic!("{:?}", standing(&state));
    };
    assert_eq!(failed[0].0, "tap0");
}

#[test]
fn the_next_start_takes_back_what_nobody_watches() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let before = host.features("tap0");
    for unconfirmed in [false, true] {
        let change = host.change("tap0", &[(GRO, false)]);
        let mut enforcer = state.enforcer(&host);
        let mut session = enforcer
            .begin(vec![change], &[], Some(SOON))
            .expect("a session");
        session.apply_all().expect("applied");
        if unconfirmed {
            session.wait_for_confirmation(SOON).expect("it waits");
        }
        drop(enforcer);
        assert_ne!(host.features("tap0"), before);
        let (_enforcer, recovered) = state.open(&host).expect("the next one");
        assert_eq!(recovered.taken_back.len(), 1);
        assert_eq!(host.features("tap0"), before);
    }
    host.sent();
    let (_enforcer, recovered) = state.open(&host).expect("one more");
    assert!(recovered.taken_back.is_empty());
    assert_eq!(host.sent(), []);
}

#[test]
fn nothing_is_sent_for_another_boot_or_namespace() {
    for (from, to, ended) in [
        ("\"boot_id\":\"", "\"boot_id\":\"another-", true),
        ("\"netns\":", "\"netns\":9", false),
        ("\"netns_cookie\":", "\"netns_cookie\":9", false),
    ] {
        let (host, state) = (InMemory::with(&["tap0"]), State::new());
        let mut enforcer = state.enforcer(&host);
        let change = host.change("tap0", &[(GRO, false)]);
        let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
        session.apply_all().expect("applied");
        drop(enforcer);
        let path = Store::open(&state.path()).path(1);
        let text = fs::read_to_string(&path).expect("a journal");
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).expect("written");
        host.sent();
        let (_enforcer, recovered) = state.open(&host).expect("the next one");
        assert_eq!(host.sent(), [], "{to}");
        assert_eq!(recovered.ended_by_boot == [1], ended);
        assert_eq!(recovered.elsewhere == [1], !ended);
        let state = standing(&state);
        assert_eq!(state == Standing::EndedByBoot, ended, "{state:?}");
    }
}

#[test]
fn what_a_crash_left_of_a_line_never_happened() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let mut enforcer = state.enforcer(&host);
    let change = host.change("tap0", &[(GRO, false)]);
    let mut session = enforcer
        .begin(vec![change], &[], Some(SOON))
        .expect("a session");
    session.apply_all().expect("applied");
    let path = Store::open(&state.path()).path(1);
    let mut file = OpenOptions::new()
        .append(true)
        .open(&path)
        .expect("a journal");
    file.write_all(b"{\"state\":\"confir").expect("written");
    assert_eq!(standing(&state), Standing::Applying);
    // The next state does not stick to it.
    session.wait_for_confirmation(SOON).expect("it waits");
    assert!(matches!(standing(&state), Standing::Unconfirmed { .. }));
    session.confirm().expect("confirmed");
    assert_eq!(standing(&state), Standing::Confirmed);

    file.write_all(b"{\"state\":\"odd\"}\n").expect("written");
    let error = Store::open(&state.path()).get(1).expect_err("damaged");
    let state = Store::open(&state.path()).state(1).expect_err("damaged");
    assert_eq!(state.to_string(), error.to_string());
    assert!(
        error.to_string().contains("000001.jsonl, line 5: "),
        "{error}"
    );
}

/// What is told of a commit that waits when its journal is no more as it was.
fn told_without(journal: impl Fn(&std::path::Path)) -> EnforceError {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let mut enforcer = state.enforcer(&host);
    let before = host.features("tap0");
    let change = host.change("tap0", &[(GRO, false)]);
    let mut session = enforcer
        .begin(vec![change], &[], Some(SOON))
        .expect("a session");
    session.apply_all().expect("applied");
    session.wait_for_confirmation(SOON).expect("it waits");
    assert_ne!(host.features("tap0"), before);
    journal(&Store::open(&state.path()).path(1));
    let error = session.tend().expect_err("it cannot be read");
    assert_eq!(host.features("tap0"), before);
    error
}

#[test]
fn what_cannot_be_confirmed_any_more_does_not_stay() {
    let damaged = told_without(|journal| fs::write(journal, "odd\n").expect("written"));
    let gone = told_without(|journal| fs::remove_file(journal).expect("removed"));
    for (error, because) in [
        (damaged, "000001.jsonl, line "),
        (gone, "there is no commit 1"),
    ] {
        assert_eq!(error.code(), 4, "{error}");
        let error = error.to_string();
        assert!(error.starts_with("commit 1 was taken back: "), "{error}");
        assert!(error.contains(because), "{error}");
    }
}

#[test]
fn the_confirmation_comes_in_time_or_not_at_all() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let mut enforcer = state.enforcer(&host);
    let change = host.change("tap0", &[(GRO, false)]);
    let mut session = enforcer
        .begin(vec![change], &[], Some(SOON))
        .expect("a session");
    session.apply_all().expect("applied");
    session
        .wait_for_confirmation(Duration::ZERO)
        .expect("it waits");
    let error = session.confirm().expect_err("too late");
    assert!(error.to_string().contains("its time is over"), "{error}");
    session.roll_back("a test").expect("done").expect("by us");
}

#[test]
fn there_is_one_enforcer() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let enforcer = state.enforcer(&host);
    let error = state.open(&host).err().expect("there is one");
    let pid = std::process::id();
    assert_eq!(
        error.to_string(),
        format!("another enforcer runs (pid {pid}); nothing was changed")
    );
    drop(enforcer);
    state.enforcer(&host);
}

#[test]
fn without_a_watchdog_nothing_is_changed() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let mut settings = state.settings();
    settings.watchdog = "/bin/false".into();
    let (mut enforcer, _) =
        super::Enforcer::open(Box::new(host.clone()), settings).expect("an enforcer");
    let change = host.change("tap0", &[(GRO, false)]);
    let error = enforcer
        .begin(vec![change], &[], None)
        .err()
        .expect("no watchdog");
    assert!(matches!(error, EnforceError::NoWatchdog { .. }), "{error}");
    assert_eq!(host.sent(), []);
    assert!(matches!(standing(&state), Standing::RolledBack { .. }));
}

#[test]
fn what_cannot_be_watched_any_more_does_not_stay() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let before = host.features("tap0");
    let mut enforcer = state.enforcer(&host);
    let change = host.change("tap0", &[(GRO, false)]);
    let mut session = enforcer
        .begin(vec![change], &[], Some(SOON))
        .expect("a session");
    session.apply_all().expect("applied");
    session.wait_for_confirmation(SOON).expect("it waits");
    fs::write(state.settings().watchdog, "#!/bin/false\n").expect("written");
    session.kill_watchdog();
    let error = session.tend().expect_err("there is no other");
    assert!(matches!(error, EnforceError::TakenBack { .. }), "{error}");
    assert_eq!(host.features("tap0"), before);
    assert!(matches!(standing(&state), Standing::RolledBack { .. }));
}

#[test]
fn what_is_suspended_is_as_before_and_can_be_made_again() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let before = host.features("tap0");
    let change = host.change("tap0", &[(CHECKSUM, false)]);
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
    for _ in 0..2 {
        session.apply_all().expect("applied");
        assert!(!host.features("tap0").active.contains(TSO));
        let restored = session.suspend().expect("suspended");
        assert_eq!(host.features("tap0"), before);
        assert!(restored.iter().all(|interface| interface.refused.is_none()));
        assert_eq!(standing(&state), Standing::Applying, "it is still open");
    }
    let audit = state.read("audit.jsonl");
    let told = |action: &str| audit.matches(&format!("\"action\":\"{action}\"")).count();
    assert_eq!((told("apply"), told("suspend")), (2, 2), "{audit}");
    session
        .roll_back("a test")
        .expect("taken back")
        .expect("by us");
    host.sent();
    let error = session.suspend().expect_err("it is settled");
    assert!(matches!(error, EnforceError::TakenBack { .. }), "{error}");
    assert_eq!(host.sent(), [], "nothing is sent any more");
}

#[test]
fn kept_changes_have_their_state_before_written_once() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let before = host.features("tap0");
    let mut enforcer = state.enforcer(&host);
    let change = host.change("tap0", &[(GRO, false)]);
    let kept = enforcer.keep(&[change]).expect("kept");
    assert_eq!((kept.commit, kept.verdicts.len()), (Some(1), 1));
    assert_eq!(standing(&state), Standing::Confirmed);
    // A guest negotiates.
    host.edit("tap0", |device| device.features = before);
    let change = host.change("tap0", &[(GRO, false)]);
    let kept = enforcer.keep(&[change]).expect("kept");
    assert_eq!(kept.commit, None);
    assert!(kept.verdicts[0].is_complete());
    let audit = state.read("audit.jsonl");
    assert_eq!(
        audit.matches("\"action\":\"reapply\"").count(),
        1,
        "{audit}"
    );
    // Of another feature it is not written yet; of a new interface neither.
    host.add("tap1");
    let changes = [
        host.change("tap0", &[(GRO, false), (TSO, false)]),
        host.change("tap1", &[(GRO, false)]),
    ];
    let kept = enforcer.keep(&changes).expect("kept");
    assert_eq!(kept.commit, Some(2));
    let entries = enforcer.store().get(2).expect("it").commit.entries;
    let sent = entries.iter().map(|entry| (&*entry.id.dev, entry.set.mask));
    let expected = [("tap0", set(&[TSO])), ("tap1", set(&[GRO]))];
    assert!(sent.eq(expected), "{entries:?}");
    // The next run knows as well.
    drop(enforcer);
    host.edit("tap0", |device| device.features = before);
    let mut enforcer = state.enforcer(&host);
    let change = host.change("tap0", &[(GRO, false), (TSO, false)]);
    assert_eq!(enforcer.keep(&[change]).expect("kept").commit, None);
}

#[test]
fn kept_changes_with_which_something_else_changes_are_taken_back() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    host.edit("tap0", |device| device.is_odd = true);
    let before = host.features("tap0");
    let mut enforcer = state.enforcer(&host);
    let change = host.change("tap0", &[(GRO, false)]);
    let kept = enforcer.keep(&[change]).expect("kept");
    assert!(kept.taken_back.expect("taken back").is_complete());
    assert_eq!(host.features("tap0").wanted, before.wanted);
}

#[test]
fn commits_of_interfaces_that_are_gone_do_not_add_up() {
    let (host, state) = (InMemory::with(&["eth0"]), State::new());
    let mut enforcer = state.enforcer(&host);
    let mut keep = |dev: &str| {
        let change = host.change(dev, &[(GRO, false)]);
        enforcer.keep(&[change]).expect("kept");
    };
    keep("eth0");
    let mut last = None;
    for number in 0..40 {
        let dev = format!("tap{number}");
        let ifindex = host.add(&dev);
        keep(&dev);
        if let Some(last) = last.replace(ifindex) {
            host.0.borrow_mut().devices.remove(&last);
        }
    }
    let numbers = Store::open(&state.path()).numbers().expect("numbers");
    assert!(numbers.len() <= 11, "{numbers:?}");
    assert_eq!(numbers.first(), Some(&1), "eth0 is there");
    assert_eq!(numbers.last(), Some(&41));
}

#[test]
fn what_is_gone_is_forgotten() {
    let (host, state) = (InMemory::with(&["eth0", "tap0"]), State::new());
    let mut enforcer = state.enforcer(&host);
    let changes = ["eth0", "tap0"].map(|dev| host.change(dev, &[(GRO, false)]));
    let mut keep = |there: &[u32]| {
        enforcer.retain(&there.iter().copied().collect());
        let commits = changes.iter().map(|change| {
            let kept = enforcer.keep(std::slice::from_ref(change));
            kept.expect("kept").commit
        });
        commits.collect::<Vec<_>>()
    };
    assert_eq!(keep(&[1, 2]), [Some(1), Some(2)]);
    assert_eq!(keep(&[1, 2]), [None, None]);
    assert_eq!(keep(&[1]), [None, Some(3)]);
}

/// A boot may be how a change ended that cut the host off: its policy is none that
/// somebody confirmed.
#[test]
fn a_policy_is_confirmed_by_people_and_not_by_a_boot() {
    for confirms in [true, false] {
        let (host, state) = (InMemory::with(&["tap0"]), State::new());
        let settings = || super::Settings {
            policy_sha256: Some("of the policy".into()),
            ..state.settings()
        };
        let open = || super::Enforcer::open(Box::new(host.clone()), settings());
        let (mut enforcer, _) = open().expect("an enforcer");
        let change = host.change("tap0", &[(GRO, false)]);
        let mut session = enforcer
            .begin(vec![change], &[], Some(SOON))
            .expect("a session");
        session.apply_all().expect("applied");
        session.wait_for_confirmation(SOON).expect("it waits");
        if confirms {
            session.confirm().expect("confirmed");
        }
        drop(enforcer);
        let path = Store::open(&state.path()).path(1);
        let text = fs::read_to_string(&path).expect("a journal");
        let text = text.replacen("\"boot_id\":\"", "\"boot_id\":\"another-", 1);
        fs::write(&path, text).expect("written");
        let (enforcer, _) = open().expect("the next one");
        assert_eq!(standing(&state), Standing::EndedByBoot);
        let confirmed = enforcer.confirmed_before("of the policy");
        assert_eq!(confirmed.expect("known"), confirms);
        assert!(!enforcer.confirmed_before("of another").expect("known"));
    }
}

#[test]
fn a_policy_that_asks_for_nothing_new_can_be_confirmed() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let settings = super::Settings {
        policy_sha256: Some("of the policy".into()),
        ..state.settings()
    };
    let (mut enforcer, _) =
        super::Enforcer::open(Box::new(host.clone()), settings).expect("an enforcer");
    assert!(!enforcer.confirmed_before("of the policy").expect("known"));
    let mut session = enforcer
        .begin(Vec::new(), &[], Some(SOON))
        .expect("a session");
    session.wait_for_confirmation(SOON).expect("it waits");
    session.confirm().expect("confirmed");
    assert!(enforcer.confirmed_before("of the policy").expect("known"));
    assert_eq!(host.sent(), []);
}

#[test]
fn what_could_not_be_tried_can_be_taken_back_later() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let before = host.features("tap0");
    let mut enforcer = state.enforcer(&host);
    let changes = [host.change("tap0", &[(GRO, false)])];
    enforcer.keep(&changes).expect("kept");
    let commit = Store::open(&state.path()).get(1).expect("it").commit;
    host.edit("tap0", |device| device.permits = false);
    let refused = enforcer.take_back(&commit, "a test").expect("told");
    let refused = refused.expect("it was to be taken back");
    assert!(matches!(refused.untold, Some(EnforceError::Untried(1))));
    assert!(!refused.is_complete());
    assert_eq!(standing(&state), Standing::Confirmed);
    host.edit("tap0", |device| device.permits = true);
    let taken = enforcer.take_back(&commit, "a test").expect("told");
    assert!(taken.expect("taken back").is_complete());
    assert_eq!(host.features("tap0"), before);
    assert!(matches!(standing(&state), Standing::RolledBack { .. }));
}

/// Before its driver was there all was off that a guest negotiates: that is no state to
/// take a guest back to that runs since. What is not confirmed is taken back all the same.
#[test]
fn what_a_guest_negotiated_since_is_left_to_it() {
    let guests = set(&[CHECKSUM, TSO]);
    for (is_vm, negotiates, action) in [
        (true, true, Action::Undo),
        (true, true, Action::RollBack),
        (true, false, Action::Undo),
        (false, true, Action::Undo),
    ] {
        let (host, state) = (InMemory::with(&["tap0"]), State::new());
        host.edit("tap0", |device| {
            device.features.wanted = device.features.wanted - guests;
            device.features.active = device.features.active - guests;
        });
        let mut change = host.change("tap0", &[(TSO, true), (GRO, false)]);
        change.owner = is_vm.then(Default::default);
        let mut enforcer = state.enforcer(&host);
        enforcer.keep(&[change]).expect("kept");
        if negotiates {
            host.edit("tap0", |device| {
                device.features.wanted = device.features.wanted | guests;
                device.features.active = device.features.active | guests;
            });
        }
        let store = Store::open(&state.path());
        let commit = store.get(1).expect("it").commit;
        let (kernel, audit) = (&mut *enforcer.kernel, &mut enforcer.audit);
        let still = |state: &Standing| *state == Standing::Confirmed;
        let taken = take_back(kernel, &store, audit, &commit, "a test", action, still);
        let taken = taken.expect("told").expect("taken back");
        assert!(taken.is_complete());
        let is_left = is_vm && negotiates && action == Action::Undo;
        let left = if is_left { set(&[TSO]) } else { set(&[]) };
        assert_eq!(taken.interfaces[0].left_to_guest, left);
        let wanted = host.features("tap0").wanted;
        assert_eq!(
            wanted.contains(TSO),
            is_left,
            "{is_vm} {negotiates} {action:?}"
        );
        assert!(wanted.contains(GRO), "no guest negotiates it");
    }
}
