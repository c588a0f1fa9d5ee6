//! What was measured in one period.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sample::offloads::Fact;

/// Whether the change was made in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// It was not.
    #[default]
    Without,
    /// It was.
    With,
}

/// What was measured in one period, of all interfaces of the trial together.
/// Directions are the guest's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// Its round, from 1.
    pub round: u32,
    /// Whether the change was made.
    pub side: Side,
    /// Its length.
    pub seconds: f64,
    /// To the guest.
    pub received: Way,
    /// From the guest.
    pub sent: Way,
    /// Segments that the host cut in software on the way to the guest.
    pub software_segments: Fact<u64>,
    /// Bytes that the host summed for checksums on the way to the guest.
    pub checksum_bytes: Fact<u64>,
    /// Frames that were dropped for a checksum.
    pub checksum_drops: Fact<u64>,
    /// CPU time.
    pub cpu: Cpu,
}

/// One direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Way {
    /// Frames; a GSO frame is one.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Payload that arrived for the first time: of TCP, what was not sent again,
    /// from captured headers; of everything else, its frames' bytes.
    pub goodput_bytes: Fact<u64>,
    /// Frames that were dropped.
    pub drops: Fact<u64>,
    /// TCP segments.
    pub tcp_segments: Fact<u64>,
    /// TCP segments that were sent again.
    pub retransmitted_segments: Fact<u64>,
}

/// CPU time in a period, nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// All CPUs of the host, guests included: what was not idle, nor stolen, nor used
    /// by offwatch's own process.
    pub host_ns: Fact<u64>,
    /// Soft interrupts of all CPUs, by ticks of the kernel.
    pub softirq_ns: Fact<u64>,
    /// The VM's process, virtual CPUs and vhost included.
    pub vm_ns: Fact<u64>,
    /// Its virtual CPUs.
    pub vcpu_ns: Fact<u64>,
    /// Its vhost threads.
    pub vhost_ns: Fact<u64>,
}
