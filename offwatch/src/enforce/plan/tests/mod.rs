//! Plans of policies and advice, of targets that are made up.

mod advised;
mod changes;
mod rules;

use super::*;
use crate::{
    enforce::{
        policy::Policy,
        target::{Target, Targets},
    },
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
