//! What rules are about, and what is made of those that contradict each other.

use super::*;
use crate::enforce::gather::Needs;

#[test]
fn a_rule_is_about_what_it_matches() {
    let mut foreign = tap(5, "vnet2", Some("web"));
    (foreign.driver, foreign.master) = (Some("other".into()), None);
    let targets = targets([
        tap(3, "vnet0", Some("db")),
        tap(4, "vnet1", Some("db-2")),
        foreign,
    ]);
    let matched = |matches: &str| {
        let plan = planned(&targets, &rule(matches, "features.gro = false")).expect("a plan");
        devs(&plan).join(" ")
    };
    assert_eq!(matched("vm = \"db\""), "vnet0");
    assert_eq!(matched("vm = \"db*\""), "vnet0 vnet1");
    assert_eq!(matched("bridge = \"br*\""), "vnet0 vnet1");
    assert_eq!(
        matched("driver = \"tun\", device = \"vnet*\""),
        "vnet0 vnet1"
    );
    assert_eq!(
        matched("os = \"*/microsoft.com/win/*\", device = \"*2\""),
        "vnet2"
    );
    assert_eq!(matched("vm = \"db\", device = \"vnet1\""), "");
    assert_eq!(matched("device = \"*\""), "br0 vnet0 vnet1 vnet2");
    assert_eq!(matched("device = \"lo\""), "lo");
}

#[test]
fn taps_of_nobody_are_changed_only_by_name() {
    let mut targets = targets([tap(3, "vnet0", None), tap(4, "vnet1", None)]);
    let off = "features.gro = false";
    let plan = planned(&targets, &rule("device = \"vnet*\"", off)).expect("a plan");
    assert_eq!(devs(&plan), [] as [&str; 0]);
    let because = "no VM is known to own it; only a rule that names it changes it";
    assert_eq!(
        left(&plan),
        [format!("vnet0: {because}"), format!("vnet1: {because}")]
    );
    let plan = planned(&targets, &rule("device = \"vnet1\"", off)).expect("a plan");
    assert_eq!(devs(&plan), ["vnet1"]);
    targets.vms_unknown = Some("libvirt does not answer".into());
    let rules = rule("driver = \"tun\", bridge = \"br0\"", off) + &rule("vm = \"db\"", off);
    let plan = planned(&targets, &rules).expect("a plan");
    assert!(devs(&plan).is_empty());
    let reasons = left(&plan).join("\n");
    assert_eq!(
        reasons.matches("libvirt does not answer").count(),
        3,
        "{reasons}"
    );
}

#[test]
fn rules_that_contradict_each_other_are_named() {
    let targets = targets([tap(3, "vnet0", Some("db"))]);
    let one = rule("vm = \"db\"", "features.tso = true");
    let other = rule(
        "device = \"vnet*\"",
        "features = { tx-tcp6-segmentation = false }",
    );
    let error = planned(&targets, &(one.clone() + &other)).expect_err("a contradiction");
    assert_eq!(
        error.to_string(),
        "policy.toml:4 and policy.toml:7 contradict each other: tx-tcp6-segmentation of vnet0 \
         is to be on, and off"
    );
    let elsewhere = rule("device = \"eth*\"", "features.tso = false");
    assert!(planned(&targets, &(one.clone() + &elsewhere)).is_ok());
    let plan = planned(&targets, &(one.clone() + &one)).expect("the same twice");
    assert_eq!(plan.changes[0].why.line, Some(2));
    assert_eq!(plan.changes[0].why.also[0].line, Some(5));
    let on = rule("vm = \"db\"", "definition.host.tso4 = false");
    let off = rule("vm = \"db\"", "definition.host.tso4 = true");
    let error = planned(&targets, &(on + &off)).expect_err("a contradiction");
    assert!(
        error
            .to_string()
            .starts_with("policy.toml:2 and policy.toml:5"),
        "{error}"
    );
}

#[test]
fn an_unknown_feature_is_told_with_its_line() {
    let error = planned(&targets([]), &rule("vm = \"db\"", "features.tos = true"));
    let error = error.expect_err("unknown").to_string();
    assert!(
        error.starts_with("policy.toml:4: `tos` is no feature"),
        "{error}"
    );
}

#[test]
fn a_name_that_is_not_there_is_told_with_the_nearest() {
    let targets = targets([tap(10, "vnet0", None), tap(11, "tap-of-db", None)]);
    let left = |matches: &str| {
        let plan = planned(&targets, &rule(matches, "features = { tso = false }"));
        let left = plan.expect("a plan").left.remove(0);
        (left.because, left.missing)
    };
    let typo = "there is no interface vent0 now; there is vnet0";
    let missing = Some("vent0".into());
    assert_eq!(left("device = 'vent0'"), (typo.into(), missing));
    let (because, _) = left("device = 'enp7s0f1'");
    assert_eq!(because, "there is no interface enp7s0f1 now");
    let nothing = "matches no interface that there is now";
    for matches in ["device = 'vent*'", "device = 'vnet0', driver = 'veth'"] {
        assert_eq!(left(matches), (nothing.into(), None), "{matches}");
    }
}

#[test]
fn owners_are_asked_for_only_where_they_decide() {
    let only_bridge = targets([]);
    let with_tap = targets([tap(3, "vnet0", None)]);
    let needs = |targets: &Targets, matches: &str| {
        let policy = policy(&rule(matches, "features.gro = false"));
        let sources = Sources {
            policy: Some((FILE, &policy)),
            advice: None,
        };
        let Needs { drivers, owners } = sources.needs(targets);
        (drivers, owners)
    };
    assert_eq!(needs(&only_bridge, "device = \"*\""), (false, false));
    assert_eq!(needs(&with_tap, "device = \"br0\""), (false, false));
    assert_eq!(needs(&with_tap, "device = \"*\""), (false, true));
    assert_eq!(needs(&only_bridge, "vm = \"db\""), (false, true));
    assert_eq!(needs(&with_tap, "driver = \"other\""), (true, true));
}
