//! What is sent, what comes of it, and how that is told.

use std::collections::BTreeMap;

use super::*;
use crate::facts::nic::DriverSetup;

#[test]
fn what_is_asked_already_is_not_sent() {
    let mut half = tap(3, "vnet0", Some("db"));
    half.features.wanted = half.features.wanted - set(&[TSO]);
    half.features.active = half.features.wanted;
    let targets = targets([half]);
    let plan = planned(&targets, &rule("vm = \"db\"", "features.tso = false")).expect("a plan");
    let change = &plan.changes[0];
    assert_eq!(
        change.asked.mask,
        set(&[TSO, TSO6]),
        "what is fixed is left out"
    );
    assert_eq!((change.send.mask, change.send.on), (set(&[TSO6]), set(&[])));
    assert_eq!(change.lost_at_negotiation, set(&[TSO, TSO6]));
    assert_eq!(
        change.command(&plan.names).as_deref(),
        Some("ethtool -K vnet0 tx-tcp6-segmentation off")
    );
    assert!(plan.has_changes() && change.unmet.is_empty() && change.collateral().is_empty());
    let both = "features = { gro = false, tso = false }";
    let plan = planned(&targets, &rule("vm = \"db\"", both)).expect("a plan");
    let lost = plan.changes[0].lost_at_negotiation;
    assert_eq!(lost, set(&[TSO, TSO6]), "GRO is not the guest's");
    let plan = planned(&targets, &rule("vm = \"db\"", "features.gro = true")).expect("a plan");
    assert!(!plan.has_changes());
    assert_eq!(plan.changes[0].command(&plan.names), None);
}

#[test]
fn collateral_and_what_is_not_met_are_told() {
    let mut tap = tap(3, "vnet0", Some("db"));
    tap.features.never_changed = set(&[MANGLEID]);
    let targets = targets([tap]);
    let asks = "features = { tx-scatter-gather = false, loopback = true, tso = true }";
    let plan = planned(&targets, &rule("vm = \"db\"", asks)).expect("a plan");
    let change = &plan.changes[0];
    assert_eq!(change.send.mask, set(&[SG]));
    let unmet = change.unmet.iter().map(|unmet| (unmet.bit, &unmet.because));
    assert_eq!(
        unmet.collect::<Vec<_>>(),
        [
            (TSO, &Because::Needs(SG)),
            (TSO6, &Because::Needs(SG)),
            (7, &Because::Fixed)
        ]
    );
    assert_eq!(change.collateral(), set(&[GSO]));
    let text = text::of(&plan);
    for line in [
        "vnet0 (VM db): policy.toml:2",
        "  tx-scatter-gather: on -> off",
        "  tx-generic-segmentation: on -> off, with it: nobody asks for it",
        "  unmet tx-tcp-segmentation, tx-tcp6-segmentation: stay off: needs",
        "  unmet loopback: stays off: cannot be switched on this interface",
        "  same  ethtool -K vnet0 tx-scatter-gather off",
        "plan: 1 interface to change, 1 where not all can be met",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn what_was_asked_in_vain_and_now_can_be_is_told() {
    let mut tap = tap(3, "vnet0", Some("db"));
    // Scatter-gather is off, and what needs it.
    tap.features.wanted = tap.features.wanted - set(&[SG]);
    tap.features.active = tap.features.active - set(&[SG, TSO, TSO6, GSO]);
    let targets = targets([tap]);
    let asks = "features = { tx-scatter-gather = true, gso = true }";
    let plan = planned(&targets, &rule("vm = \"db\"", asks)).expect("a plan");
    assert_eq!(plan.changes[0].send.mask, set(&[SG]));
    let text = text::of(&plan);
    for line in [
        "  tx-scatter-gather: off -> on",
        "  tx-generic-segmentation: off -> on",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
}

/// A tap of which no guest's driver has accepted anything.
fn unnegotiated() -> Target {
    let mut tap = tap(3, "vnet0", Some("db"));
    tap.features.active = set(&[SG, GSO, GRO]);
    tap.features.changeable = tap.features.changeable | set(&[MANGLEID]);
    tap
}

#[test]
fn every_feature_that_is_sent_has_its_line() {
    let told = |tap: Target, asks: &str| {
        let plan = planned(&targets([tap]), &rule("vm = \"db\"", asks)).expect("a plan");
        let text = text::of(&plan);
        let of = |bit: usize| text.lines().find(|line| line.contains(NAMES[bit]));
        [TSO, MANGLEID, TSO6].map(|bit| of(bit).unwrap_or_default().trim().to_owned())
    };
    let off = told(unnegotiated(), "features.tso = false");
    assert_eq!(
        off,
        [
            "tx-tcp-segmentation: off [requested on] -> off",
            "",
            "tx-tcp6-segmentation: off [requested on] -> off"
        ]
    );
    let on = told(
        unnegotiated(),
        "features.tx-tcp-mangleid-segmentation = true",
    );
    assert_eq!(
        on[1],
        "tx-tcp-mangleid-segmentation: asked for, stays off: needs tx-tcp-segmentation,"
    );
    // Not asked of the kernel so far: the guest may accept it, or not.
    let mut open = unnegotiated();
    open.features.wanted = set(&[SG, CSUM, TSO6, GSO, GRO]);
    open.features.active = open.features.wanted;
    let on = told(open, "features.tx-tcp-segmentation = true");
    assert_eq!(
        on[0],
        "tx-tcp-segmentation: off -> on, if the guest's driver accepts it"
    );
}

#[test]
fn definitions_are_changed_where_they_say_otherwise() {
    let mut tap = tap(3, "vnet0", Some("db"));
    let asks = "definition = { host = { tso4 = true, csum = false }, guest = { ecn = false } }";
    let xml = |tap: &Target| {
        let plan = planned(&targets([tap.clone()]), &rule("vm = \"db\"", asks));
        let plan = plan.expect("a plan");
        let definitions = plan.definitions.iter();
        definitions
            .map(Definition::xml)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let all = "<driver><host csum='off' tso4='on'/><guest ecn='off'/></driver>";
    assert_eq!(xml(&tap), all);
    let mut card = DriverSetup {
        host: BTreeMap::from([("csum".into(), false)]),
        ..DriverSetup::default()
    };
    tap.card = Some(card.clone());
    assert_eq!(xml(&tap), "<driver><guest ecn='off'/></driver>");
    card.host.insert("tso4".into(), false);
    card.guest.insert("ecn".into(), false);
    tap.card = Some(card);
    assert_eq!(xml(&tap), "<driver><host tso4='on'/></driver>");
}

#[test]
fn a_long_plan_is_shortened_and_fits_a_terminal() {
    let taps = (3..103).map(|ifindex| tap(ifindex, &format!("vnet{ifindex}"), Some("a-vm")));
    let targets = targets(taps);
    let rules = rule(
        "vm = \"*\"",
        "features = { tso = false, sg = false, gro = false }",
    );
    let text = text::of(&planned(&targets, &rules).expect("a plan"));
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(
        text.contains("and 60 more interfaces (--json has all)"),
        "{text}"
    );
    assert!(text.ends_with("plan: 100 interfaces to change\n"), "{text}");
    // A command that goes on in a second line can be copied.
    assert!(text.contains(" \\\n"), "{text}");
}
