//! What a bridge makes of the features of its ports.

use super::rules::{ALL_TSO, CHECKSUM, CHECKSUM_V4, CHECKSUM_V6, Rules, SCATTER_GATHER, USO};
use crate::sample::offloads::FeatureSet;

/// On if one port has it.
const ONE_PORT: [&str; 7] = [
    "tx-tcp-accecn-segmentation",
    "tx-sctp-segmentation",
    "tx-gso-robust",
    SCATTER_GATHER,
    "tx-scatter-gather-fraglist",
    "highdma",
    "vlan-challenged",
];

/// The same, since Linux 5.11; before they were on if they were asked for. The
/// next feature to come was [`NEWER`].
const ONE_PORT_NEWER: [&str; 2] = [USO, "tx-gso-list"];
const NEWER: &str = "rx-udp-gro-forwarding";

/// Off in a bridge with ports.
const NO_PORT: [&str; 2] = ["tx-nocache-copy", "tx-fcoe-segmentation"];

/// What cannot be told of a bridge: on a kernel before Linux 6.12, which has a feature
/// of this name, those of [`ONE_PORT_NEWER`]. Kernels of long support have [`NEWER`], and
/// not what came with it.
pub(super) fn doubtful(rules: &Rules) -> FeatureSet {
    match rules.set(&["tx-lockless"]).is_empty() {
        true => FeatureSet::default(),
        false => rules.set(&ONE_PORT_NEWER),
    }
}

/// The features of a bridge that shall have `asked`.
pub(super) fn features(rules: &Rules, asked: FeatureSet, ports: &[FeatureSet]) -> FeatureSet {
    if ports.is_empty() {
        return asked;
    }
    let checksums = rules.set(&[CHECKSUM, CHECKSUM_V4, CHECKSUM_V6]);
    let generic = rules.set(&[CHECKSUM]);
    let tso = rules.set(&ALL_TSO);
    let newer = match rules.set(&[NEWER]).is_empty() {
        true => rules.set(&[]),
        false => rules.set(&ONE_PORT_NEWER),
    };
    let of_one_port = rules.set(&ONE_PORT) | tso | newer;
    // A generic checksum stands for each of the others.
    let permitted = match (asked & generic).is_empty() {
        true => asked,
        false => asked | checksums,
    } | rules.set(&["vlan-challenged"]);
    let mut set = asked - of_one_port - rules.set(&NO_PORT);
    // Any kind of TSO is cut in software where a port has none.
    for port in ports.iter().chain([&tso]) {
        set = set | (*port & (of_one_port | checksums) & permitted);
        if !(set & generic).is_empty() {
            set = set - (checksums - generic);
        }
    }
    set
}
