//! Policers: filters that drop what exceeds a rate, as `tc -s filter` prints them.

use serde::{Deserialize, Serialize};

use super::qdisc::Handle;

/// A `police` action of a filter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policer {
    /// Where it looks at frames.
    pub place: Place,
    /// Kind of the filter: `u32`, `matchall`, `flower`, ...
    pub filter: String,
    /// Its preference: lower ones come first.
    pub preference: u16,
    /// `ETH_P_*` of the frames it looks at; 3 means all.
    pub protocol: u16,
    /// Rate, bytes per second; none if it limits packets, or length alone.
    pub rate_bytes_per_s: Option<u64>,
    /// What may pass at once, bytes. A frame that is longer never passes: of a
    /// GSO frame all its bytes count, of a received one without its Ethernet
    /// header.
    pub burst_bytes: Option<u64>,
    /// Peak rate, bytes per second.
    pub peak_bytes_per_s: Option<u64>,
    /// Longer frames never pass, bytes. Of a GSO frame newer kernels hold the
    /// segments against it, older ones the whole frame.
    pub mtu_bytes: Option<u32>,
    /// Rate, packets per second.
    pub rate_packets_per_s: Option<u64>,
    /// What becomes of what exceeds.
    pub exceed: Verdict,
    /// What it has counted; none if the kernel told no counters.
    pub counters: Option<PoliceCounters>,
}

/// Where a filter is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Frames that the host receives from the device: of a tap, what the guest
    /// sends.
    #[default]
    Ingress,
    /// Frames that the host sends (`clsact`).
    Egress,
    /// Frames that the host sends, in a queueing discipline. Filters of its
    /// classes are not looked at.
    Queue(Handle),
}

/// What a policer does with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Drop it.
    #[default]
    Drop,
    /// Let it pass.
    Pass,
    /// Look at it again from the first filter on.
    Reclassify,
    /// Go on with the next action or filter.
    Continue,
    /// Something else, by the kernel's number.
    Other(i32),
}

/// Counters of a policer since it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoliceCounters {
    /// Bytes that it looked at; of received frames, without Ethernet headers.
    pub bytes: u64,
    /// Packets that it looked at: a GSO frame counts as its segments.
    pub packets: u64,
    /// Packets it dropped; 0 with another [`Policer::exceed`].
    pub drops: u64,
    /// Frames that exceeded: each GSO frame is one.
    pub overlimits: u64,
}
