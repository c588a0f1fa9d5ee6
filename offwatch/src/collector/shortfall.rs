//! Whether frames passed the hooks unseen: the kernel's own counters of a tap
//! against offwatch's.
//!
//! Both count the same frames, but not at the same moment: a frame may be
//! counted by one and still be on its way to the other. A shortfall is told
//! only where it exceeds all that can be on its way, at both ends of the time
//! looked at, so it is never told of a frame that was seen.

/// One direction of one tap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shortfall {
    /// The least by which the kernel's counter can have been ahead at any time.
    least_ahead: Option<i64>,
    /// Most that can be on its way, of all times.
    on_the_way: u64,
    frames: u64,
}

/// One look at both counters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Frames that the kernel has counted.
    pub(super) kernel: u64,
    /// Frames that offwatch had counted before the kernel's counter was read;
    /// `None` if it may have been read before.
    pub(super) before: Option<u64>,
    /// Frames that offwatch had counted after it was read.
    pub(super) after: u64,
    /// Frames that one may have counted and the other not yet.
    pub(super) on_the_way: u64,
}

impl Shortfall {
    /// Takes a look into account.
    pub(super) fn look(&mut self, look: &Look) {
        let ahead_of = |own: u64| look.kernel.wrapping_sub(own).cast_signed();
        self.on_the_way = self.on_the_way.max(look.on_the_way);
        if let Some(least) = self.least_ahead {
            let allowed = i64::try_from(self.on_the_way).unwrap_or(i64::MAX);
            let missed = ahead_of(look.after)
                .saturating_sub(least)
                .saturating_sub(allowed);
            self.frames = self.frames.max(u64::try_from(missed).unwrap_or(0));
        }
        if let Some(before) = look.before {
            let ahead = ahead_of(before);
            self.least_ahead = Some(self.least_ahead.map_or(ahead, |least| least.min(ahead)));
        }
    }

    /// At least so many frames passed unseen.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(kernel: u64, before: u64, after: u64) -> Look {
        Look {
            kernel,
            before: Some(before),
            after,
            on_the_way: 100,
        }
    }

    fn after(looks: &[Look]) -> u64 {
        let mut shortfall = Shortfall::default();
        looks.iter().for_each(|taken| shortfall.look(taken));
        shortfall.frames()
    }

    #[test]
    fn equal_counters_have_none_whatever_they_began_with() {
        assert_eq!(after(&[look(5_000, 0, 0), look(9_000, 4_000, 4_000)]), 0);
        assert_eq!(
            after(&[look(0, 5_000, 5_000), look(4_000, 9_000, 9_000)]),
            0
        );
        assert_eq!(after(&[look(5_000, 0, 0)]), 0, "nothing to compare with");
    }

    #[test]
    fn what_the_hooks_miss_is_found_however_slowly_it_adds_up() {
        assert_eq!(after(&[look(0, 0, 0), look(1_000, 600, 600)]), 300);
        let slowly: Vec<Look> = (0..100)
            .map(|n| look(n * 1_000, n * 995, n * 995))
            .collect();
        assert_eq!(after(&slowly), 99 * 5 - 100);
    }

    #[test]
    fn frames_on_their_way_are_not_missed() {
        // The ring held 100 frames that offwatch had counted; then the guest
        // read them.
        assert_eq!(after(&[look(0, 100, 100), look(1_000, 1_000, 1_000)]), 0);
        // Frames that the kernel had counted wait before the hooks.
        assert_eq!(after(&[look(0, 0, 0), look(1_000, 900, 900)]), 0);
    }

    #[test]
    fn counters_that_move_while_they_are_read_prove_nothing() {
        // 10,000 frames passed between the readings of offwatch's counter.
        let racing = [look(5_000, 0, 10_000), look(15_000, 10_000, 20_000)];
        assert_eq!(after(&racing), 0);
        let older = Look {
            before: None,
            ..look(5_000, 0, 10_000)
        };
        assert_eq!(after(&[older, look(15_000, 5_000, 5_000)]), 0);
    }

    #[test]
    fn the_largest_ring_there_was_counts() {
        let large = Look {
            on_the_way: 1_000,
            ..look(0, 1_000, 1_000)
        };
        assert_eq!(after(&[large, look(2_000, 2_000, 2_000)]), 0);
    }
}
