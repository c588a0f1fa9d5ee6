//! What is known of an interface beside its frames.

use std::sync::Arc;

use serde::Serialize;

use super::offloads::{Catalogue, Guest, MACVTAP, Offloads};
use crate::sample::{
    self, Sample, Unavailable,
    offloads::{Fact, KernelCounters, Limits},
};

/// Offloads, limits and the kernel's own counters of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Its offload features.
    pub offloads: Option<Arc<Offloads>>,
    /// How often active features changed since offwatch began to observe the
    /// interface: by an administrator, or as a guest's driver negotiated.
    pub features_changed_total: Option<u64>,
    /// How the tap was made; of taps only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tap: Option<Tap>,
    /// Its limits.
    pub limits: Option<Arc<Limits>>,
    /// The kernel's own counters.
    pub kernel: Option<Kernel>,
    /// How often the kernel found a transmit queue stuck; of hardware only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_timeouts_total: Option<Option<u64>>,
}

/// How a tap was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tap {
    /// Frames carry a virtio header (`IFF_VNET_HDR`); without it no offload
    /// passes, in either direction.
    pub vnet_hdr: bool,
    /// Made for several queues (`IFF_MULTI_QUEUE`).
    pub multi_queue: bool,
    /// Queues in use.
    pub queues: u32,
    /// GRO works on what the guest sends (`IFF_NAPI`); else `rx-gro` means nothing.
    pub napi: Option<bool>,
}

/// The kernel's own counters since the interface exists, from the host's side,
/// as `ip -s link` has them: of a tap, `rx` is what the guest sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// How old they are, in milliseconds: of very many interfaces, some are
    /// read for each sample.
    pub age_ms: u64,
    /// Frames received; a GSO frame is one.
    pub rx_packets_total: u64,
    /// Their bytes.
    pub rx_bytes_total: u64,
    /// Frames refused on receipt.
    pub rx_dropped_total: u64,
    /// Bad frames received.
    pub rx_errors_total: u64,
    /// Frames sent; of a tap, read by the guest.
    pub tx_packets_total: u64,
    /// Their bytes.
    pub tx_bytes_total: u64,
    /// Frames dropped on sending; of a tap, as its ring was full.
    pub tx_dropped_total: u64,
    /// Frames that could not be sent.
    pub tx_errors_total: u64,
    /// Of these, for want of a carrier.
    pub tx_carrier_errors_total: u64,
}

impl Kernel {
    fn of(counters: &KernelCounters, now_ns: u64) -> Self {
        Self {
            age_ms: now_ns.saturating_sub(counters.monotonic_ns) / 1_000_000,
            rx_packets_total: counters.rx_packets,
            rx_bytes_total: counters.rx_bytes,
            rx_dropped_total: counters.rx_dropped,
            rx_errors_total: counters.rx_errors,
            tx_packets_total: counters.tx_packets,
            tx_bytes_total: counters.tx_bytes,
            tx_dropped_total: counters.tx_dropped,
            tx_errors_total: counters.tx_errors,
            tx_carrier_errors_total: counters.tx_carrier_errors,
        }
    }
}

impl Facts {
    /// What is known of `found`; tells of each missing fact why.
    pub(super) fn of(
        found: &sample::Interface,
        catalogue: &Catalogue,
        sample: &Sample,
        unavailable: &mut Unavailable,
    ) -> Self {
        let known = &found.offloads;
        let offloads = catalogue.get(found, &sample.host.feature_names);
        let mut explain = |field: &str, reason: Option<&str>| {
            if let Some(reason) = reason {
                unavailable.insert(field.into(), reason.into());
            }
        };
        if let Some(offloads) = &offloads
            && offloads.accepted_by_guest == Guest::Hidden
        {
            explain("offloads.accepted_by_guest", Some(MACVTAP));
        }
        let (napi, timeouts) = (known.napi.as_ref(), known.tx_timeouts.as_ref());
        explain("offloads", known.features.reason());
        explain("features_changed_total", known.features_changed.reason());
        explain("tap.napi", napi.and_then(Fact::reason));
        explain("limits", found.limits.reason());
        explain("kernel", found.kernel.reason());
        explain("tx_timeouts_total", timeouts.and_then(Fact::reason));
        if let Fact::Known(limits) = &found.limits {
            for (field, since) in untold(limits) {
                explain(field, Some(since));
            }
        }
        Self {
            offloads,
            features_changed_total: known.features_changed.known().copied(),
            tap: known.tap.map(|tap| Tap {
                vnet_hdr: tap.vnet_hdr,
                multi_queue: tap.multi_queue,
                queues: tap.queues,
                napi: napi.and_then(Fact::known).copied(),
            }),
            limits: found.limits.known().cloned(),
            kernel: found
                .kernel
                .known()
                .map(|counters| Kernel::of(counters, sample.monotonic_ns)),
            tx_timeouts_total: timeouts.map(|timeouts| timeouts.known().copied()),
        }
    }

    /// Nothing, as there is no interface.
    pub(super) fn missing(reason: &str, unavailable: &mut Unavailable) -> Self {
        const FIELDS: [&str; 4] = ["offloads", "features_changed_total", "limits", "kernel"];
        unavailable.extend(FIELDS.map(|field| (field.to_owned(), reason.to_owned())));
        Self::default()
    }
}

/// Limits that the kernel does not tell, and why.
fn untold(limits: &Limits) -> impl Iterator<Item = (&'static str, &'static str)> {
    const EVER: &str = "the kernel does not tell it of this interface";
    const GRO_AND_TSO: &str = "needs Linux 5.19";
    const IPV4: &str = "needs Linux 6.3";
    [
        (
            "limits.gso_max_size_bytes",
            limits.gso_max_size_bytes.is_some(),
            EVER,
        ),
        ("limits.gso_max_segs", limits.gso_max_segs.is_some(), EVER),
        (
            "limits.gso_ipv4_max_size_bytes",
            limits.gso_ipv4_max_size_bytes.is_some(),
            IPV4,
        ),
        (
            "limits.gro_max_size_bytes",
            limits.gro_max_size_bytes.is_some(),
            GRO_AND_TSO,
        ),
        (
            "limits.gro_ipv4_max_size_bytes",
            limits.gro_ipv4_max_size_bytes.is_some(),
            IPV4,
        ),
        (
            "limits.tso_max_size_bytes",
            limits.tso_max_size_bytes.is_some(),
            GRO_AND_TSO,
        ),
        (
            "limits.tso_max_segs",
            limits.tso_max_segs.is_some(),
            GRO_AND_TSO,
        ),
        ("limits.qdisc", limits.qdisc.is_some(), EVER),
        (
            "limits.tx_queue_frames",
            limits.tx_queue_frames.is_some(),
            EVER,
        ),
        ("limits.tx_queues", limits.tx_queues.is_some(), EVER),
        ("limits.rx_queues", limits.rx_queues.is_some(), EVER),
    ]
    .into_iter()
    .filter(|(_, is_told, _)| !is_told)
    .map(|(field, _, reason)| (field, reason))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sample::{
        Interface, Kind,
        offloads::{FeatureNames, FeatureSet, Features},
    };

    fn facts(found: &Interface) -> (Value, Unavailable) {
        let names = FeatureNames(vec!["tx-scatter-gather".into()]);
        let mut sample = Sample::default();
        sample.host.feature_names = names;
        sample.monotonic_ns = 5_000_000;
        let mut unavailable = Unavailable::new();
        let facts = Facts::of(found, &Catalogue::default(), &sample, &mut unavailable);
        (
            serde_json::to_value(facts).expect("plain data"),
            unavailable,
        )
    }

    /// Every null is explained, and nothing else is.
    fn assert_explained(value: &Value, unavailable: &Unavailable) {
        let mut nulls = Vec::new();
        find_nulls(value, "", &mut nulls);
        let explained: Vec<&str> = unavailable.keys().map(String::as_str).collect();
        nulls.sort_unstable();
        assert_eq!(nulls, explained);
        assert!(unavailable.values().all(|reason| !reason.is_empty()));
    }

    fn find_nulls(value: &Value, path: &str, nulls: &mut Vec<String>) {
        let Value::Object(fields) = value else {
            nulls.extend(value.is_null().then(|| path.to_owned()));
            return;
        };
        for (name, value) in fields {
            let dot = if path.is_empty() { "" } else { "." };
            find_nulls(value, &format!("{path}{dot}{name}"), nulls);
        }
    }

    fn tap() -> Interface {
        let on = FeatureSet::from_words(&[1]).expect("one word");
        Interface {
            kind: Kind::Tap,
            offloads: Arc::new(sample::offloads::Offloads {
                features: Fact::Known(Features {
                    changeable: on,
                    wanted: on,
                    active: on,
                    ..Features::default()
                }),
                features_changed: Fact::Known(3),
                tap: Some(sample::offloads::Tap {
                    vnet_hdr: true,
                    multi_queue: false,
                    queues: 1,
                }),
                napi: Some(Fact::Known(false)),
                tx_timeouts: None,
            }),
            limits: Fact::Known(Arc::new(Limits {
                gso_max_size_bytes: Some(65_536),
                ..Limits::default()
            })),
            kernel: Fact::Known(KernelCounters {
                monotonic_ns: 2_000_000,
                tx_dropped: 7,
                ..KernelCounters::default()
            }),
            ..Interface::default()
        }
    }

    #[test]
    fn what_is_known_is_shown() {
        let (shown, unavailable) = facts(&tap());
        assert_eq!(shown["offloads"]["active"]["on"][0], "tx-scatter-gather");
        assert_eq!(shown["features_changed_total"], 3);
        assert_eq!(shown["tap"]["vnet_hdr"], true);
        assert_eq!(shown["kernel"]["tx_dropped_total"], 7);
        assert_eq!(shown["kernel"]["age_ms"], 3);
        assert_eq!(shown["limits"]["gso_max_size_bytes"], 65_536);
        assert_eq!(
            unavailable["limits.gso_ipv4_max_size_bytes"],
            "needs Linux 6.3"
        );
        assert_eq!(
            shown.get("tx_timeouts_total"),
            None,
            "a tap has no watchdog"
        );
        assert_explained(&shown, &unavailable);
    }

    #[test]
    fn what_is_not_known_is_null_with_its_reason() {
        let mut hidden = tap();
        hidden.limits = Fact::unavailable("no limits");
        hidden.kernel = Fact::unavailable("no counters");
        hidden.offloads = Arc::new(sample::offloads::Offloads {
            features: Fact::unavailable("no features"),
            features_changed: Fact::unavailable("no changes"),
            napi: Some(Fact::unavailable("no flags")),
            tx_timeouts: Some(Fact::unavailable("no sysfs")),
            ..(*hidden.offloads).clone()
        });
        let (shown, unavailable) = facts(&hidden);
        assert_eq!(unavailable["tap.napi"], "no flags");
        assert_eq!(unavailable["tx_timeouts_total"], "no sysfs");
        assert_eq!(unavailable.len(), 6);
        assert_explained(&shown, &unavailable);

        let mut macvtap = tap();
        macvtap.kind = Kind::Other("macvtap".into());
        let (shown, unavailable) = facts(&macvtap);
        assert!(unavailable["offloads.accepted_by_guest"].contains("macvtap"));
        assert_explained(&shown, &unavailable);
    }

    #[test]
    fn an_older_recording_and_a_missing_interface_say_so() {
        let (shown, unavailable) = facts(&Interface::default());
        let reason = "the recording does not hold it";
        assert!(
            unavailable.values().all(|why| why == reason),
            "{unavailable:?}"
        );
        assert_explained(&shown, &unavailable);
        let mut unavailable = Unavailable::new();
        let missing = Facts::missing("not here", &mut unavailable);
        let missing = serde_json::to_value(missing).expect("plain data");
        assert_explained(&missing, &unavailable);
    }
}
