//! What was counted in a window, as whole numbers.

use offwatch_common::{Traffic, class};

use crate::model::{Caused, HistogramRow, Means, Side};

/// Frames of one direction in a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    /// Frames; a GSO frame is one.
    pub packets: u64,
    /// Bytes of whole frames.
    pub bytes: u64,
    /// GSO frames.
    pub gso_packets: u64,
    /// Segments that they stand for.
    pub gso_segments: u64,
    /// Their bytes.
    pub gso_bytes: u64,
    /// Frames whose checksum is still to be computed.
    pub partial_packets: u64,
    /// Their bytes.
    pub partial_bytes: u64,
    /// Frames that are not GSO and exceed the MTU.
    pub oversize_packets: u64,
    /// Frames that were dropped.
    pub drops: u64,
    /// DHCP: broadcasts of a VM's client, or answers to it whose checksum is still
    /// to be computed.
    pub dhcp_packets: u64,
    /// GSO frames by protocol ([`class`]).
    pub classes: [u64; class::COUNT],
    /// GSO frames by the size of their segments.
    pub gso_sizes: Vec<HistogramRow>,
    /// Frames by length.
    pub lengths: Vec<HistogramRow>,
}

impl Flow {
    /// `None` if the side has no rates.
    pub(super) fn of(side: &Side, now: &Traffic, before: &Traffic, seconds: f64) -> Option<Self> {
        let grown = |rate: Option<f64>| rate.map_or(0, |rate| (rate * seconds).round() as u64);
        let mut classes = [0; class::COUNT];
        for (index, grown) in classes.iter_mut().enumerate() {
            *grown = now.gso_classes[index].saturating_sub(before.gso_classes[index]);
        }
        side.packets_per_s?;
        Some(Self {
            packets: grown(side.packets_per_s),
            bytes: grown(side.bytes_per_s),
            gso_packets: grown(side.gso_packets_per_s),
            gso_segments: grown(side.gso_segments_per_s),
            gso_bytes: grown(side.gso_bytes_per_s),
            partial_packets: grown(side.partial_packets_per_s),
            partial_bytes: grown(side.partial_bytes_per_s),
            oversize_packets: grown(side.oversize_packets_per_s),
            drops: grown(side.drops_per_s),
            dhcp_packets: grown(side.dhcp_packets_per_s),
            classes,
            gso_sizes: side.gso_size_interval_histogram.clone().unwrap_or_default(),
            lengths: side.length_interval_histogram.clone().unwrap_or_default(),
        })
    }

    /// Share of the bytes that came in GSO frames; 0 without traffic.
    pub fn gso_share(&self) -> f64 {
        ratio(self.gso_bytes, self.bytes)
    }

    /// Frames that are not GSO.
    pub fn single_packets(&self) -> u64 {
        self.packets.saturating_sub(self.gso_packets)
    }

    /// Mean length of frames that are not GSO, bytes.
    pub fn mean_single_bytes(&self) -> f64 {
        let bytes = self.bytes.saturating_sub(self.gso_bytes);
        ratio(bytes, self.single_packets())
    }

    /// Frames at least so long, as far as the histogram tells: those of ranges
    /// that begin there or above.
    pub fn frames_from(&self, bytes: u32) -> u64 {
        count_from(&self.lengths, bytes)
    }

    /// GSO frames with segments at least so long, likewise.
    pub fn gso_sizes_from(&self, bytes: u32) -> u64 {
        count_from(&self.gso_sizes, bytes)
    }
}

fn count_from(rows: &[HistogramRow], low: u32) -> u64 {
    let from = rows.iter().filter(|row| row.0 >= low);
    from.map(|row| row.2).sum()
}

/// One part of a whole; 0 of nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

/// Software work in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Segments that were cut.
    pub segments: u64,
    /// Bytes that were checksummed.
    pub checksum_bytes: u64,
    /// The figures are lower bounds.
    pub at_least: bool,
    /// How the segments were counted.
    pub segments_by: Option<Means>,
    /// How the bytes were counted.
    pub checksum_bytes_by: Option<Means>,
    /// What it took, nanoseconds, where that was timed.
    pub ns: Option<u64>,
}

impl Work {
    /// Of the work on the way to an interface. `None` if it cannot be seen.
    pub(super) fn to_device(side: &Side, seconds: f64) -> Option<Self> {
        let sources = side.software_work.as_ref()?;
        let grown = |rate: f64| (rate * seconds).round() as u64;
        let exact = sources.exact.as_ref();
        let ns = exact.and_then(|exact| {
            let others = [exact.checksum_ns_per_s, exact.crc32c_ns_per_s];
            Some(exact.segmentation_ns_per_s? + others.iter().flatten().sum::<f64>())
        });
        Some(Self {
            segments: grown(side.software_segments_per_s?),
            checksum_bytes: grown(side.software_checksum_bytes_per_s?),
            at_least: side.software_work_approximate,
            segments_by: sources.segments_by,
            checksum_bytes_by: sources.checksum_bytes_by,
            ns: ns.map(grown),
        })
    }

    /// Of the work for frames from an interface.
    pub(super) fn caused(caused: &Caused, seconds: f64) -> Option<Self> {
        let grown = |rate: f64| (rate * seconds).round() as u64;
        Some(Self {
            segments: grown(caused.software_segments_per_s?),
            checksum_bytes: grown(caused.software_checksum_bytes_per_s?),
            at_least: caused.software_work_approximate,
            segments_by: caused.software_work.segments_by,
            checksum_bytes_by: caused.software_work.checksum_bytes_by,
            ns: None,
        })
    }
}
