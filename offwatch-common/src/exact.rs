//! Software work counted and timed at the kernel functions that do it, and
//! drops by what they mean.

use crate::Counters;

/// Slots of the map of exact counters on a host with few interfaces. More are
/// asked for when the programs are loaded, up to [`crate::MAX_SLOTS`].
pub const FEWEST_EXACT_SLOTS: u32 = 512;

/// The kernel functions that do software work.
pub mod function {
    /// `__skb_gso_segment`.
    pub const SEGMENT: u32 = 0;
    /// `skb_checksum_help`.
    pub const CHECKSUM: u32 = 1;
    /// `skb_crc32c_csum_help`, the checksum of SCTP.
    pub const CRC32C: u32 = 2;
    /// How many there are.
    pub const COUNT: usize = 3;
    /// Their names in the kernel, in index order.
    pub const NAMES: [&str; COUNT] = [
        "__skb_gso_segment",
        "skb_checksum_help",
        "skb_crc32c_csum_help",
    ];
    /// How many parameters they have; what follows them is the result.
    pub const PARAMETERS: [usize; COUNT] = [3, 1, 1];
}

/// What a dropped frame was dropped for: the index into [`ExactSlot::drops`].
pub mod drop_class {
    /// The guest does not drain its queue (`FULL_RING`).
    pub const FULL_RING: usize = 0;
    /// Inside `validate_xmit_skb`: the frame could not be segmented or
    /// checksummed for the device.
    pub const VALIDATE: usize = 1;
    /// A checksum was wrong, or could not be computed.
    pub const CHECKSUM: usize = 2;
    /// A GSO frame could not be cut, or did not fit uncut.
    pub const GSO: usize = 3;
    /// How many classes there are.
    pub const COUNT: usize = 4;
    /// Names used in every output, in index order.
    pub const NAMES: [&str; COUNT] = ["full_ring", "validate_xmit", "checksum", "gso"];
}

/// Buckets of the histogram of durations: below 512 ns, one per power of two,
/// then 2,097,152 ns and above.
pub const NS_BUCKETS: usize = 14;
const NS_LOW_BITS: u32 = 9;

/// The bucket of a duration.
#[inline(always)]
pub const fn ns_bucket(ns: u64) -> usize {
    macro_rules! from {
        ($bucket:literal) => {
            ns >> (NS_LOW_BITS + $bucket - 1) != 0
        };
    }
    // By halves, written out, as BPF has no count of leading zeros before ISA v4.
    // Halves of what is left after a shift take no fewer instructions than a search
    // from the first bucket on: the compiler tests each twice.
    if from!(7) {
        if from!(10) {
            if from!(12) {
                if from!(13) { 13 } else { 12 }
            } else if from!(11) {
                11
            } else {
                10
            }
        } else if from!(8) {
            if from!(9) { 9 } else { 8 }
        } else {
            7
        }
    } else if from!(3) {
        if from!(5) {
            if from!(6) { 6 } else { 5 }
        } else if from!(4) {
            4
        } else {
            3
        }
    } else if from!(1) {
        if from!(2) { 2 } else { 1 }
    } else {
        0
    }
}

/// The shortest and the longest duration, in nanoseconds, that fall into
/// `bucket`; the last bucket has no longest.
pub const fn ns_range(bucket: usize) -> (u64, Option<u64>) {
    let low = if bucket == 0 {
        0
    } else {
        1 << (NS_LOW_BITS as usize + bucket - 1)
    };
    let high = if bucket + 1 < NS_BUCKETS {
        Some((1 << (NS_LOW_BITS as usize + bucket)) - 1)
    } else {
        None
    };
    (low, high)
}

/// Calls of `__skb_gso_segment`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Segmentation {
    /// Calls that cut a frame: they returned a list of segments.
    pub calls: u64,
    /// Calls that only checked the headers of a frame, which the device cuts.
    /// Every super-frame of a guest is checked so.
    pub header_checks: u64,
    /// Calls that failed: the frame was dropped.
    pub failures: u64,
    /// Of `calls`, those that returned segments which are GSO frames themselves:
    /// the device does the rest.
    pub partial_calls: u64,
    /// Segments that came out.
    pub segments: u64,
    /// Payload bytes of the frames that were cut.
    pub payload_bytes: u64,
    /// Bytes checksummed while cutting, L4 header and payload.
    pub checksum_bytes: u64,
    /// Nanoseconds that `calls` took, interrupts included.
    pub ns: u64,
    /// `calls` by nanoseconds ([`ns_bucket`]).
    pub ns_histogram: [u64; NS_BUCKETS],
}

/// Calls of a function that computes checksums.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Checksumming {
    /// Calls that computed a checksum.
    pub calls: u64,
    /// Bytes that were summed.
    pub bytes: u64,
    /// Nanoseconds that `calls` took, interrupts included.
    pub ns: u64,
    /// Calls that failed.
    pub failures: u64,
}

/// Software work, counted where it is done.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ExactWork {
    /// `__skb_gso_segment`.
    pub segmentation: Segmentation,
    /// `skb_checksum_help`, which is not called while cutting.
    pub checksum: Checksumming,
    /// `skb_crc32c_csum_help`.
    pub crc32c: Checksumming,
}

/// Exact counters of one interface. Slots have the numbers of [`crate::Slot`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ExactSlot {
    /// Work for frames on their way to this device.
    pub to_device: ExactWork,
    /// Work, anywhere on the host, for frames that came from this device
    /// (`skb_iif`). In slot 0: work without a known source.
    pub caused: ExactWork,
    /// Dropped frames by [`drop_class`]; most drops belong to none.
    pub drops: [u64; drop_class::COUNT],
}

const _: () = assert!(size_of::<ExactSlot>() == 512);

// SAFETY: repr(C), and its parts consist of u64 only, as their sizes show.
unsafe impl Counters for ExactSlot {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_tile_the_range() {
        let mut low = 0;
        for bucket in 0..NS_BUCKETS {
            let range = ns_range(bucket);
            assert_eq!(range.0, low, "bucket {bucket} starts where the last ended");
            assert_eq!(ns_bucket(low), bucket, "low edge of bucket {bucket}");
            match range.1 {
                Some(high) => {
                    assert_eq!(ns_bucket(high), bucket, "high edge of bucket {bucket}");
                    low = high + 1;
                }
                None => assert_eq!(bucket, NS_BUCKETS - 1),
            }
        }
        assert_eq!(ns_bucket(u64::MAX), NS_BUCKETS - 1);
        assert_eq!(ns_range(NS_BUCKETS - 1), (2_097_152, None));
    }

    #[test]
    fn counters_are_raised_and_never_lowered() {
        let mut highest = ExactSlot::default();
        for (drops, expected) in [(u64::MAX, 0), (7, 7), (5, 7), (u64::MAX, 7), (8, 8)] {
            let now = ExactSlot {
                drops: [drops, 0, 0, 0],
                ..ExactSlot::default()
            };
            highest.raise(&now);
            assert_eq!(highest.drops, [expected, 0, 0, 0]);
        }
    }

    #[test]
    fn every_counter_is_subtracted() {
        let mut now = ExactSlot::default();
        now.to_device.segmentation.calls = 7;
        now.drops[drop_class::GSO] = 3;
        let mut earlier = ExactSlot::default();
        earlier.to_device.segmentation.calls = 5;
        earlier.drops[drop_class::GSO] = u64::MAX;
        let since = now.since(&earlier);
        assert_eq!(since.to_device.segmentation.calls, 2);
        assert_eq!(since.drops[drop_class::GSO], 4, "it wrapped");
    }
}
