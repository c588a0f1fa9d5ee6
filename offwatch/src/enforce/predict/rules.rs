//! What features need of each other, as the kernel has it for all interfaces
//! (`netdev_fix_features`), in its order: from Linux 5.10 on.

use crate::{
    enforce::plan::Because,
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

pub(super) const SCATTER_GATHER: &str = "tx-scatter-gather";
pub(super) const CHECKSUM: &str = "tx-checksum-ip-generic";
pub(super) const CHECKSUM_V4: &str = "tx-checksum-ipv4";
pub(super) const CHECKSUM_V6: &str = "tx-checksum-ipv6";
const TSO: &str = "tx-tcp-segmentation";
const TSO6: &str = "tx-tcp6-segmentation";
const ECN: &str = "tx-tcp-ecn-segmentation";
const MANGLE_ID: &str = "tx-tcp-mangleid-segmentation";
pub(super) const ALL_TSO: [&str; 4] = [TSO, TSO6, ECN, MANGLE_ID];
pub(super) const USO: &str = "tx-udp-segmentation";
const PARTIAL: &str = "tx-gso-partial";
const RX_CHECKSUM: &str = "rx-checksum";
const HARDWARE_GRO: &str = "rx-gro-hw";
const LRO: &str = "rx-lro";
const RX_FCS: &str = "rx-fcs";

/// Segmentation that a network card may do in part only: which of them it does
/// so, and loses with [`PARTIAL`], the kernel does not tell.
const PARTIAL_KINDS: [&str; 8] = [
    "tx-gre-segmentation",
    "tx-gre-csum-segmentation",
    "tx-ipxip4-segmentation",
    "tx-ipxip6-segmentation",
    "tx-udp_tnl-segmentation",
    "tx-udp_tnl-csum-segmentation",
    "tx-sctp-segmentation",
    USO,
];

/// One step of the kernel's.
struct Rule {
    /// If one of these is on...
    if_on: &'static [&'static str],
    /// ...and this does not hold...
    unless: Condition,
    /// ...these are switched off.
    drops: &'static [&'static str],
    /// A kernel that still has a feature of this name may not have the rule.
    not_with: Option<&'static str>,
}

enum Condition {
    /// All of one of these lists are on.
    On(&'static [&'static [&'static str]]),
    /// This one is off.
    Off(&'static str),
}

use Condition::{Off, On};

const fn rule(
    if_on: &'static [&'static str],
    unless: Condition,
    drops: &'static [&'static str],
) -> Rule {
    Rule {
        if_on,
        unless,
        drops,
        not_with: None,
    }
}

const V4: Condition = On(&[&[CHECKSUM], &[CHECKSUM_V4]]);
const V6: Condition = On(&[&[CHECKSUM], &[CHECKSUM_V6]]);
const BOTH: Condition = On(&[&[CHECKSUM], &[CHECKSUM_V4, CHECKSUM_V6]]);

const RULES: [Rule; 12] = [
    rule(
        &[CHECKSUM_V4, CHECKSUM_V6],
        Off(CHECKSUM),
        &[CHECKSUM_V4, CHECKSUM_V6],
    ),
    rule(&ALL_TSO, On(&[&[SCATTER_GATHER]]), &ALL_TSO),
    rule(&[TSO], V4, &[TSO, ECN]),
    rule(&[TSO6], V6, &[TSO6]),
    rule(&[MANGLE_ID], On(&[&[TSO]]), &[MANGLE_ID]),
    rule(&[ECN], On(&[&[TSO], &[TSO6]]), &[ECN]),
    rule(
        &["tx-generic-segmentation"],
        On(&[&[SCATTER_GATHER]]),
        &["tx-generic-segmentation"],
    ),
    rule(&[HARDWARE_GRO], On(&[&[RX_CHECKSUM]]), &[HARDWARE_GRO]),
    rule(&[LRO, HARDWARE_GRO], Off(RX_FCS), &[LRO, HARDWARE_GRO]),
    rule(&[LRO], Off(HARDWARE_GRO), &[LRO]),
    rule(
        &["tls-hw-rx-offload"],
        On(&[&[RX_CHECKSUM]]),
        &["tls-hw-rx-offload"],
    ),
    // Linux 6.11; the name was removed in 6.12.
    Rule {
        not_with: Some("tx-lockless"),
        ..rule(&[USO], BOTH, &[USO])
    },
];

/// What may be one way or the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubts {
    /// Rules that the running kernel may not have do hold.
    pub newer_rules: bool,
    /// What the card does in part only.
    pub partial: FeatureSet,
}

/// The rules, by the numbers of the running kernel's features.
pub(super) struct Rules<'names> {
    names: &'names FeatureNames,
    rules: Vec<Numbered>,
    partial: FeatureSet,
    partial_kinds: FeatureSet,
}

/// A [`Rule`], by numbers.
struct Numbered {
    if_on: FeatureSet,
    unless: Needed,
    drops: FeatureSet,
    /// The running kernel may not have it.
    is_doubtful: bool,
}

enum Needed {
    /// One of these, whole. A way with a feature that the kernel does not have is
    /// none.
    One(Vec<FeatureSet>),
    Not(FeatureSet),
}

impl Needed {
    fn is_met(&self, set: FeatureSet) -> bool {
        match self {
            Self::One(ways) => ways.iter().any(|way| (*way - set).is_empty()),
            Self::Not(others) => (*others & set).is_empty(),
        }
    }
}

impl<'names> Rules<'names> {
    pub(super) fn new(names: &'names FeatureNames) -> Self {
        let numbered = |rule: Rule| Numbered {
            if_on: set(names, rule.if_on),
            unless: match rule.unless {
                On(ways) => Needed::One(
                    ways.iter()
                        .filter(|way| way.iter().all(|name| names.bit(name).is_some()))
                        .map(|way| set(names, way))
                        .collect(),
                ),
                Off(other) => Needed::Not(set(names, &[other])),
            },
            drops: set(names, rule.drops),
            is_doubtful: rule.not_with.is_some_and(|name| names.bit(name).is_some()),
        };
        Self {
            names,
            rules: RULES.map(numbered).into(),
            partial: set(names, &[PARTIAL]),
            partial_kinds: set(names, &PARTIAL_KINDS),
        }
    }

    /// What stays of a set.
    pub(super) fn fix(&self, mut set: FeatureSet, doubts: Doubts) -> FeatureSet {
        for rule in &self.rules {
            let holds = doubts.newer_rules || !rule.is_doubtful;
            if holds && !(set & rule.if_on).is_empty() && !rule.unless.is_met(set) {
                set = set - rule.drops;
            }
        }
        if (set & self.partial).is_empty() {
            set = set - doubts.partial;
        }
        set
    }

    /// The same of a bridge: on some kernels the one of all kinds that goes with
    /// [`PARTIAL`] there.
    pub(super) fn partial_of_bridge(&self, features: &Features) -> FeatureSet {
        match (features.active & self.partial).is_empty() {
            true => FeatureSet::default(),
            false => set(self.names, &["tx-esp-segmentation"]),
        }
    }

    /// What a card with these features may do in part only: nothing if it does
    /// not offer to.
    pub(super) fn partial(&self, features: &Features) -> FeatureSet {
        if !(features.active & self.partial).is_empty() {
            self.partial_kinds
        } else if !(features.changeable & self.partial).is_empty() {
            self.partial_kinds - features.active
        } else {
            FeatureSet::default()
        }
    }

    /// What keeps a feature from being on beside these that are; of features
    /// that would do, one of those preferred.
    pub(super) fn against(
        &self,
        bit: usize,
        beside: FeatureSet,
        preferred: FeatureSet,
    ) -> Option<Because> {
        let with_it = beside | FeatureSet::from_iter([bit]);
        let mut rules = self.rules.iter();
        let rule = rules.find(|rule| {
            rule.drops.contains(bit)
                && !(with_it & rule.if_on).is_empty()
                && !rule.unless.is_met(with_it)
        })?;
        match &rule.unless {
            Needed::One(ways) => {
                let missing = ways.iter().filter_map(|way| (*way - beside).iter().next());
                let missing: Vec<usize> = missing.collect();
                let mut best = missing.iter().filter(|bit| preferred.contains(**bit));
                best.next().or(missing.first()).copied().map(Because::Needs)
            }
            Needed::Not(others) => others.iter().next().map(Because::Excludes),
        }
    }

    /// Features by name, of those that the kernel has.
    pub(super) fn set(&self, names: &[&str]) -> FeatureSet {
        set(self.names, names)
    }
}

fn set(known: &FeatureNames, names: &[&str]) -> FeatureSet {
    names.iter().filter_map(|name| known.bit(name)).collect()
}
