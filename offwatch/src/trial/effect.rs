//! What a change does to one measure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that is measured in each period. Directions are the guest's.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Goodput, both ways, bytes a second.
    Goodput,
    /// Goodput to the guest.
    ReceiveGoodput,
    /// Goodput from the guest.
    SendGoodput,
    /// CPU time of the whole host per byte of goodput, nanoseconds.
    HostCost,
    /// CPU time of soft interrupts per byte.
    SoftirqCost,
    /// CPU time of the VM's process per byte.
    VmCost,
    /// CPU time of its virtual CPUs per byte.
    VcpuCost,
    /// CPU time of its vhost threads per byte.
    VhostCost,
    /// Share of frames that are dropped, both ways.
    Drops,
    /// Share of TCP segments that are sent again, both ways.
    Retransmits,
    /// Share of frames that are dropped for a checksum.
    ChecksumDrops,
    /// Frames a second, both ways.
    Packets,
    /// Segments a second that the host cuts in software for the guest.
    SoftwareSegments,
    /// Bytes a second that the host sums for the guest.
    ChecksumBytes,
}

/// A figure and its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The median of the paired differences.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What is told of a measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It is better with the change.
    Better,
    /// It is worse with the change.
    Worse,
    /// There is more of it, which in itself is neither good nor bad.
    More,
    /// There is less of it.
    Less,
    /// No difference was seen.
    NoDifference {
        /// The smallest one that would have been seen, in the unit of the
        /// difference.
        would_have_seen: f64,
    },
    /// Too little traffic.
    TooLittleTraffic {
        /// How little.
        because: String,
    },
    /// Too few rounds.
    TooFewRounds {
        /// How few.
        because: String,
    },
    /// It could not be measured.
    NotMeasured {
        /// Why.
        because: String,
    },
}

impl Verdict {
    /// Whether a difference is claimed.
    pub fn is_difference(&self) -> bool {
        matches!(self, Self::Better | Self::Worse | Self::More | Self::Less)
    }

    /// Why nothing is told of it; `None` if something is.
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::TooLittleTraffic { because }
            | Self::TooFewRounds { because }
            | Self::NotMeasured { because } => Some(because),
            _ => None,
        }
    }
}

/// What the change does to a measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// Of what.
    pub measure: Measure,
    /// Its unit: `bytes_per_s`, `ns_per_byte`, `share` or `per_s`.
    pub unit: String,
    /// Its median without the change.
    pub without: Option<f64>,
    /// Its median with the change.
    pub with: Option<f64>,
    /// Median of the rounds' differences, with minus without: of shares in percentage
    /// points, of everything else in percent of what it is without the change.
    pub difference_percent: Option<Interval>,
    /// The differences of the rounds, in order, in the same unit.
    pub rounds: Vec<f64>,
    /// What is told of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}
