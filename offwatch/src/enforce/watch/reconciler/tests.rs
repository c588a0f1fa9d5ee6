use super::{super::contest::Likely, *};

const CSUM: usize = 3;
const TSO: usize = 16;
const TSO6: usize = 19;
const GRO: usize = 14;
const TAP: u32 = 7;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn set(bits: &[usize]) -> FeatureSet {
    bits.iter().copied().collect()
}

fn features(wanted: &[usize]) -> Features {
    Features {
        changeable: set(&[CSUM, TSO, TSO6, GRO]),
        wanted: set(wanted),
        active: set(wanted),
        never_changed: set(&[]),
    }
}

fn link(ifindex: u32, dev: &str, master: Option<u32>) -> Link {
    Link {
        ifindex,
        dev: dev.into(),
        kind: Kind::Tap,
        mac: None,
        master,
        mtu: 1500,
        limits: Arc::default(),
        tap: None,
        xdp: false,
    }
}

fn id(ifindex: u32, dev: &str) -> Id {
    Id {
        netns: 1,
        ifindex,
        dev: dev.into(),
    }
}

/// TSO and TSO6 shall be off.
fn desired(ifindex: u32, dev: &str) -> Desired {
    let mut asked = Request::default();
    asked.switch(TSO, false);
    asked.switch(TSO6, false);
    Desired {
        id: id(ifindex, dev),
        owner: None,
        asked,
    }
}

fn off(bits: &[usize]) -> Verdict {
    Verdict::Change(Request {
        mask: set(bits),
        on: set(&[]),
    })
}

fn reconciler(limit: Limit) -> Reconciler {
    let mut all = Reconciler::new(set(&[CSUM, TSO, TSO6]), limit, ms(0));
    let due = all.due(ms(0));
    assert!(due.resync && due.plan);
    all.all_links(&[link(TAP, "vnet0", None)], ms(0));
    all
}

/// One with a tap that was as asked at first.
fn settled() -> Reconciler {
    let mut all = reconciler(Limit::default());
    all.due(ms(1000));
    all.adopt([desired(TAP, "vnet0")], &[], true, ms(1000));
    assert_eq!(all.looks(ms(1000)), [id(TAP, "vnet0")]);
    assert_eq!(all.judge(TAP, &features(&[CSUM]), ms(1000)), Verdict::Holds);
    assert_eq!(all.due(ms(2000)), Due::default());
    assert_eq!(all.looks(ms(2000)), []);
    all
}

/// A guest negotiates everything.
fn negotiated() -> Features {
    features(&[CSUM, TSO, TSO6])
}

#[test]
fn the_first_event_of_a_burst_is_answered_at_once_and_the_rest_together() {
    let mut all = settled();
    let now = ms(5000);
    all.notified(TAP, Some(&negotiated()), now);
    assert_eq!(all.next_due(), now);
    assert_eq!(all.looks(now).len(), 1);
    assert_eq!(all.judge(TAP, &negotiated(), now), off(&[TSO, TSO6]));
    // Two more, before the change and after it, and the own change.
    for (at, seen) in [(1, negotiated()), (1, features(&[])), (2, negotiated())] {
        all.notified(TAP, Some(&seen), now + ms(at));
        assert_eq!(all.looks(now + ms(at)), []);
    }
    all.notified(TAP, Some(&features(&[CSUM])), now + ms(3));
    assert_eq!(all.next_due(), now + COALESCE);
    assert_eq!(all.looks(now + COALESCE).len(), 1);
    let later = now + COALESCE;
    assert_eq!(all.judge(TAP, &negotiated(), later), off(&[TSO, TSO6]));
    // Whoever reads it meanwhile changes nothing.
    assert_eq!(
        all.judge(TAP, &negotiated(), later + ms(10)),
        Verdict::Holds
    );
    assert_eq!(all.next_due(), later + COALESCE);
    assert_eq!(
        all.judge(TAP, &features(&[CSUM]), later + COALESCE),
        Verdict::Holds
    );
    // It has held since.
    all.notified(TAP, Some(&features(&[CSUM])), later);
    assert_eq!(all.looks(later + ms(1000)), []);
}

#[test]
fn own_changes_and_those_of_other_features_are_no_events() {
    let mut all = settled();
    all.notified(TAP, Some(&features(&[CSUM])), ms(3000));
    all.notified(TAP, Some(&features(&[CSUM, GRO])), ms(3000));
    all.notified(99, Some(&negotiated()), ms(3000));
    assert_eq!(all.looks(ms(4000)), []);
    // What cannot be read is looked at.
    all.notified(TAP, None, ms(4000));
    assert_eq!(all.looks(ms(4000)).len(), 1);
}

#[test]
fn only_what_is_not_as_asked_is_changed() {
    let mut all = settled();
    let seen = features(&[CSUM, TSO6, GRO]);
    assert_eq!(all.judge(TAP, &seen, ms(3000)), off(&[TSO6]));
    // What cannot be switched is not asked for.
    let mut fixed = negotiated();
    fixed.changeable = set(&[CSUM, TSO]);
    assert_eq!(all.judge(TAP, &fixed, ms(4000)), off(&[TSO]));
    fixed.never_changed = set(&[TSO]);
    assert_eq!(all.judge(TAP, &fixed, ms(5000)), Verdict::Holds);
}

#[test]
fn what_is_asked_and_stays_off_is_not_asked_again() {
    let mut all = reconciler(Limit::default());
    let mut asked = Request::default();
    asked.switch(TSO, true);
    let on = Desired {
        asked,
        ..desired(TAP, "vnet0")
    };
    all.adopt([on], &[], true, ms(0));
    let verdict = all.judge(TAP, &features(&[]), ms(0));
    assert_eq!(verdict, Verdict::Change(asked));
    let mut declined = features(&[TSO]);
    declined.active = set(&[]);
    assert_eq!(all.judge(TAP, &declined, ms(1000)), Verdict::Holds);
}

/// Somebody changes it back each time, until nothing is done any more.
fn fight(all: &mut Reconciler, also: &[usize], start: u64) -> (usize, Evidence) {
    for round in 0..100 {
        let now = ms(start + round * 200);
        let mut others = features(also);
        others.wanted = others.wanted | set(&[CSUM]);
        all.notified(TAP, Some(&others), now);
        all.notified(TAP, Some(&negotiated()), now);
        assert_eq!(all.looks(now).len(), 1, "round {round}");
        match all.judge(TAP, &negotiated(), now) {
            Verdict::Contested(evidence) => return (round as usize, evidence),
            verdict => assert_eq!(verdict, off(&[TSO, TSO6])),
        }
        all.notified(TAP, Some(&features(&[CSUM])), now);
    }
    panic!("for ever");
}

#[test]
fn what_must_be_let_alone_is() {
    let mut all = settled();
    all.let_alone(TAP);
    all.notified(TAP, Some(&negotiated()), ms(3000));
    assert_eq!(all.looks(ms(3000)), []);
    assert_eq!(all.judge(TAP, &negotiated(), ms(3000)), Verdict::Holds);
    assert_eq!(all.count(), (1, 0), "nobody contests it");
}

#[test]
fn a_fight_ends_with_the_budget() {
    let mut all = settled();
    let (rounds, evidence) = fight(&mut all, &[CSUM, TSO], 3000);
    assert_eq!(rounds, 10);
    assert_eq!(evidence.times, 11);
    assert_eq!(evidence.within, ms(2000));
    assert_eq!(evidence.changed_back, set(&[TSO, TSO6]));
    assert_eq!(evidence.likely, Likely::Host);
    assert_eq!(evidence.never_changed, set(&[CSUM]));
    assert_eq!(all.count(), (1, 1));

    // Nothing brings it back: neither time nor a plan nor an owner.
    all.notified(TAP, Some(&negotiated()), ms(20_000));
    assert_eq!(all.looks(ms(20_000)), []);
    assert_eq!(all.judge(TAP, &negotiated(), ms(9_000_000)), Verdict::Holds);
    let owned = Desired {
        owner: Some(Owner::default()),
        ..desired(TAP, "vnet0")
    };
    all.adopt([], &[TAP], true, ms(9_000_000));
    all.adopt([owned], &[], true, ms(9_000_000));
    assert_eq!(all.looks(ms(9_000_000)), []);
    assert_eq!(all.judge(TAP, &negotiated(), ms(9_000_000)), Verdict::Holds);

    // Its re-creation does, under the same name or not.
    all.gone(TAP);
    all.link(&link(TAP, "vnet0", None), ms(9_000_000));
    all.adopt([desired(TAP, "vnet0")], &[], true, ms(9_000_000));
    let verdict = all.judge(TAP, &negotiated(), ms(9_000_000));
    assert_eq!(verdict, off(&[TSO, TSO6]));
}

#[test]
fn a_policy_that_is_read_again_brings_it_back() {
    let mut all = settled();
    fight(&mut all, &[CSUM], 3000);
    let limit = Limit {
        burst: 2,
        per_minute: 0,
    };
    all.policy_changed(limit, ms(9000));
    assert!(all.due(ms(9000)).plan);
    all.adopt([desired(TAP, "vnet0")], &[], true, ms(9000));
    assert_eq!(all.judge(TAP, &negotiated(), ms(9000)), off(&[TSO, TSO6]));
    assert_eq!(fight(&mut all, &[CSUM], 10_000).0, 2);
}

#[test]
fn changes_now_and_then_are_no_fight() {
    let mut all = settled();
    for minute in 1..100 {
        let now = ms(minute * 60_000);
        assert_eq!(all.judge(TAP, &negotiated(), now), off(&[TSO, TSO6]));
    }
    // And do not count later.
    let (_, evidence) = fight(&mut all, &[CSUM], 100 * 60_000);
    assert_eq!(evidence.times, 11);
}

#[test]
fn a_guest_that_starts_again_and_again_is_told_from_a_program() {
    let mut all = settled();
    for round in 0..11 {
        let now = ms(3000 + round * 1000);
        all.notified(TAP, Some(&features(&[])), now);
        all.notified(TAP, Some(&negotiated()), now);
        all.due(now);
        if let Verdict::Contested(evidence) = all.judge(TAP, &negotiated(), now) {
            assert_eq!(evidence.likely, Likely::Guest);
            assert_eq!(evidence.changed_too, set(&[CSUM]));
            return;
        }
        all.notified(TAP, Some(&features(&[CSUM])), now);
    }
    panic!("not contested");
}

#[test]
fn interfaces_that_may_match_otherwise_are_planned_anew() {
    let mut all = settled();
    all.link(&link(TAP, "vnet0", None), ms(3000));
    assert_eq!(all.due(ms(3000)), Due::default(), "nothing has changed");
    all.link(&link(TAP, "vnet0", Some(2)), ms(3000));
    assert!(all.due(ms(3000)).plan, "another bridge");
    all.adopt([desired(TAP, "vnet0")], &[], true, ms(3000));
    assert!(all.port(TAP).is_some());
    all.link(&link(8, "vnet1", None), ms(3050));
    all.link(&link(9, "vnet2", None), ms(3060));
    assert!(!all.due(ms(3060)).plan, "not for each of them");
    assert_eq!(all.next_due(), ms(3000) + COALESCE);
    assert!(all.due(ms(3000) + COALESCE).plan);
    all.adopt([desired(TAP, "vnet0")], &[], true, ms(3200));

    all.link(&link(TAP, "renamed", Some(2)), ms(4000));
    assert_eq!(all.port(TAP), None, "until there is a plan");
    assert!(all.due(ms(4000)).plan);
    all.adopt([desired(TAP, "vnet0")], &[], true, ms(4000));
    assert_eq!(all.port(TAP), None, "a plan from before");
    all.owners_changed(ms(5000));
    assert!(all.due(ms(5000)).plan);
}

#[test]
fn what_is_asked_of_an_interface_changes_with_the_plan() {
    let mut all = reconciler(Limit {
        burst: 1,
        per_minute: 0,
    });
    all.adopt([desired(TAP, "vnet0")], &[], true, ms(0));
    assert_eq!(all.judge(TAP, &negotiated(), ms(0)), off(&[TSO, TSO6]));
    assert_eq!(all.judge(TAP, &negotiated(), ms(1000)), off(&[TSO, TSO6]));
    let mut other = desired(TAP, "vnet0");
    other.asked.switch(GRO, false);
    all.adopt([other], &[], true, ms(3000));
    assert_eq!(all.looks(ms(3000)).len(), 1);
    // The first time is none of the budget, which is used up.
    let seen = features(&[CSUM, GRO]);
    assert_eq!(all.judge(TAP, &seen, ms(3000)), off(&[GRO]));
    all.adopt([], &[], true, ms(4000));
    assert_eq!(all.count(), (0, 0));
    assert_eq!(all.judge(TAP, &negotiated(), ms(4000)), Verdict::Holds);
}

#[test]
fn while_vms_cannot_be_listed_what_was_asked_holds() {
    let mut all = settled();
    all.adopt([], &[TAP], false, ms(3000));
    assert_eq!(all.judge(TAP, &negotiated(), ms(3000)), off(&[TSO, TSO6]));
    // It is known to be another VM's.
    all.adopt([], &[], false, ms(4000));
    assert_eq!(all.judge(TAP, &negotiated(), ms(4000)), Verdict::Holds);
}

#[test]
fn the_owner_of_a_new_tap_is_searched_for_some_time() {
    let mut all = settled();
    all.link(&link(8, "vnet1", None), ms(10_000));
    let mut plans = Vec::new();
    let mut now = ms(10_000);
    while now < ms(60_000) {
        let due = all.due(now);
        assert_eq!(due.search, due.plan && now > ms(10_000));
        if due.plan {
            plans.push(now.as_millis() as u64 - 10_000);
            all.adopt([desired(TAP, "vnet0")], &[8], true, now);
        }
        now = all.next_due();
    }
    assert_eq!(plans, [0, 100, 300, 700, 1500, 3100, 6300, 12_700]);

    all.link(&link(9, "vnet2", None), ms(61_000));
    assert!(all.due(ms(61_000)).plan);
    all.adopt([desired(TAP, "vnet0")], &[8, 9], true, ms(61_000));
    assert!(all.due(ms(61_100)).plan);
    all.adopt([desired(9, "vnet2")], &[8], true, ms(61_100));
    assert!(!all.due(ms(70_000)).plan, "it has one");
}

#[test]
fn what_was_lost_is_listed_anew() {
    let mut all = settled();
    all.lost(ms(3000));
    let due = all.due(ms(3000));
    assert!(due.resync && due.plan);
    all.lost(ms(3010));
    assert!(!all.due(ms(3010)).resync, "not for each of them");
    assert!(all.due(ms(3000) + COALESCE).resync);
    // The tap was removed meanwhile, and another one added.
    all.all_links(&[link(8, "vnet0", None)], ms(3200));
    assert_eq!(all.port(TAP), None);
    assert!(all.due(ms(3300)).plan);

    let due = all.next_due();
    assert_eq!(due, ms(3150) + RESYNC);
    assert!(all.due(due).resync, "and from time to time");
}

#[test]
fn what_is_told_of_a_name_may_be_older_than_its_tap() {
    let mut all = settled();
    assert!(!all.is_younger(TAP, ms(0)));
    all.gone(TAP);
    all.link(&link(8, "vnet0", None), ms(5000));
    assert!(all.is_younger(8, ms(4999)) && !all.is_younger(8, ms(5000)));
    all.link(&link(8, "vnet0", Some(3)), ms(6000));
    assert!(!all.is_younger(8, ms(5000)), "another bridge");
    all.link(&link(8, "vnet9", Some(3)), ms(7000));
    assert!(all.is_younger(8, ms(6999)), "another name");
    assert!(all.is_younger(TAP, ms(9000)), "not known at all");
}
