//! What is known of an interface beside its frames.

use std::sync::Arc;

use serde::Serialize;

use super::offloads::{Catalogue, Guest, MACVTAP, Offloads};
use crate::sample::{
    self, Unavailable,
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
        }
    }
}

impl Facts {
    /// What is known of `found`; tells of each missing fact why.
    pub(super) fn of(
        found: &sample::Interface,
        catalogue: &Catalogue,
        now_ns: u64,
        unavailable: &mut Unavailable,
    ) -> Self {
        let known = &found.offloads;
        let offloads = catalogue.get(found);
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
                .map(|counters| Kernel::of(counters, now_ns)),
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
