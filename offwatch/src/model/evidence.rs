//! What the kernel says about the whole host.

use std::time::Duration;

use serde::Serialize;

use super::side::metrics;
use crate::sample::{
    Unavailable,
    evidence::{self, ProtocolCounters, Sign},
};

/// What the kernel says about the whole host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// Counters of the host's own TCP and UDP.
    pub protocols: Option<Protocols>,
    /// Signs of faults in the kernel's log.
    pub kernel_log: Option<KernelLog>,
}

metrics! {
    /// Counters of the host's own TCP and UDP in the observed namespace, since
    /// that exists. Guests have their own.
    Protocols, ProtocolTotals {
        /// TCP segments received.
        tcp_in_segs_total / tcp_in_segs_per_s,
        /// TCP segments sent, without those sent again.
        tcp_out_segs_total / tcp_out_segs_per_s,
        /// TCP segments sent again.
        tcp_retrans_segs_total / tcp_retrans_segs_per_s,
        /// TCP segments with a wrong checksum.
        tcp_in_csum_errors_total / tcp_in_csum_errors_per_s,
        /// UDP datagrams over IPv4 with a wrong checksum.
        udp4_in_csum_errors_total / udp4_in_csum_errors_per_s,
        /// TCP retransmission timeouts.
        tcp_timeouts_total / tcp_timeouts_per_s,
        /// TCP segments sent again and lost again.
        tcp_lost_retransmits_total / tcp_lost_retransmits_per_s,
    }
}

impl ProtocolTotals {
    fn of(counters: &ProtocolCounters) -> Self {
        Self {
            tcp_in_segs_total: counters.tcp_in_segs,
            tcp_out_segs_total: counters.tcp_out_segs,
            tcp_retrans_segs_total: counters.tcp_retrans_segs,
            tcp_in_csum_errors_total: counters.tcp_in_csum_errors,
            udp4_in_csum_errors_total: counters.udp4_in_csum_errors,
            tcp_timeouts_total: counters.tcp_timeouts,
            tcp_lost_retransmits_total: counters.tcp_lost_retransmits,
        }
    }
}

/// Signs of offload faults in the kernel's log. The kernel limits the rate of
/// most of them, and tells some only once.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KernelLog {
    /// The log still held every record since boot; else counts are lower bounds.
    pub complete: bool,
    /// Those that were found.
    pub signs: Vec<SignCount>,
}

/// How often a sign was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SignCount {
    /// What was found.
    pub sign: Sign,
    /// How often since boot.
    pub total: u64,
    /// When last, in seconds after boot, as `dmesg` has it.
    pub last_seconds_after_boot: f64,
}

impl Evidence {
    /// What is known now, and rates since `before`; tells of each missing value
    /// why. `no_rate` is why there are totals without rates.
    pub(super) fn of(
        now: &evidence::Evidence,
        before: Option<&evidence::Evidence>,
        interval: Option<Duration>,
        no_rate: &str,
        unavailable: &mut Unavailable,
    ) -> Self {
        let earlier = before.and_then(|before| before.protocols.known());
        let protocols = now.protocols.known().map(|counters| {
            let earlier = earlier.map(ProtocolTotals::of);
            Protocols::measure(ProtocolTotals::of(counters), earlier, interval)
        });
        if let Some(protocols) = &protocols {
            let reason = |_: &str| "this kernel does not count it".to_owned();
            protocols.explain("evidence.protocols", reason, no_rate, unavailable);
        }
        let reasons = [
            ("evidence.protocols", now.protocols.reason()),
            ("evidence.kernel_log", now.kernel_log.reason()),
        ];
        for (field, reason) in reasons {
            if let Some(reason) = reason {
                unavailable.insert(field.into(), reason.into());
            }
        }
        Self {
            protocols,
            kernel_log: now.kernel_log.known().map(KernelLog::of),
        }
    }
}

impl KernelLog {
    fn of(log: &evidence::KernelLog) -> Self {
        let signs = log.signs.iter().map(|found| SignCount {
            sign: found.sign,
            total: found.count,
            last_seconds_after_boot: found.last_us as f64 / 1e6,
        });
        Self {
            complete: log.complete,
            signs: signs.collect(),
        }
    }
}
