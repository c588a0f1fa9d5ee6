//! Who confirms what, and until when.

use std::{fs, time::Duration};

use super::{SOON, edit_journal, standing, waiting};
use crate::enforce::{
    apply::{
        Enforcer, Settings,
        testing::{InMemory, State},
    },
    error::EnforceError,
    journal::{State as Standing, Store},
};

#[test]
fn the_confirmation_comes_in_time_or_not_at_all() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let mut enforcer = state.enforcer(&host);
    let mut session = waiting(&mut enforcer, &host, Duration::ZERO);
    let error = session.confirm().expect_err("too late");
    assert!(error.to_string().contains("its time is over"), "{error}");
    session.roll_back("a test").expect("done").expect("by us");
}

/// What is told of a commit that waits when its journal is no more as it was.
fn told_without(journal: impl Fn(&std::path::Path)) -> EnforceError {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let mut enforcer = state.enforcer(&host);
    let before = host.features("tap0");
    let mut session = waiting(&mut enforcer, &host, SOON);
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

/// A boot may be how a change ended that cut the host off: its policy is none that
/// somebody confirmed.
#[test]
fn a_policy_is_confirmed_by_people_and_not_by_a_boot() {
    for confirms in [true, false] {
        let (host, state) = (InMemory::with(&["tap0"]), State::new());
        let settings = || Settings {
            policy_sha256: Some("of the policy".into()),
            ..state.settings()
        };
        let open = || Enforcer::open(Box::new(host.clone()), settings());
        let (mut enforcer, _) = open().expect("an enforcer");
        let mut session = waiting(&mut enforcer, &host, SOON);
        if confirms {
            session.confirm().expect("confirmed");
        }
        drop(enforcer);
        edit_journal(&state, "\"boot_id\":\"", "\"boot_id\":\"another-");
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
    let settings = Settings {
        policy_sha256: Some("of the policy".into()),
        ..state.settings()
    };
    let (mut enforcer, _) = Enforcer::open(Box::new(host.clone()), settings).expect("an enforcer");
    assert!(!enforcer.confirmed_before("of the policy").expect("known"));
    let mut session = enforcer
        .begin(Vec::new(), &[], Some(SOON))
        .expect("a session");
    session.wait_for_confirmation(SOON).expect("it waits");
    session.confirm().expect("confirmed");
    assert!(enforcer.confirmed_before("of the policy").expect("known"));
    assert_eq!(host.sent(), []);
}
