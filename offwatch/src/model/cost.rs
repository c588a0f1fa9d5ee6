//! What software work costs on this host, as measured here.

use offwatch_common::{Checksumming, ExactWork};
use serde::Serialize;

use crate::sample::{ExactCounters, ExactHooks, Exactness, Sample, Unavailable};

/// Costs of software work. They hold for this host and for what it did since
/// offwatch started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Of a segment that is cut, with its checksum where that was computed, too.
    pub segment: Option<Measured>,
    /// Of a byte that `skb_checksum_help` sums.
    pub checksum_byte: Option<Measured>,
    /// Of a byte that `skb_crc32c_csum_help` (SCTP) sums.
    pub crc32c_byte: Option<Measured>,
}

/// A mean that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Nanoseconds, interrupts included.
    pub ns: f64,
    /// Calls of the kernel function that were timed.
    pub calls: u64,
    /// Segments or bytes of those calls.
    pub units: u64,
    /// Where the figure comes from.
    pub source: &'static str,
}

const HERE: &str = "measured on this host";

impl Cost {
    /// From the work done on the way to any device of the sample.
    pub(super) fn of(sample: &Sample, unavailable: &mut Unavailable) -> Self {
        let hooks: &ExactHooks = &sample.host.exact;
        let is_timed = [&hooks.segmentation, &hooks.checksum, &hooks.crc32c]
            .iter()
            .any(|hook| hook.method().is_ok());
        let work = || {
            let interfaces = sample.interfaces.iter().filter(|_| is_timed);
            let exact = interfaces.map(|interface| &interface.exact);
            exact.filter_map(|exact| match exact {
                ExactCounters::Counted(slot) => Some(&slot.to_device),
                ExactCounters::Unavailable(_) => None,
            })
        };
        let sums = |part: fn(&ExactWork) -> &Checksumming| {
            let parts = work().map(part);
            parts.fold((0, 0, 0), |(calls, units, ns), part| {
                (calls + part.calls, units + part.bytes, ns + part.ns)
            })
        };
        let cut = work().fold((0, 0, 0), |(calls, units, ns), work| {
            let cut = &work.segmentation;
            (calls + cut.calls, units + cut.segments, ns + cut.ns)
        });
        let mut measured = |field: &str, hook: &Exactness, sums, nothing: &str| {
            let result = measure(hook, sums, nothing);
            if let Err(reason) = &result {
                let reason = format!("not measurable here: {reason}");
                unavailable.insert(format!("cost.{field}"), reason);
            }
            result.ok()
        };
        Self {
            segment: measured("segment", &hooks.segmentation, cut, "no frame was cut"),
            checksum_byte: measured(
                "checksum_byte",
                &hooks.checksum,
                sums(|work| &work.checksum),
                "nothing was checksummed, or only while frames were cut",
            ),
            crc32c_byte: measured(
                "crc32c_byte",
                &hooks.crc32c,
                sums(|work| &work.crc32c),
                "no SCTP was checksummed",
            ),
        }
    }
}

fn measure(
    hook: &Exactness,
    (calls, units, ns): (u64, u64, u64),
    nothing: &str,
) -> Result<Measured, String> {
    hook.method()?;
    if units == 0 {
        return Err(nothing.to_owned());
    }
    Ok(Measured {
        ns: ns as f64 / units as f64,
        calls,
        units,
        source: HERE,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use offwatch_common::ExactSlot;

    use super::*;
    use crate::sample::{Interface, Method};

    fn interface(segments: u64, ns: u64) -> Interface {
        let mut slot = Box::<ExactSlot>::default();
        slot.to_device.segmentation.calls = 1;
        slot.to_device.segmentation.segments = segments;
        slot.to_device.segmentation.ns = ns;
        // The same work, seen from its source: not counted twice.
        slot.caused = slot.to_device;
        Interface {
            exact: ExactCounters::Counted(slot.into()),
            ..Interface::default()
        }
    }

    #[test]
    fn cost_is_the_mean_over_all_devices() {
        let mut sample = Sample {
            interfaces: vec![
                interface(40, 16_000).into(),
                interface(10, 9_000).into(),
                Arc::default(),
            ],
            ..Sample::default()
        };
        sample.host.exact.segmentation = Exactness::Exact(Method::Fexit);
        sample.host.exact.checksum = Exactness::Exact(Method::Kprobe);
        let mut unavailable = Unavailable::new();
        let cost = Cost::of(&sample, &mut unavailable);
        let expected = Measured {
            ns: 500.0,
            calls: 2,
            units: 50,
            source: "measured on this host",
        };
        assert_eq!(cost.segment, Some(expected));
        assert_eq!(cost.checksum_byte, None);
        assert!(unavailable["cost.checksum_byte"].starts_with("not measurable here: nothing"));
        let reason = &unavailable["cost.crc32c_byte"];
        assert_eq!(reason, "not measurable here: not in this recording");
    }
}
