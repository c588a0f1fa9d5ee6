//! One direction of an interface.

use std::{collections::BTreeMap, time::Duration};

use offwatch_common::{Traffic, class, histogram, kind};
use serde::Serialize;

use super::{
    exact::WorkSources,
    figures::Shown,
    histogram::{HistogramRow, rows, since},
};
use crate::sample::{Blind, Unavailable};

/// Declares totals and rates together, so that neither is forgotten.
macro_rules! metrics {
    ($(#[$doc:meta])* $name:ident, $totals:ident {
        $($(#[$field_doc:meta])* $total:ident / $rate:ident,)*
    } $($(#[$extra_doc:meta])* $extra:ident: $type:ty,)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        pub struct $name {
            $(
                $(#[$field_doc])*
                pub $total: Option<u64>,
                /// The same per second over the interval.
                pub $rate: Option<f64>,
            )*
            $($(#[$extra_doc])* pub $extra: $type,)*
        }

        /// Values of the totals at one moment.
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct $totals {
            $(pub(crate) $total: Option<u64>,)*
        }

        impl $name {
            /// Totals of now, and rates since `before`; whether totals may fall.
            // Where there are no extra fields.
            #[allow(clippy::needless_update)]
            pub(super) fn measure(
                now: $totals,
                before: Option<$totals>,
                interval: Option<std::time::Duration>,
                may_fall: bool,
            ) -> Self {
                let rate = |field: &str, now: Option<u64>, before: Option<u64>| {
                    let may_fall = may_fall || field.starts_with("software");
                    $crate::model::side::rate(now, before, interval, may_fall)
                };
                Self {
                    $(
                        $total: now.$total,
                        $rate: rate(
                            stringify!($total),
                            now.$total,
                            before.and_then(|before| before.$total),
                        ),
                    )*
                    ..Self::default()
                }
            }

            /// Tells for each value that is missing why; `no_rate` is why there
            /// are totals without rates.
            pub(super) fn explain(
                &self,
                path: &str,
                reason: impl Fn(&str) -> String,
                no_rate: &str,
                unavailable: &mut Unavailable,
            ) {
                $(
                    if self.$total.is_none() {
                        let why = reason(stringify!($total));
                        unavailable.insert(format!("{path}.{}", stringify!($total)), why.clone());
                        unavailable.insert(format!("{path}.{}", stringify!($rate)), why);
                    } else if self.$rate.is_none() {
                        unavailable.insert(
                            format!("{path}.{}", stringify!($rate)),
                            no_rate.into(),
                        );
                    }
                )*
            }
        }
    };
}
pub(super) use metrics;

/// A total's growth per second. Derived work is a lower bound, which may fall; a
/// counter may not, unless of frames that a driver drops.
pub(super) fn rate(
    now: Option<u64>,
    before: Option<u64>,
    interval: Option<Duration>,
    may_fall: bool,
) -> Option<f64> {
    let seconds = interval?.as_secs_f64();
    let grown = match now?.checked_sub(before?) {
        None if may_fall => 0,
        grown => grown?,
    };
    Some(grown as f64 / seconds)
}

metrics! {
    /// Frames of one direction. Bytes are those of whole frames, MAC header and
    /// VLAN tag included, as the kernel's own counters of a tap have them.
    Side, SideTotals {
        /// Frames; a GSO frame is one.
        packets_total / packets_per_s,
        /// Bytes.
        bytes_total / bytes_per_s,
        /// GSO frames.
        gso_packets_total / gso_packets_per_s,
        /// Segments that the GSO frames stand for.
        gso_segments_total / gso_segments_per_s,
        /// Bytes of GSO frames.
        gso_bytes_total / gso_bytes_per_s,
        /// Frames whose checksum is still to be computed.
        partial_packets_total / partial_packets_per_s,
        /// Bytes of those frames.
        partial_bytes_total / partial_bytes_per_s,
        /// Frames that are not GSO and exceed the device's MTU.
        oversize_packets_total / oversize_packets_per_s,
        /// Segments cut in software on the way to the device.
        software_segments_total / software_segments_per_s,
        /// Bytes checksummed in software on the way to the device.
        software_checksum_bytes_total / software_checksum_bytes_per_s,
        /// Frames the kernel dropped while they belonged to the device.
        drops_total / drops_per_s,
        /// DHCP over IPv4: from a VM, broadcasts of its client; to a VM, answers
        /// whose checksum is still to be computed.
        dhcp_packets_total / dhcp_packets_per_s,
    }
    /// Frames were dropped or are waiting before the device, so the software
    /// work is a lower bound.
    software_work_approximate: bool,
    /// Where the figures of software work come from.
    software_work: Option<WorkSources>,
    /// GSO frames by protocol class.
    gso_packets_by_class_total: Option<BTreeMap<&'static str, u64>>,
    /// GSO frames by segment size (`gso_size`), in bytes.
    gso_size_histogram: Option<Vec<HistogramRow>>,
    /// Frames by length, in bytes.
    length_histogram: Vec<HistogramRow>,
    /// GSO frames of the interval by segment size.
    gso_size_interval_histogram: Option<Vec<HistogramRow>>,
    /// Frames of the interval by length.
    length_interval_histogram: Option<Vec<HistogramRow>>,
}

impl SideTotals {
    /// Whether there may be less than before of what the host sends: a frame is counted
    /// before the driver takes it, and taken back if that drops it, as for a full ring.
    /// A sample in between has one more on each processor.
    pub(super) fn sent_may_fall(&self) -> bool {
        self.drops_total.is_some_and(|drops| drops != 0)
    }

    /// Totals of one direction; `work` is that done on the way to the device.
    pub(super) fn of(traffic: &Traffic, work: Shown, blind: Blind) -> Self {
        let gso = |value: u64| blind.gso.is_none().then_some(value);
        let sum = |field: fn(&offwatch_common::Count) -> u64, bit: usize| {
            let kinds = traffic.kinds.iter().enumerate();
            kinds
                .filter(|(index, _)| index & bit == bit)
                .map(|(_, count)| field(count))
                .sum()
        };
        Self {
            packets_total: Some(sum(|count| count.packets, 0)),
            bytes_total: Some(sum(|count| count.bytes, 0)),
            gso_packets_total: gso(sum(|count| count.packets, kind::GSO)),
            gso_segments_total: gso(traffic.gso_segments),
            gso_bytes_total: gso(sum(|count| count.bytes, kind::GSO)),
            partial_packets_total: Some(sum(|count| count.packets, kind::PARTIAL)),
            partial_bytes_total: Some(sum(|count| count.bytes, kind::PARTIAL)),
            oversize_packets_total: gso(traffic.oversize_packets),
            software_segments_total: work.segments,
            software_checksum_bytes_total: work.checksum_bytes,
            drops_total: blind.drops.is_none().then_some(traffic.drop_packets),
            dhcp_packets_total: gso(traffic.dhcp_packets),
        }
    }
}

impl Side {
    /// Adds what has no rate.
    pub(super) fn with_details(mut self, traffic: &Traffic, work: Shown, blind: Blind) -> Self {
        self.software_work_approximate = work.approximate;
        if blind.gso.is_none() {
            let classes = class::NAMES.into_iter().zip(traffic.gso_classes);
            let seen = classes.filter(|(_, count)| *count != 0).collect();
            self.gso_packets_by_class_total = Some(seen);
            self.gso_size_histogram = Some(rows(&traffic.gso_sizes, histogram::gso_size_range));
        }
        self.length_histogram = rows(&traffic.lengths, histogram::length_range);
        self
    }

    /// Adds the histograms of the interval; whether counts may fall.
    pub(super) fn with_interval(
        mut self,
        traffic: &Traffic,
        before: Option<&Traffic>,
        blind: Blind,
        may_fall: bool,
    ) -> Self {
        let Some(before) = before else { return self };
        if blind.gso.is_none() {
            self.gso_size_interval_histogram = since(
                &traffic.gso_sizes,
                &before.gso_sizes,
                histogram::gso_size_range,
                may_fall,
            );
        }
        self.length_interval_histogram = since(
            &traffic.lengths,
            &before.lengths,
            histogram::length_range,
            may_fall,
        );
        self
    }

    /// Tells for each value that is missing why. Work is that done on the way
    /// to the device, if this is that way.
    pub(super) fn explain_all(
        &self,
        path: &str,
        blind: Blind,
        work_reason: &str,
        no_rate: &str,
        unavailable: &mut Unavailable,
    ) {
        let reason = |field: &str| {
            let reason = match field {
                _ if field.starts_with("software") => Some(blind.work.unwrap_or(work_reason)),
                "drops_total" => blind.drops,
                _ => blind.gso,
            };
            reason.unwrap_or_default().to_owned()
        };
        self.explain(path, reason, no_rate, unavailable);
        let mut explain = |field: &str, why: &str| {
            unavailable.insert(format!("{path}.{field}"), why.to_owned());
        };
        if self.gso_size_interval_histogram.is_none() {
            explain("gso_size_interval_histogram", blind.gso.unwrap_or(no_rate));
        }
        if self.length_interval_histogram.is_none() {
            explain("length_interval_histogram", no_rate);
        }
        if let Some(reason) = blind.gso {
            for field in ["gso_packets_by_class_total", "gso_size_histogram"] {
                explain(field, reason);
            }
        }
    }
}
