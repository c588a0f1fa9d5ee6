//! Software work by where its figures come from, and why some are missing.

use serde::Serialize;

use super::{
    duration::{NsRow, Percentiles},
    side::metrics,
};
use crate::sample::{ExactHooks, Exactness, Method, Unavailable};

/// How a figure of software work was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Means {
    /// Counted at the function that does it, by fentry and fexit.
    #[serde(rename = "exact by fexit")]
    Fexit,
    /// Counted at the function that does it, by kprobe and kretprobe.
    #[serde(rename = "exact by kprobe")]
    Kprobe,
    /// From what enters and leaves `validate_xmit_skb`.
    #[serde(rename = "derived")]
    Derived,
}

impl Means {
    /// Of an exact figure.
    pub(super) fn exact(hook: &Exactness) -> Option<Self> {
        hook.method().ok().map(|method| match method {
            Method::Fexit => Self::Fexit,
            Method::Kprobe => Self::Kprobe,
        })
    }

    /// Of all checksums: exact only if those of every function are. Of two
    /// methods it names the slower one.
    pub(super) fn checksums(hooks: &ExactHooks) -> Option<Self> {
        let methods = [&hooks.segmentation, &hooks.checksum, &hooks.crc32c].map(Self::exact);
        match methods {
            [Some(Self::Fexit), Some(Self::Fexit), Some(Self::Fexit)] => Some(Self::Fexit),
            [Some(_), Some(_), Some(_)] => Some(Self::Kprobe),
            _ => None,
        }
    }
}

/// Where the figures of software work come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkSources {
    /// How the segments were obtained.
    pub segments_by: Option<Means>,
    /// How the checksum bytes were obtained.
    pub checksum_bytes_by: Option<Means>,
    /// From what enters and leaves `validate_xmit_skb`.
    pub derived: Option<Derived>,
    /// Counted at the functions.
    pub exact: Option<Box<Exact>>,
}

metrics! {
    /// Software work derived from what enters and leaves `validate_xmit_skb`.
    Derived, DerivedTotals {
        /// Segments cut in software.
        software_segments_total / software_segments_per_s,
        /// Bytes checksummed in software.
        software_checksum_bytes_total / software_checksum_bytes_per_s,
    }
    /// The figures are lower bounds.
    software_work_approximate: bool,
}

metrics! {
    /// Software work counted and timed at the functions that do it.
    Exact, ExactTotals {
        /// Calls of `__skb_gso_segment` that cut a frame.
        segmentation_calls_total / segmentation_calls_per_s,
        /// Calls of it that only checked the headers of a frame that the device
        /// cuts: every super-frame of a guest is checked so.
        header_checks_total / header_checks_per_s,
        /// Calls of it that failed: the frame was dropped.
        segmentation_failures_total / segmentation_failures_per_s,
        /// Calls of it that left a part of the work to the device.
        partial_segmentations_total / partial_segmentations_per_s,
        /// Segments that came out.
        segments_total / segments_per_s,
        /// Payload bytes of the frames that were cut.
        segmentation_payload_bytes_total / segmentation_payload_bytes_per_s,
        /// Nanoseconds of the calls that cut, checksums of the segments included.
        segmentation_ns_total / segmentation_ns_per_s,
        /// Bytes checksummed while cutting.
        segmentation_checksum_bytes_total / segmentation_checksum_bytes_per_s,
        /// Calls of `skb_checksum_help` that computed a checksum.
        checksum_calls_total / checksum_calls_per_s,
        /// Bytes that they summed.
        checksum_bytes_total / checksum_bytes_per_s,
        /// Nanoseconds that they took.
        checksum_ns_total / checksum_ns_per_s,
        /// Calls of it that failed: the frame was dropped.
        checksum_failures_total / checksum_failures_per_s,
        /// Calls of `skb_crc32c_csum_help` (SCTP) that computed a checksum.
        crc32c_calls_total / crc32c_calls_per_s,
        /// Bytes that they summed.
        crc32c_bytes_total / crc32c_bytes_per_s,
        /// Nanoseconds that they took.
        crc32c_ns_total / crc32c_ns_per_s,
        /// Calls of it that failed: the frame was dropped.
        crc32c_failures_total / crc32c_failures_per_s,
    }
    /// Calls that cut a frame by duration, in nanoseconds.
    segmentation_ns_histogram: Option<Vec<NsRow>>,
    /// How long such a call takes.
    segmentation_ns_percentiles: Option<Percentiles>,
}

/// Why figures are missing.
pub(super) struct Reasons<'sample> {
    /// Why nothing is derived.
    pub(super) derived: &'sample str,
    /// Why nothing is exact, if no function is at fault.
    pub(super) exact: &'sample str,
    pub(super) no_rate: &'sample str,
}

impl WorkSources {
    /// Tells for each value that is missing why.
    pub(super) fn explain(
        &self,
        path: &str,
        hooks: &ExactHooks,
        reasons: &Reasons<'_>,
        unavailable: &mut Unavailable,
    ) {
        for (field, means) in [
            ("segments_by", self.segments_by),
            ("checksum_bytes_by", self.checksum_bytes_by),
        ] {
            if means.is_none() {
                unavailable.insert(format!("{path}.{field}"), reasons.derived.into());
            }
        }
        let derived = format!("{path}.derived");
        match &self.derived {
            Some(work) => {
                work.explain(&derived, |_| String::new(), reasons.no_rate, unavailable);
            }
            None => {
                unavailable.insert(derived, reasons.derived.into());
            }
        }
        let exact = format!("{path}.exact");
        let Some(work) = &self.exact else {
            let reason = match hooks.segmentation.method() {
                Err(reason) if reasons.exact.is_empty() => reason,
                _ => reasons.exact,
            };
            unavailable.insert(exact, reason.into());
            return;
        };
        let of_function = |field: &str| {
            let hook = match field {
                _ if field.starts_with("checksum") => &hooks.checksum,
                _ if field.starts_with("crc32c") => &hooks.crc32c,
                _ => &hooks.segmentation,
            };
            hook.method().err().unwrap_or_default().to_owned()
        };
        work.explain(&exact, of_function, reasons.no_rate, unavailable);
        if work.segmentation_ns_histogram.is_none() {
            let reason = of_function("segmentation");
            unavailable.insert(format!("{exact}.segmentation_ns_histogram"), reason);
        }
        match &work.segmentation_ns_percentiles {
            Some(percentiles) => {
                percentiles.explain(&format!("{exact}.segmentation_ns_percentiles"), unavailable);
            }
            None => {
                let reason = match of_function("segmentation") {
                    reason if reason.is_empty() => "no frame was cut".into(),
                    reason => reason,
                };
                unavailable.insert(format!("{exact}.segmentation_ns_percentiles"), reason);
            }
        }
    }
}
