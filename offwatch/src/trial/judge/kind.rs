//! How measures differ from each other.

use crate::trial::effect::{Measure, Verdict};

/// All measures, in the order in which they are told.
pub(super) const ALL: [Measure; 14] = [
    Measure::Goodput,
    Measure::ReceiveGoodput,
    Measure::SendGoodput,
    Measure::HostCost,
    Measure::SoftirqCost,
    Measure::VmCost,
    Measure::VcpuCost,
    Measure::VhostCost,
    Measure::Retransmits,
    Measure::Drops,
    Measure::ChecksumDrops,
    Measure::Packets,
    Measure::SoftwareSegments,
    Measure::ChecksumBytes,
];

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// How much there is, a second; one side without any is compared, too.
    Rate,
    /// What a byte costs.
    Cost,
    /// A share.
    Share,
}

impl Kind {
    pub(super) fn of(measure: Measure) -> Self {
        match measure {
            Measure::Goodput
            | Measure::ReceiveGoodput
            | Measure::SendGoodput
            | Measure::Packets
            | Measure::SoftwareSegments
            | Measure::ChecksumBytes => Self::Rate,
            Measure::HostCost
            | Measure::SoftirqCost
            | Measure::VmCost
            | Measure::VcpuCost
            | Measure::VhostCost => Self::Cost,
            Measure::Drops | Measure::Retransmits | Measure::ChecksumDrops => Self::Share,
        }
    }
}

pub(super) fn unit(measure: Measure) -> &'static str {
    match (Kind::of(measure), measure) {
        (Kind::Cost, _) => "ns_per_byte",
        (Kind::Share, _) => "share",
        (Kind::Rate, Measure::Packets | Measure::SoftwareSegments) => "per_s",
        (Kind::Rate, _) => "bytes_per_s",
    }
}

/// What is told if there is surely more of it, or surely less.
pub(super) fn verdict(measure: Measure, is_more: bool) -> Verdict {
    let more_is_better = match measure {
        Measure::Goodput | Measure::ReceiveGoodput | Measure::SendGoodput => Some(true),
        Measure::Packets | Measure::SoftwareSegments | Measure::ChecksumBytes => None,
        _ => Some(false),
    };
    match (more_is_better, is_more) {
        (None, true) => Verdict::More,
        (None, false) => Verdict::Less,
        (Some(better), more) if better == more => Verdict::Better,
        _ => Verdict::Worse,
    }
}
