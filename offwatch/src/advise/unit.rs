//! What one unit of software work costs: measured where it is done, by a trial, or
//! from a table.

use super::{
    price::{Basis, Range},
    window::{Carrier, Window},
};
use crate::model::{Means, Measured};

/// What one unit of work costs.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitCost {
    pub(super) ns: Range,
    pub(super) basis: Basis,
}

type Table = (Range, &'static str);

/// Cutting one segment, without what the segment then costs as a frame.
const SEGMENT: Table = (
    Range::new(460.0, 330.0, 590.0),
    "offwatch's own measurement: 64 KB frames from tap to tap, whole and cut into 44, on a \
     shared 2-CPU virtual machine",
);
/// What a further frame takes on its way through the host to a guest. Published
/// figures are for segment and frame together, 2.6 and 3.1 us on CPUs of 2013;
/// a segment is taken off, and the range is wide.
const FRAME: Table = (
    Range::new(2_000.0, 500.0, 4_500.0),
    "Linux commits cb32f511a70b (IPIP) and 2e3bd6a40865 (SIT): CPU time per KB with and without \
     segmentation offload",
);
/// The same where a process reads each frame from the tap, the guest takes each as a
/// frame of its own, and answers more often. Between what was measured of two kinds of
/// guests.
const FRAME_BY_PROCESS: Table = (
    Range::new(6_000.0, 4_000.0, 10_500.0),
    "offwatch's own measurement on a shared 2-CPU virtual machine, acknowledgements included: 4.4 \
     us for an emulated guest of QEMU, 8.2 to 10.1 us for guests of the test lab",
);
/// Summing one byte.
const CHECKSUM_BYTE: Table = (
    Range::new(0.07, 0.03, 0.10),
    "offwatch's own measurement of skb_checksum_help with 1448 bytes; Linux commit 688eb8191b47 \
     gives 0.06 to 0.09 cycles a byte in cache",
);

impl UnitCost {
    /// Of a segment that is cut.
    pub fn segment(window: &Window<'_>) -> Self {
        let host = &window.host;
        Self::of(host.cost.segment, host.segmentation_by, SEGMENT)
    }

    /// Of a frame more to a guest whose frames are carried that way.
    pub fn frame(window: &Window<'_>, carrier: Carrier) -> Self {
        if let Some(found) = window.calibration(carrier) {
            return Self {
                ns: found.frame_ns,
                basis: Basis::Trial {
                    of: found.of.clone().into(),
                    rounds: found.rounds,
                    vm_alone: found.vm_alone,
                },
            };
        }
        Self::table(match carrier {
            Carrier::Process => FRAME_BY_PROCESS,
            Carrier::Vhost | Carrier::Unknown => FRAME,
        })
    }

    /// Of a byte that is summed.
    pub fn checksum_byte(window: &Window<'_>) -> Self {
        let host = &window.host;
        Self::of(host.cost.checksum_byte, host.checksums_by, CHECKSUM_BYTE)
    }

    fn of(measured: Option<Measured>, means: Option<Means>, table: Table) -> Self {
        let Some(measured) = measured else {
            return Self::table(table);
        };
        let by = match means {
            Some(Means::Kprobe) => "kprobe",
            _ => "fexit",
        };
        Self {
            ns: Range::new(measured.ns, measured.ns, measured.ns),
            basis: Basis::MeasuredHere {
                calls: measured.calls,
                by: by.into(),
            },
        }
    }

    fn table((ns, source): Table) -> Self {
        Self {
            ns,
            basis: Basis::Table {
                source: source.into(),
            },
        }
    }

    /// What a frame to a guest takes by the table of what vhost carries.
    #[cfg(test)]
    pub(super) fn frame_of_table() -> Self {
        Self::table(FRAME)
    }
}
