//! What is known of an interface beside its frames.

use std::sync::Arc;

use serde::Serialize;

use super::offloads::{Catalogue, Guest, MACVTAP, Offloads, UNKNOWN};
use crate::sample::{
    self, Unavailable,
    offloads::{Fact, KernelCounters},
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
    pub limits: Option<Limits>,
    /// The kernel's own counters.
    pub kernel: Option<Kernel>,
    /// How often the kernel found a transmit queue stuck.
    pub tx_timeouts_total: Option<u64>,
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

/// Declares limits and, for kernels that do not tell one, why it is null.
macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident: $type:ty, $since:literal;)*) => {
        /// Limits of an interface.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Limits {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        impl Limits {
            fn of(limits: &sample::offloads::Limits, unavailable: &mut Unavailable) -> Self {
                $(
                    if limits.$field.is_none() {
                        let path = concat!("limits.", stringify!($field));
                        unavailable.insert(path.into(), concat!("needs Linux ", $since).into());
                    }
                )*
                Self {
                    $($field: limits.$field.clone(),)*
                }
            }
        }
    };
}

limits! {
    /// Longest GSO frame handed to the device, bytes.
    gso_max_size_bytes: u32, "4.8";
    /// Most segments of one.
    gso_max_segs: u32, "4.8";
    /// Longest IPv4 GSO frame, bytes.
    gso_ipv4_max_size_bytes: u32, "6.3";
    /// Longest frame that GRO makes, bytes.
    gro_max_size_bytes: u32, "5.19";
    /// Longest IPv4 frame that GRO makes, bytes.
    gro_ipv4_max_size_bytes: u32, "6.3";
    /// Longest frame that the device itself can segment, bytes.
    tso_max_size_bytes: u32, "5.19";
    /// Most segments of one.
    tso_max_segs: u32, "5.19";
    /// Root queueing discipline.
    qdisc: String, "2.6";
    /// Transmit queue length in frames: for a tap, the ring that the guest drains.
    tx_queue_frames: u32, "2.6";
    /// Transmit queues.
    tx_queues: u32, "3.4";
    /// Receive queues.
    rx_queues: u32, "3.4";
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
        match offloads
            .as_deref()
            .map(|offloads| &offloads.accepted_by_guest)
        {
            Some(Guest::Hidden) => {
                unavailable.insert("offloads.accepted_by_guest".into(), MACVTAP.into());
            }
            Some(Guest::Negotiated(accepted)) if !accepted.unknown.is_empty() => {
                unavailable.insert("offloads.accepted_by_guest.unknown".into(), UNKNOWN.into());
            }
            _ => {}
        }
        let mut explain = |field: &str, reason: Option<&str>| {
            if let Some(reason) = reason {
                unavailable.insert(field.into(), reason.into());
            }
        };
        explain("offloads", known.features.reason());
        explain("features_changed_total", known.features_changed.reason());
        explain("tap.napi", known.napi.as_ref().and_then(Fact::reason));
        explain("limits", found.limits.reason());
        explain("kernel", found.kernel.reason());
        explain("tx_timeouts_total", known.tx_timeouts.reason());
        Self {
            offloads,
            features_changed_total: known.features_changed.known().copied(),
            tap: known.tap.map(|tap| Tap {
                vnet_hdr: tap.vnet_hdr,
                multi_queue: tap.multi_queue,
                queues: tap.queues,
                napi: known.napi.as_ref().and_then(Fact::known).copied(),
            }),
            limits: found
                .limits
                .known()
                .map(|limits| Limits::of(limits, unavailable)),
            kernel: found
                .kernel
                .known()
                .map(|counters| Kernel::of(counters, now_ns)),
            tx_timeouts_total: known.tx_timeouts.known().copied(),
        }
    }

    /// Nothing, as there is no interface.
    pub(super) fn missing(reason: &str, unavailable: &mut Unavailable) -> Self {
        const FIELDS: [&str; 5] = [
            "offloads",
            "features_changed_total",
            "limits",
            "kernel",
            "tx_timeouts_total",
        ];
        unavailable.extend(FIELDS.map(|field| (field.to_owned(), reason.to_owned())));
        Self::default()
    }
}
