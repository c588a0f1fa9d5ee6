//! What the kernel says about the whole host.

use serde::{Deserialize, Serialize};

use super::offloads::Fact;

/// What the kernel says about the whole host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Counters of the host's own TCP and UDP in the observed namespace.
    pub protocols: Fact<ProtocolCounters>,
    /// Signs of faults in the kernel's log.
    pub kernel_log: Fact<KernelLog>,
}

/// Counters of the host's own TCP and UDP, since the namespace exists. Guests
/// have their own. `None` where the kernel does not count something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolCounters {
    /// TCP segments received.
    pub tcp_in_segs: Option<u64>,
    /// TCP segments sent, without those sent again.
    pub tcp_out_segs: Option<u64>,
    /// TCP segments sent again.
    pub tcp_retrans_segs: Option<u64>,
    /// TCP segments with a wrong checksum.
    pub tcp_in_csum_errors: Option<u64>,
    /// UDP datagrams over IPv4 with a wrong checksum.
    pub udp4_in_csum_errors: Option<u64>,
    /// TCP retransmission timeouts.
    pub tcp_timeouts: Option<u64>,
    /// TCP segments sent again and lost again.
    pub tcp_lost_retransmits: Option<u64>,
}

/// Signs of offload faults in the kernel's log. The kernel limits the rate of
/// most of them, and tells some only once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelLog {
    /// Every record since boot was read; none was overwritten before.
    pub complete: bool,
    /// Those that were found.
    pub signs: Vec<SignCount>,
}

/// How often a sign was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignCount {
    /// What was found.
    pub sign: Sign,
    /// How often.
    pub count: u64,
    /// When last, in microseconds after boot, as `dmesg` has it.
    pub last_us: u64,
}

/// A sign of an offload fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// A GSO frame whose checksum or type does not fit (`skb_warn_bad_offload`).
    BadOffload,
    /// Frames merged by LRO were to be forwarded, and were dropped
    /// (`__skb_warn_lro_forwarding`).
    LroForwarding,
    /// A transmit queue was stuck (`NETDEV WATCHDOG`).
    TxTimeout,
    /// A device vouched for a checksum that is wrong (`hw csum failure`).
    RxChecksum,
    /// A device merges frames to ones that TCP finds implausible.
    SuspectGro,
}
