//! What taking back restores, and what it leaves.

use super::{SOON, applied, standing};
use crate::{
    enforce::{
        apply::{
            Enforcer, Restored,
            take_back::take_back,
            testing::{CHECKSUM, GRO, InMemory, ODD, State, TSO, set},
        },
        audit::Action,
        error::EnforceError,
        journal::{State as Standing, Store},
        plan::Change,
    },
    sample::offloads::FeatureSet,
};

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
    let mut enforcer = state.enforcer(&host);
    let mut session = applied(&mut enforcer, &host, &["tap0", "tap1"]);
    host.edit("tap0", |device| device.refuses = true);
    host.edit("tap1", |device| device.dev = "renamed".into());
    let taken = session.roll_back("a test").expect("done").expect("by us");
    assert!(!taken.is_complete());
    let [renamed, refused] = &taken.interfaces[..] else {
        panic!("{taken:?}");
    };
    let why = renamed.failure(&taken.names).expect("why");
    assert!(
        !renamed.is_gone() && why.contains("another name now"),
        "{why}"
    );
    assert!(why.contains("rx-gro on"), "{why}");
    assert!(refused.failure(&taken.names).expect("why").contains("(no)"));
    // The interface that has another name now is left alone.
    assert!(!host.features("renamed").wanted.contains(GRO));
    let line = taken.line();
    assert!(
        line.contains("; tap1 could not be set back: ifindex"),
        "{line}"
    );
    let Standing::RolledBack { failed, .. } = standing(&state) else {
        panic!("{:?}", standing(&state));
    };
    assert_eq!(taken.failed(), failed);
    let failed: Vec<&str> = failed.iter().map(|(dev, _)| dev.as_str()).collect();
    assert_eq!(failed, ["tap1", "tap0"]);
}

#[test]
fn what_is_gone_or_as_before_under_another_name_is_no_failure() {
    let (host, state) = (InMemory::with(&["tap0", "tap1"]), State::new());
    let mut enforcer = state.enforcer(&host);
    let mut session = applied(&mut enforcer, &host, &["tap0", "tap1"]);
    host.edit("tap1", |device| {
        device.dev = "renamed".into();
        device.features.wanted = device.features.wanted | set(&[GRO]);
    });
    host.0.borrow_mut().devices.pop_first();
    let taken = session.roll_back("a test").expect("done").expect("by us");
    assert!(taken.is_complete(), "{taken:?}");
    assert!(taken.interfaces.iter().all(Restored::is_gone), "{taken:?}");
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

/// How changes are made.
#[derive(Clone, Copy, Debug)]
enum How {
    Kept,
    Confirmed,
    /// By another process.
    ConfirmedElsewhere,
}

/// What becomes of a guest's features with a commit.
#[derive(Clone, Copy, Debug)]
struct Case<'a> {
    how: How,
    action: Action,
    /// What the commit switches on.
    asked: &'a [usize],
    /// What is accepted when the commit is begun: nothing before there is a driver.
    first: &'a [usize],
    /// What is accepted when it is applied, if a guest negotiates in between.
    between: Option<&'a [usize]>,
    /// What is accepted later.
    later: Option<&'a [usize]>,
}

impl Case<'_> {
    fn make(&self, host: &InMemory, enforcer: &mut Enforcer, change: Change) {
        if let How::Kept = self.how {
            enforcer.keep(&[change]).expect("kept");
            return;
        }
        let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
        if let Some(between) = self.between {
            host.negotiate("tap0", between);
        }
        session.apply_all().expect("applied");
        if let How::Confirmed = self.how {
            session.confirm().expect("confirmed");
            return;
        }
        session.wait_for_confirmation(SOON).expect("it waits");
        let locked = enforcer.store().lock().expect("the lock");
        locked.append(1, &Standing::Confirmed).expect("written");
    }

    /// What is left on to the guest when it is taken back; nothing else of it is on then.
    fn left(&self) -> FeatureSet {
        let (host, state) = (InMemory::with(&["tap0"]), State::new());
        host.negotiate("tap0", self.first);
        // As before a driver, or by an administrator's wish.
        host.edit("tap0", |device| {
            device.features.wanted = set(&[GRO, ODD]);
            device.features.active = set(&[GRO, ODD]);
        });
        let asked = self.asked.iter().map(|bit| (*bit, true));
        let asked: Vec<_> = asked.chain([(GRO, false)]).collect();
        let mut change = host.change("tap0", &asked);
        change.is_tap = true;
        let mut enforcer = state.enforcer(&host);
        self.make(&host, &mut enforcer, change);
        if let Some(later) = self.later {
            host.negotiate("tap0", later);
        }
        let store = Store::open(&state.path());
        let commit = store.get(1).expect("it").commit;
        let (kernel, audit) = (&mut *enforcer.kernel, &mut enforcer.audit);
        let still = |state: &Standing| *state == Standing::Confirmed;
        let because = "a test";
        let taken = take_back(kernel, &store, audit, &commit, because, self.action, still);
        let taken = taken.expect("told").expect("taken back");
        assert!(taken.is_complete());
        let now = host.features("tap0");
        assert!(now.wanted.contains(GRO), "no guest negotiates it");
        let left = taken.interfaces[0].left_to_guest;
        assert_eq!(now.active & set(self.asked), left, "{self:?}");
        left
    }
}

const ALL: &[usize] = &[CHECKSUM, TSO];

/// Before its driver was there all was off that a guest negotiates: that is no state to
/// take a guest back to that runs since.
#[test]
fn what_a_guest_negotiated_since_is_left_to_it() {
    for how in [How::Kept, How::Confirmed, How::ConfirmedElsewhere] {
        let case = Case {
            how,
            action: Action::Undo,
            asked: ALL,
            first: &[],
            between: None,
            later: Some(ALL),
        };
        assert_eq!(case.left(), set(ALL), "{how:?}");
        let one = Case {
            asked: &[TSO],
            ..case
        };
        assert_eq!(one.left(), set(&[TSO]), "{how:?}");
        let some = Case {
            later: Some(&[CHECKSUM]),
            ..case
        };
        assert_eq!(some.left(), set(&[CHECKSUM]), "{how:?}");
        // No driver came, or it accepted them all the time.
        let (none, nothing) = (set(&[]), None);
        let no_driver = Case {
            later: nothing,
            ..case
        };
        assert_eq!(no_driver.left(), none, "{how:?}");
        let accepted = Case {
            first: ALL,
            ..no_driver
        };
        assert_eq!(accepted.left(), none, "{how:?}");
        // What it needs is off again.
        let needs = Case {
            first: &[CHECKSUM],
            ..case
        };
        assert_eq!(needs.left(), none, "{how:?}");
        // What is not confirmed is taken back all the same.
        let rolled_back = Case {
            action: Action::RollBack,
            ..case
        };
        assert_eq!(rolled_back.left(), none, "{how:?}");
    }
}

#[test]
fn what_a_guest_negotiates_before_it_is_sent_is_left_to_it() {
    for how in [How::Confirmed, How::ConfirmedElsewhere] {
        let case = Case {
            how,
            action: Action::Undo,
            asked: ALL,
            first: &[],
            between: Some(&[CHECKSUM]),
            later: None,
        };
        assert_eq!(case.left(), set(&[CHECKSUM]), "{how:?}");
    }
}

/// What is made once more is on by the first time, not by a guest.
#[test]
fn what_was_on_by_the_commit_itself_is_switched_off() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    host.edit("tap0", |device| {
        device.features.wanted = set(&[GRO, ODD]);
        device.features.active = set(&[GRO, ODD]);
    });
    let mut change = host.change("tap0", &[(CHECKSUM, true), (TSO, true)]);
    change.is_tap = true;
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
    session.apply_all().expect("applied");
    session.apply_all().expect("once more");
    session.confirm().expect("confirmed");
    let awaited = Store::open(&state.path()).awaited(1).expect("read");
    assert_eq!(awaited, []);
}

#[test]
fn what_is_no_tap_has_no_guest() {
    let (host, state) = (InMemory::with(&["eth0"]), State::new());
    host.negotiate("eth0", &[]);
    let change = host.change("eth0", &[(CHECKSUM, true)]);
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
    // By somebody else.
    host.negotiate("eth0", ALL);
    session.apply_all().expect("applied");
    session.confirm().expect("confirmed");
    let awaited = Store::open(&state.path()).awaited(1).expect("read");
    assert_eq!(awaited, []);
}

/// Its guest's driver was there, and had it off by somebody's wish.
#[test]
fn what_somebody_switches_on_meanwhile_is_no_guests() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    let switched = |bits: &[usize]| {
        host.edit("tap0", |device| {
            device.features.wanted = set(bits);
            device.features.active = set(bits);
        });
    };
    switched(&[CHECKSUM, GRO, ODD]);
    let mut change = host.change("tap0", &[(TSO, true)]);
    change.is_tap = true;
    let mut enforcer = state.enforcer(&host);
    let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
    switched(&[CHECKSUM, TSO, GRO, ODD]);
    session.apply_all().expect("applied");
    session.confirm().expect("confirmed");
    let awaited = Store::open(&state.path()).awaited(1).expect("read");
    assert_eq!(awaited, []);
}

/// The plan is older than the guest's driver, and the journal is not.
#[test]
fn what_was_on_before_it_was_journalled_is_not_told_there() {
    let (host, state) = (InMemory::with(&["tap0"]), State::new());
    host.negotiate("tap0", &[]);
    let mut change = host.change("tap0", &[(CHECKSUM, true), (GRO, false)]);
    change.is_tap = true;
    host.negotiate("tap0", ALL);
    state.enforcer(&host).keep(&[change]).expect("kept");
    let awaited = Store::open(&state.path()).awaited(1).expect("read");
    assert_eq!(awaited, []);
}
