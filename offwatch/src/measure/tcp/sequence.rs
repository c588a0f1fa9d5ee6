//! Which numbers of one side of a connection have passed before.

use super::segment::Segment;

/// Gaps that are remembered; of more, the oldest count as seen.
const MOST_GAPS: usize = 256;
/// So many acknowledgements of the same byte tell a sender of a loss (RFC 5681).
const DUPLICATES: u32 = 3;
/// What comes later than this, nanoseconds, was sent again.
const LATE_NS: u64 = 3_000_000;

/// Numbers that have passed, and those that were left out. All of them wrap.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequence {
    /// The first number that has passed, and the one after the last; `None` before
    /// anything has.
    seen: Option<Seen>,
    gaps: Vec<Gap>,
    /// What the other side acknowledged last.
    acknowledged: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Where it began, until that is too long ago to be compared.
    first: Option<u32>,
    next: u32,
    /// Of the segment that opened the connection, if it was seen.
    opened: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    start: u32,
    end: u32,
    opened_ns: u64,
    duplicates: u32,
}

/// What a segment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Numbers that had passed before, or were lost on their way here.
    pub(super) again: u32,
    /// Those of them that were lost on their way here.
    pub(super) late: u32,
    /// Numbers that came after later ones, as they do on several paths.
    pub(super) reordered: u32,
    /// It only asks whether the other side is still there.
    pub(super) probe: bool,
}

/// `a` is before `b`.
fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

fn later(a: u32, b: u32) -> u32 {
    if before(a, b) { b } else { a }
}

fn earlier(a: u32, b: u32) -> u32 {
    if before(a, b) { a } else { b }
}

impl Sequence {
    /// Takes a segment that passed at a time, and tells what it is.
    pub(super) fn pass(&mut self, segment: &Segment, at_ns: u64) -> Verdict {
        let numbers = segment.numbers();
        let (start, end) = (segment.sequence, segment.sequence.wrapping_add(numbers));
        let is_new = segment.syn && self.seen.is_none_or(|seen| seen.opened != Some(start));
        let Some(seen) = self.seen.filter(|_| !is_new) else {
            if numbers > 0 {
                self.gaps.clear();
                self.seen = Some(Seen {
                    first: Some(start),
                    next: end,
                    opened: segment.syn.then_some(start),
                });
            }
            return Verdict::default();
        };
        // RFC 1122, 4.2.3.6: the last byte, or none, before what is to be sent next.
        if segment.bytes <= 1 && !segment.syn && !segment.fin && start == seen.next.wrapping_sub(1)
        {
            return Verdict {
                probe: true,
                ..Verdict::default()
            };
        }
        if numbers == 0 {
            return Verdict::default();
        }
        if !before(start, seen.next) {
            if start != seen.next {
                self.open(seen.next, start, at_ns);
            }
            self.advance(seen, end);
            return Verdict::default();
        }
        let known_end = earlier(end, seen.next);
        let (late, reordered) = self.fill(start, known_end, at_ns);
        let known_start = seen.first.map_or(start, |first| later(start, first));
        let known = match before(known_start, known_end) {
            true => known_end.wrapping_sub(known_start),
            false => 0,
        };
        if before(seen.next, end) {
            self.advance(seen, end);
        }
        Verdict {
            again: known.saturating_sub(reordered),
            late,
            reordered,
            probe: false,
        }
    }

    /// Takes what the other side acknowledges; `bare`: in a segment without payload.
    pub(super) fn acknowledge(&mut self, number: u32, bare: bool) {
        let is_duplicate = bare && self.acknowledged == Some(number);
        self.acknowledged = Some(number);
        for gap in &mut self.gaps {
            if is_duplicate && !before(gap.start, number) {
                gap.duplicates += 1;
            }
        }
        // What has arrived was sent, though it did not pass here.
        self.gaps.retain(|gap| before(number, gap.end));
    }

    fn open(&mut self, start: u32, end: u32, opened_ns: u64) {
        if self.gaps.len() == MOST_GAPS {
            self.gaps.remove(0);
        }
        self.gaps.push(Gap {
            start,
            end,
            opened_ns,
            duplicates: 0,
        });
    }

    fn advance(&mut self, seen: Seen, next: u32) {
        const COMPARABLE: u32 = 1 << 30;
        let is_near = |first: &u32| next.wrapping_sub(*first) < COMPARABLE;
        self.gaps
            .retain(|gap| next.wrapping_sub(gap.start) < COMPARABLE);
        self.seen = Some(Seen {
            first: seen.first.filter(is_near),
            next,
            ..seen
        });
    }

    /// Closes gaps as far as the numbers lie in them; how many of them were late, and
    /// how many only out of order.
    fn fill(&mut self, start: u32, end: u32, at_ns: u64) -> (u32, u32) {
        let (mut late, mut reordered) = (0, 0);
        let mut left = Vec::with_capacity(self.gaps.len());
        for gap in self.gaps.drain(..) {
            let (from, to) = (later(start, gap.start), earlier(end, gap.end));
            if !before(from, to) {
                left.push(gap);
                continue;
            }
            let is_late =
                gap.duplicates >= DUPLICATES || at_ns.saturating_sub(gap.opened_ns) > LATE_NS;
            *(if is_late { &mut late } else { &mut reordered }) += to.wrapping_sub(from);
            let rests = [(gap.start, from), (to, gap.end)];
            left.extend(
                rests
                    .into_iter()
                    .filter(|(start, end)| start != end)
                    .map(|(start, end)| Gap { start, end, ..gap }),
            );
        }
        left.truncate(MOST_GAPS);
        self.gaps = left;
        (late, reordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sequence: u32, bytes: u32) -> Segment {
        let address = "10.0.0.1:1".parse().unwrap();
        Segment {
            from: address,
            to: address,
            sequence,
            acknowledged: None,
            bytes,
            segment_bytes: bytes,
            syn: false,
            fin: false,
        }
    }

    /// Numbers that passed again, and those out of order, of data segments that pass
    /// at these nanoseconds.
    fn passed(segments: &[(u32, u32, u64)]) -> Vec<(u32, u32)> {
        let mut sequence = Sequence::default();
        let pass = |&(number, bytes, at_ns): &(u32, u32, u64)| {
            let verdict = sequence.pass(&segment(number, bytes), at_ns);
            (verdict.again, verdict.reordered)
        };
        segments.iter().map(pass).collect()
    }

    #[test]
    fn what_passed_before_passes_again() {
        let segments = [
            (1000, 100, 0),
            (1100, 100, 0),
            (1100, 100, 1),
            (1050, 200, 2),
        ];
        assert_eq!(passed(&segments), [(0, 0), (0, 0), (100, 0), (150, 0)]);
    }

    #[test]
    fn numbers_wrap() {
        let start = u32::MAX - 149;
        let next = start.wrapping_add(100);
        let segments = [
            (start, 100, 0),
            (next, 100, 0),
            (50, 100, 0),
            (next, 100, 1),
        ];
        assert_eq!(passed(&segments), [(0, 0), (0, 0), (0, 0), (100, 0)]);
    }

    #[test]
    fn a_long_connection_is_compared_with_what_is_near() {
        let mut sequence = Sequence::default();
        let mut number = 0_u32;
        for _ in 0..100_000 {
            assert_eq!(sequence.pass(&segment(number, 60_000), 0).again, 0);
            number = number.wrapping_add(60_000);
        }
        assert_eq!(
            sequence.pass(&segment(number - 60_000, 60_000), 0).again,
            60_000
        );
    }

    #[test]
    fn what_was_sent_before_the_beginning_is_not_known() {
        let segments = [(1000, 100, 0), (800, 100, 0), (950, 100, 0)];
        assert_eq!(passed(&segments), [(0, 0), (0, 0), (50, 0)]);
    }

    #[test]
    fn a_gap_that_is_filled_soon_is_reordering_and_later_a_retransmission() {
        let segments = |late| [(0, 100, 0), (200, 100, 10), (100, 100, late)];
        let soon = passed(&segments(10 + LATE_NS));
        assert_eq!(soon, [(0, 0), (0, 0), (0, 100)]);
        let late = passed(&segments(11 + LATE_NS));
        assert_eq!(late, [(0, 0), (0, 0), (100, 0)]);
        let mut sequence = Sequence::default();
        let late = segments(11 + LATE_NS)
            .map(|(number, bytes, at_ns)| sequence.pass(&segment(number, bytes), at_ns).late);
        assert_eq!(late, [0, 0, 100]);
        assert_eq!(sequence.pass(&segment(100, 100), 0).late, 0);
    }

    #[test]
    fn a_filled_gap_is_closed() {
        let segments = [(0, 100, 0), (200, 100, 1), (120, 30, 2), (100, 100, 3)];
        assert_eq!(passed(&segments)[2..], [(0, 30), (30, 70)]);
    }

    #[test]
    fn three_duplicate_acknowledgements_tell_a_loss() {
        let again = |duplicates| {
            let mut sequence = Sequence::default();
            sequence.pass(&segment(0, 100), 0);
            sequence.acknowledge(100, true);
            sequence.pass(&segment(200, 100), 1);
            for _ in 0..duplicates {
                sequence.acknowledge(100, true);
            }
            sequence.acknowledge(100, false);
            sequence.pass(&segment(100, 100), 2).again
        };
        assert_eq!(again(2), 0);
        assert_eq!(again(3), 100);
    }

    #[test]
    fn what_was_acknowledged_has_passed_elsewhere() {
        let mut sequence = Sequence::default();
        sequence.pass(&segment(0, 100), 0);
        sequence.pass(&segment(200, 100), 1);
        sequence.acknowledge(300, true);
        assert_eq!(sequence.pass(&segment(100, 100), 2).again, 100);
    }

    #[test]
    fn a_probe_is_no_retransmission() {
        let mut sequence = Sequence::default();
        sequence.pass(&segment(0, 100), 0);
        for bytes in [0, 1] {
            let verdict = sequence.pass(&segment(99, bytes), 5);
            assert!(verdict.probe && verdict.again == 0, "{bytes}");
        }
        let verdict = sequence.pass(&segment(98, 2), 6);
        assert!(!verdict.probe && verdict.again == 2);
        assert_eq!(sequence.pass(&segment(100, 0), 7), Verdict::default());
    }

    #[test]
    fn opening_and_closing_take_a_number() {
        let open = |number| Segment {
            syn: true,
            ..segment(number, 0)
        };
        let close = |number| Segment {
            fin: true,
            ..segment(number, 0)
        };
        let mut sequence = Sequence::default();
        assert_eq!(sequence.pass(&open(10), 0).again, 0);
        assert_eq!(sequence.pass(&open(10), 9).again, 1, "not answered");
        assert_eq!(sequence.pass(&segment(11, 5), 9).again, 0);
        assert_eq!(sequence.pass(&close(16), 9).again, 0);
        assert_eq!(sequence.pass(&close(16), 9).again, 1);
        // The same ports, another connection.
        assert_eq!(sequence.pass(&open(5), 9).again, 0);
        assert_eq!(sequence.pass(&segment(6, 5), 9).again, 0);
    }

    #[test]
    fn gaps_are_bounded() {
        let mut sequence = Sequence::default();
        sequence.pass(&segment(0, 10), 0);
        for gap in 1..=1000 {
            sequence.pass(&segment(gap * 20, 10), 0);
        }
        assert_eq!(sequence.gaps.len(), MOST_GAPS);
        assert_eq!(sequence.pass(&segment(20 * 1000 - 10, 10), 0).reordered, 10);
        assert_eq!(sequence.pass(&segment(10, 10), 0).reordered, 0);
    }
}
