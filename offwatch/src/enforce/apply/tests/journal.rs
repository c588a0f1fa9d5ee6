//! What the next start makes of a journal.

use std::{fs::OpenOptions, io::Write as _};

use super::{SOON, applied, edit_journal, standing};
use crate::enforce::{
    apply::testing::{InMemory, State},
    journal::{State as Standing, Store},
};

#[test]
fn the_next_start_takes_back_what_nobody_watches() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let before = host.features("tap0");
    for unconfirmed in [false, true] {
        let mut enforcer = state.enforcer(&host);
        let mut session = applied(&mut enforcer, &host, &["tap0"]);
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
        let _session = applied(&mut enforcer, &host, &["tap0"]);
        drop(enforcer);
        edit_journal(&state, from, to);
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
    let mut session = applied(&mut enforcer, &host, &["tap0"]);
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
