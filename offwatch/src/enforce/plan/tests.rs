use std::collections::BTreeMap;

use super::{json::Document, *};
use crate::{
    enforce::{
        from_advice::{FromAdvice, Item, What},
        gather::Needs,
        policy::{Policy, Switches},
        target::{Target, Targets},
    },
    facts::nic::DriverSetup,
    sample::Kind,
};

const NAMES: [&str; 8] = [
    "tx-scatter-gather",
    "tx-checksum-ip-generic",
    "tx-tcp-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
    "tx-generic-segmentation",
    "rx-gro",
    "loopback",
];
const SG: usize = 0;
const CSUM: usize = 1;
const TSO: usize = 2;
const MANGLEID: usize = 3;
const TSO6: usize = 4;
const GSO: usize = 5;
const GRO: usize = 6;
const FILE: &str = "policy.toml";

fn set(bits: &[usize]) -> FeatureSet {
    bits.iter().copied().collect()
}

/// A tap whose guest accepts everything.
fn tap(ifindex: u32, dev: &str, vm: Option<&str>) -> Target {
    let all = set(&[SG, CSUM, TSO, TSO6, GSO, GRO]);
    Target {
        id: Id {
            netns: 9,
            ifindex,
            dev: dev.into(),
        },
        kind: Kind::Tap,
        owner: vm.map(|vm| Owner {
            vm: vm.into(),
            uuid: Some(format!("uuid-{vm}")),
            mac: Some("52:54:00:00:00:01".into()),
            os: Some("http://microsoft.com/win/2k22".into()),
        }),
        driver: Some("tun".into()),
        master: Some(1),
        features: Features {
            changeable: all,
            wanted: all,
            active: all,
            never_changed: FeatureSet::default(),
        },
        card: None,
    }
}

fn targets(taps: impl IntoIterator<Item = Target>) -> Targets {
    let mut bridge = tap(1, "br0", None);
    (bridge.kind, bridge.master, bridge.driver) = (Kind::Bridge, None, Some("bridge".into()));
    let mut lo = tap(2, "lo", None);
    (lo.kind, lo.master) = (Kind::Loopback, None);
    Targets {
        names: FeatureNames(NAMES.map(String::from).to_vec()),
        targets: [lo, bridge].into_iter().chain(taps).collect(),
        vms_unknown: None,
    }
}

fn policy(rules: &str) -> Policy {
    let text = format!("version = 1\n{rules}");
    Policy::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// A rule of three lines.
fn rule(matches: &str, asks: &str) -> String {
    format!("[[rule]]\nmatch = {{ {matches} }}\n{asks}\n")
}

fn planned(targets: &Targets, rules: &str) -> Result<Plan, PlanError> {
    let policy = policy(rules);
    let sources = Sources {
        policy: Some((FILE, &policy)),
        advice: None,
    };
    make(targets, sources)
}

fn devs(plan: &Plan) -> Vec<&str> {
    plan.changes.iter().map(|change| &*change.id.dev).collect()
}

fn left(plan: &Plan) -> Vec<String> {
    let left = plan.left.iter();
    left.map(|left| format!("{}: {}", left.what, left.because))
        .collect()
}

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

fn advice(vm: &str, ifindex: u32, what: Option<What>) -> FromAdvice {
    let id = Id {
        netns: 9,
        ifindex,
        dev: "vnet0".into(),
    };
    let features = vec![("rx-gro".into(), false)];
    FromAdvice {
        file: "-".into(),
        items: vec![Item {
            rule: "tap-no-tso".into(),
            vm: Some(vm.into()),
            vm_uuid: Some(format!("uuid-{vm}")),
            dev: Some("vnet0".into()),
            what: what.unwrap_or(What::Features { id, features }),
        }],
    }
}

fn advised(targets: &Targets, advice: &FromAdvice, rules: Option<&str>) -> Result<Plan, PlanError> {
    let policy = rules.map(policy);
    let sources = Sources {
        policy: policy.as_ref().map(|policy| (FILE, policy)),
        advice: Some(advice),
    };
    make(targets, sources)
}

#[test]
fn an_advice_is_about_the_interface_that_it_saw() {
    let targets = targets([tap(3, "vnet0", Some("db"))]);
    let of = |vm, ifindex| advised(&targets, &advice(vm, ifindex, None), None).expect("a plan");
    let plan = of("db", 3);
    assert_eq!(devs(&plan), ["vnet0"]);
    assert_eq!(plan.changes[0].why.place(), "- [tap-no-tso]");
    for (vm, ifindex, because) in [
        (
            "db",
            4,
            "vnet0: the one with ifindex 4 is gone, or has another name now; run advise again",
        ),
        (
            "web",
            3,
            "vnet0: it belongs to VM db now, not to web; run advise again",
        ),
    ] {
        let plan = of(vm, ifindex);
        assert_eq!(
            (devs(&plan).len(), left(&plan)),
            (0, vec![because.to_owned()])
        );
    }
    let elsewhere = Targets {
        targets: targets
            .targets
            .iter()
            .cloned()
            .map(|mut target| {
                target.id.netns = 8;
                target
            })
            .collect(),
        ..targets.clone()
    };
    let plan = advised(&elsewhere, &advice("db", 3, None), None).expect("a plan");
    assert_eq!(
        left(&plan),
        ["vnet0: the advice is about another network namespace; run advise again"]
    );
}

#[test]
fn a_policy_says_what_of_an_advice_is_taken() {
    let targets = targets([tap(3, "vnet0", Some("db"))]);
    let advice = advice("db", 3, None);
    let taken = |rules: &str| devs(&advised(&targets, &advice, Some(rules)).expect("a plan")).len();
    assert_eq!(taken(&rule("advice = \"tap-no-tso\"", "")), 1);
    assert_eq!(
        taken(&rule(
            "advice = \"tap-no-tso\", vm = \"d*\"",
            "reason = \"x\""
        )),
        1
    );
    assert_eq!(taken(&rule("advice = \"tap-no-tso\", vm = \"web\"", "")), 0);
    assert_eq!(taken(&rule("advice = \"tap-sg-off\"", "")), 0);
    assert_eq!(taken(""), 0);
    let none = advised(
        &targets,
        &advice,
        Some(&rule("advice = \"tap-sg-off\"", "")),
    );
    let none = none.expect("a plan");
    assert_eq!(left(&none), ["vnet0: no rule of the policy takes it"]);
    assert_eq!(none.left[0].why.place(), "- [tap-no-tso]");
    let both = rule("advice = \"tap-no-tso\"", "") + &rule("vm = \"db\"", "features.gro = true");
    let error = advised(&targets, &advice, Some(&both)).expect_err("a contradiction");
    assert!(
        error.to_string().contains("policy.toml:2 [tap-no-tso]"),
        "{error}"
    );
    let error = planned(&targets, &rule("advice = \"tap-no-tso\"", ""));
    let error = error.expect_err("no advice").to_string();
    assert_eq!(
        error,
        "policy.toml:2: match.advice takes an advice; give it with --from"
    );
}

#[test]
fn what_is_done_by_others_is_told() {
    let targets = targets([tap(3, "vnet0", Some("db"))]);
    let told = advice("db", 3, Some(What::Left("in the guest: x".into())));
    let plan = advised(&targets, &told, None).expect("a plan");
    assert_eq!(left(&plan), ["vnet0: in the guest: x"]);
    let what = What::Definition {
        vm: "db".into(),
        mac: Some("52:54:00:00:00:01".into()),
        switches: Switches {
            host: Vec::new(),
            guest: vec![("csum".into(), true)],
        },
    };
    let plan = advised(&targets, &advice("db", 3, Some(what)), None).expect("a plan");
    assert_eq!(
        plan.definitions[0].xml(),
        "<driver><guest csum='on'/></driver>"
    );
    let document = serde_json::to_value(Document::from(&plan)).expect("JSON");
    assert_eq!(document["schema"], "offwatch.plan");
    assert_eq!(document["definitions"][0]["guest"]["csum"], true);
    assert_eq!(document["has_changes"], true);
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
