//! Queueing disciplines, as `tc -s qdisc` and `tc -s class` print them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sample::offloads::Fact;

/// Number of a queueing discipline or class: 16 bits before and 16 bits behind
/// the colon, both hexadecimal.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Handle(pub u32);

impl Handle {
    /// None.
    pub const NONE: Self = Self(0);
    /// `TC_H_ROOT`: the parent of what a device sends by.
    pub const ROOT: Self = Self(0xFFFF_FFFF);
    /// `TC_H_INGRESS`, which is `TC_H_CLSACT` as well: the parent of what looks
    /// at received frames.
    pub const INGRESS: Self = Self(0xFFFF_FFF1);
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => f.write_str("none"),
            Self::ROOT => f.write_str("root"),
            Self::INGRESS => f.write_str("ingress"),
            Self(number) if number & 0xFFFF == 0 => write!(f, "{:x}:", number >> 16),
            Self(number) if number >> 16 == 0 => write!(f, ":{number:x}"),
            Self(number) => write!(f, "{:x}:{:x}", number >> 16, number & 0xFFFF),
        }
    }
}

/// A queueing discipline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qdisc {
    /// Kind, such as `tbf`, `htb`, `fq_codel`, `noqueue`, `ingress`, `clsact`.
    pub kind: String,
    /// Its number; [`Handle::NONE`] of one that the kernel made by itself.
    pub handle: Handle,
    /// What it is attached to.
    pub parent: Handle,
    /// How it shapes, if it does.
    pub shaper: Shaper,
    /// What it has counted.
    pub counters: QueueCounters,
}

impl Qdisc {
    /// Frames that the device sends enter here, before any other.
    pub fn is_root(&self) -> bool {
        self.parent == Handle::ROOT && self.kind != "noqueue"
    }

    /// It looks at received frames, as policers do, and queues none.
    pub fn is_ingress(&self) -> bool {
        self.parent == Handle::INGRESS
    }
}

/// How a queueing discipline shapes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shaper {
    /// It does not, or not in a way that is read here.
    #[default]
    None,
    /// A token bucket. A GSO frame longer than `burst_bytes` is cut in software
    /// before it is queued; any other frame of that length is dropped.
    Tbf(TokenBucket),
    /// Token buckets by class (`htb`), or why they are not known.
    Htb(Fact<Vec<HtbClass>>),
}

/// A token bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBucket {
    /// Rate, bytes per second.
    pub rate_bytes_per_s: u64,
    /// What may be sent at once, bytes, as `tc` prints it: the kernel keeps it
    /// as a time.
    pub burst_bytes: u64,
    /// Rate that bursts are limited to, bytes per second.
    pub peak_bytes_per_s: Option<u64>,
    /// What may be sent at once at the peak rate, bytes: `mtu` or `minburst`.
    pub peak_burst_bytes: Option<u64>,
    /// Longest queue, bytes.
    pub limit_bytes: u32,
}

/// A class of `htb`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HtbClass {
    /// Its number.
    pub handle: Handle,
    /// The class or queueing discipline it belongs to.
    pub parent: Handle,
    /// Rate, bytes per second.
    pub rate_bytes_per_s: u64,
    /// What may be sent at once, bytes.
    pub burst_bytes: u64,
    /// Rate with what other classes leave, bytes per second.
    pub ceil_bytes_per_s: u64,
    /// What may be sent at once at that rate, bytes.
    pub ceil_burst_bytes: u64,
    /// What it has counted.
    pub counters: QueueCounters,
}

/// Counters of a queue since it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueCounters {
    /// Bytes that left it.
    pub bytes: u64,
    /// Packets that left it: a GSO frame counts as its segments.
    pub packets: u64,
    /// Packets it dropped.
    pub drops: u64,
    /// How often something had to wait, or was over a limit.
    pub overlimits: u64,
    /// How often the device gave a packet back.
    pub requeues: u64,
    /// Bytes that wait now.
    pub backlog_bytes: u64,
    /// Packets that wait now.
    pub backlog_packets: u64,
}
