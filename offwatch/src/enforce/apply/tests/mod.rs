//! Against the kernel in memory.

mod confirming;
mod journal;
mod keeping;
mod taking_back;
mod verdicts;
mod watchdog;

use std::{fs, time::Duration};

use super::{
    Enforcer, Session,
    testing::{GRO, InMemory, State},
};
use crate::enforce::journal::{State as Standing, Store};

const SOON: Duration = Duration::from_secs(60);

/// How the only commit stands.
fn standing(state: &State) -> Standing {
    Store::open(&state.path()).get(1).expect("a commit").state
}

/// A commit that has switched GRO off there.
fn applied<'e>(enforcer: &'e mut Enforcer, host: &InMemory, devs: &[&str]) -> Session<'e> {
    let changes = devs.iter().map(|dev| host.change(dev, &[(GRO, false)]));
    let mut session = enforcer
        .begin(changes.collect(), &[], Some(SOON))
        .expect("a session");
    session.apply_all().expect("applied");
    session
}

/// One that has done so on `tap0`, and is to be confirmed.
fn waiting<'e>(enforcer: &'e mut Enforcer, host: &InMemory, within: Duration) -> Session<'e> {
    let mut session = applied(enforcer, host, &["tap0"]);
    session.wait_for_confirmation(within).expect("it waits");
    session
}

/// Puts something else in the place of what is in the journal of the only commit.
fn edit_journal(state: &State, from: &str, to: &str) {
    let path = Store::open(&state.path()).path(1);
    let text = fs::read_to_string(&path).expect("a journal");
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replacen(from, to, 1)).expect("written");
}
