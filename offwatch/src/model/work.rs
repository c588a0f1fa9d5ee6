//! Software work, derived from what entered and left `validate_xmit_skb`.

use offwatch_common::Work;

/// What the bounds may differ by while one frame is being cut, or was when the
/// counting began: a TCP frame of 64 KB, down to an MSS of 536 bytes.
const ONE_FRAME_SEGMENTS: u64 = 128;
const ONE_FRAME_BYTES: u64 = 128 * 1024;

/// Segmentation and checksum work done in software.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoftwareWork {
    /// Segments produced.
    pub segments: u64,
    /// Bytes checksummed (L4 header and payload).
    pub checksum_bytes: u64,
    /// The two bounds differ, by more than a frame that is being cut: frames were
    /// dropped or are waiting between the hooks, so the figures are lower bounds.
    pub approximate: bool,
}

impl SoftwareWork {
    /// Reads the counters of [`Work`]: frames that vanish or wait before the
    /// driver raise the upper bounds and lower the lower ones, never the other
    /// way round, so the smaller bound never claims work that was not done.
    ///
    /// `drops` are the frames dropped at the device, as far as that is known.
    /// Without any, a difference of one frame is one that is being cut.
    pub fn derive(work: &Work, drops: u64) -> Self {
        let segments_at_most = work.gso_segments_gone.cast_signed();
        let segments_at_least = work.single_frames_added.cast_signed();
        let bytes_at_most = work.partial_wire_bytes_gone.cast_signed();
        let bytes_at_least = work.summed_wire_bytes_added.cast_signed();
        let (segments_in_flight, bytes_in_flight) = if drops == 0 {
            (ONE_FRAME_SEGMENTS, ONE_FRAME_BYTES)
        } else {
            (0, 0)
        };
        Self {
            segments: segments_at_least
                .min(segments_at_most)
                .max(0)
                .cast_unsigned(),
            checksum_bytes: share(
                work.partial_bytes_gone.cast_signed(),
                bytes_at_least,
                bytes_at_most,
            ),
            approximate: segments_at_least.abs_diff(segments_at_most) > segments_in_flight
                || bytes_at_least.abs_diff(bytes_at_most) > bytes_in_flight,
        }
    }
}

/// `bytes` scaled by part/whole, at most `bytes`; 0 where any is not positive.
fn share(bytes: i64, part: i64, whole: i64) -> u64 {
    if bytes <= 0 || part <= 0 || whole <= 0 {
        return 0;
    }
    let scaled = i128::from(bytes) * i128::from(part.min(whole)) / i128::from(whole);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(gone: i64, added: i64, partial: i64, wire_gone: i64, wire_added: i64) -> Work {
        Work {
            gso_segments_gone: gone.cast_unsigned(),
            single_frames_added: added.cast_unsigned(),
            partial_bytes_gone: partial.cast_unsigned(),
            partial_wire_bytes_gone: wire_gone.cast_unsigned(),
            summed_wire_bytes_added: wire_added.cast_unsigned(),
        }
    }

    #[test]
    fn equal_bounds_are_exact() {
        let derived = SoftwareWork::derive(&work(44, 44, 64_000, 66_000, 66_000), 1);
        assert_eq!(
            derived,
            SoftwareWork {
                segments: 44,
                checksum_bytes: 64_000,
                approximate: false
            }
        );
    }

    #[test]
    fn a_backlog_of_gso_frames_is_no_work() {
        let derived = SoftwareWork::derive(&work(440, 0, 640_000, 660_000, 0), 0);
        assert_eq!(
            derived,
            SoftwareWork {
                approximate: true,
                ..SoftwareWork::default()
            }
        );
    }

    #[test]
    fn a_backlog_of_finished_frames_is_no_work() {
        let derived = SoftwareWork::derive(&work(0, -200, 0, 0, -300_000), 0);
        assert_eq!(
            derived,
            SoftwareWork {
                approximate: true,
                ..SoftwareWork::default()
            }
        );
    }

    #[test]
    fn a_frame_that_is_being_cut_is_no_uncertainty() {
        let being_cut = work(90, 60, 0, 0, 0);
        let derived = SoftwareWork::derive(&being_cut, 0);
        assert_eq!((derived.segments, derived.approximate), (60, false));
        assert!(
            SoftwareWork::derive(&being_cut, 1).approximate,
            "it may be lost"
        );
        assert!(SoftwareWork::derive(&work(300, 60, 0, 0, 0), 0).approximate);
    }

    #[test]
    fn drops_lower_the_figure_and_mark_it() {
        let derived = SoftwareWork::derive(&work(88, 44, 128_000, 132_000, 66_000), 1);
        assert_eq!(
            derived,
            SoftwareWork {
                segments: 44,
                checksum_bytes: 64_000,
                approximate: true
            }
        );
    }
}
