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
    /// Frames that offwatch had counted before the kernel's counter was read,
    /// or after, as `is_before` says.
    pub(super) own: u64,
    /// Whether it was before.
    pub(super) is_before: bool,
    /// Frames that one may have counted and the other not yet.
    pub(super) on_the_way: u64,
}

impl Shortfall {
    /// Takes a look into account. `own_now` reads how many frames offwatch has
    /// counted by now; it is asked only where that matters.
    pub(super) fn look(&mut self, look: &Look, own_now: impl FnOnce() -> Option<u64>) {
        let ahead_of = |own: u64| look.kernel.wrapping_sub(own).cast_signed();
        self.on_the_way = self.on_the_way.max(look.on_the_way);
        let ahead = ahead_of(look.own);
        if let Some(least) = self.least_ahead {
            let allowed = i64::try_from(self.on_the_way).unwrap_or(i64::MAX);
            let missed = |ahead: i64| {
                let missed = ahead.saturating_sub(least).saturating_sub(allowed);
                u64::try_from(missed).unwrap_or(0)
            };
            let at_most = missed(ahead);
            let frames = match at_most > self.frames && look.is_before {
                true => own_now().map_or(0, |own| missed(ahead_of(own))),
                false => at_most,
            };
            self.frames = self.frames.max(frames);
        }
        if look.is_before {
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

    /// Both counters, while nothing moves.
    fn at_rest(kernel: u64, own: u64) -> (Look, u64) {
        let look = Look {
            kernel,
            own,
            is_before: true,
            on_the_way: 100,
        };
        (look, own)
    }

    fn after(looks: &[(Look, u64)]) -> u64 {
        let mut shortfall = Shortfall::default();
        for (look, now) in looks {
            shortfall.look(look, || Some(*now));
        }
        shortfall.frames()
    }

    #[test]
    fn equal_counters_have_none_whatever_they_began_with() {
        assert_eq!(after(&[at_rest(5_000, 0), at_rest(9_000, 4_000)]), 0);
        assert_eq!(after(&[at_rest(0, 5_000), at_rest(4_000, 9_000)]), 0);
        assert_eq!(after(&[at_rest(5_000, 0)]), 0, "nothing to compare with");
    }

    #[test]
    fn what_the_hooks_miss_is_found_however_slowly_it_adds_up() {
        assert_eq!(after(&[at_rest(0, 0), at_rest(1_000, 600)]), 300);
        let slowly: Vec<_> = (0..100).map(|n| at_rest(n * 1_000, n * 995)).collect();
        assert_eq!(after(&slowly), 99 * 5 - 100);
    }

    #[test]
    fn frames_on_their_way_are_not_missed() {
        // The ring held 100 frames that offwatch had counted; then the guest
        // read them.
        assert_eq!(after(&[at_rest(0, 100), at_rest(1_000, 1_000)]), 0);
        // Frames that the kernel had counted wait before the hooks.
        assert_eq!(after(&[at_rest(0, 0), at_rest(1_000, 900)]), 0);
    }

    #[test]
    fn counters_that_move_while_they_are_read_prove_nothing() {
        // 10,000 frames passed between the readings of offwatch's counter.
        let moving = |kernel, own| (at_rest(kernel, own).0, own + 10_000);
        assert_eq!(after(&[moving(5_000, 0), moving(15_000, 10_000)]), 0);
        assert_eq!(after(&[at_rest(0, 0), moving(5_000, 0)]), 0);
        assert_eq!(after(&[at_rest(0, 0), (at_rest(5_000, 0).0, 4_700)]), 200);
    }

    #[test]
    fn an_older_counter_of_the_kernel_proves_a_shortfall_and_is_no_beginning() {
        let older = |kernel, own| {
            let look = Look {
                is_before: false,
                ..at_rest(kernel, own).0
            };
            (look, own)
        };
        assert_eq!(after(&[at_rest(0, 0), older(5_000, 4_000)]), 900);
        // The kernel's was read long ago, offwatch's now.
        assert_eq!(after(&[older(5_000, 9_000), at_rest(9_000, 9_000)]), 0);
    }

    #[test]
    fn the_largest_ring_there_was_counts() {
        let (mut large, own) = at_rest(0, 1_000);
        large.on_the_way = 1_000;
        assert_eq!(after(&[(large, own), at_rest(2_000, 2_000)]), 0);
    }
}
