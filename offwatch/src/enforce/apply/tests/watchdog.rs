//! There is one enforcer, and never without its watchdog.

use std::fs;

use super::{SOON, standing, waiting};
use crate::enforce::{
    apply::{
        Enforcer,
        testing::{GRO, InMemory, State},
    },
    error::EnforceError,
    journal::State as Standing,
};

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
    let (mut enforcer, _) = Enforcer::open(Box::new(host.clone()), settings).expect("an enforcer");
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
    let mut session = waiting(&mut enforcer, &host, SOON);
    fs::write(state.settings().watchdog, "#!/bin/false\n").expect("written");
    session.kill_watchdog();
    let error = session.tend().expect_err("there is no other");
    assert!(matches!(error, EnforceError::TakenBack { .. }), "{error}");
    assert_eq!(host.features("tap0"), before);
    assert!(matches!(standing(&state), Standing::RolledBack { .. }));
}
