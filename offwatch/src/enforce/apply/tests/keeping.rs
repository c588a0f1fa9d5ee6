//! Changes that need no confirmation.

use super::standing;
use crate::enforce::{
    apply::testing::{GRO, InMemory, State, TSO, set},
    journal::{State as Standing, Store},
};

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
