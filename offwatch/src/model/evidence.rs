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
            Protocols::measure(ProtocolTotals::of(counters), earlier, interval, false)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{evidence::SignCount as Found, offloads::Fact};

    fn now(retrans: u64) -> evidence::Evidence {
        evidence::Evidence {
            protocols: Fact::Known(ProtocolCounters {
                tcp_retrans_segs: Some(retrans),
                ..ProtocolCounters::default()
            }),
            kernel_log: Fact::Known(evidence::KernelLog {
                complete: false,
                signs: vec![Found {
                    sign: Sign::BadOffload,
                    count: 2,
                    last_us: 1_500_000,
                }],
            }),
        }
    }

    #[test]
    fn totals_rates_and_signs_are_shown() {
        let mut unavailable = Unavailable::new();
        let interval = Some(Duration::from_secs(2));
        let evidence = Evidence::of(&now(30), Some(&now(10)), interval, "", &mut unavailable);
        let json = serde_json::to_value(&evidence).expect("plain data");
        let protocols = &json["protocols"];
        assert_eq!(protocols["tcp_retrans_segs_total"], 30);
        assert_eq!(protocols["tcp_retrans_segs_per_s"], 10.0);
        let log = serde_json::json!({
            "complete": false,
            "signs": [{"sign": "bad_offload", "total": 2, "last_seconds_after_boot": 1.5}],
        });
        assert_eq!(json["kernel_log"], log);
        let values = protocols.as_object().expect("an object").iter();
        for (field, value) in values {
            let path = format!("evidence.protocols.{field}");
            assert_eq!(value.is_null(), unavailable.contains_key(&path), "{path}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_null_with_its_reason() {
        let mut unavailable = Unavailable::new();
        let hidden = evidence::Evidence {
            kernel_log: Fact::unavailable("CAP_SYSLOG missing"),
            ..evidence::Evidence::default()
        };
        let evidence = Evidence::of(&hidden, None, None, "first sample", &mut unavailable);
        assert_eq!(evidence, Evidence::default());
        assert_eq!(unavailable["evidence.kernel_log"], "CAP_SYSLOG missing");
        assert!(unavailable["evidence.protocols"].contains("recording"));
    }
}
