//! Counts what TCP sends again at one interface.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
};

use serde::{Deserialize, Serialize};

use super::{segment::Segment, sequence::Sequence};

/// Connections that are remembered: twice so many at most.
const MOST_FLOWS: usize = 8192;

/// TCP in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpCount {
    /// Segments with payload or a flag that takes a number; a GSO frame is those
    /// that it stands for.
    pub segments: u64,
    /// Their payload.
    pub bytes: u64,
    /// Segments that were sent again.
    pub again_segments: u64,
    /// Their payload that had been sent before.
    pub again_bytes: u64,
    /// The part of it that was lost before it came here.
    pub late_bytes: u64,
    /// Payload that came after later payload, and soon.
    pub reordered_bytes: u64,
    /// Bytes of whole frames, those without payload included; a GSO frame is one.
    pub frame_bytes: u64,
    /// Those frames.
    pub frames: u64,
}

impl TcpCount {
    /// What was counted since an earlier count of the same.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            segments: self.segments.saturating_sub(earlier.segments),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            again_segments: self.again_segments.saturating_sub(earlier.again_segments),
            again_bytes: self.again_bytes.saturating_sub(earlier.again_bytes),
            late_bytes: self.late_bytes.saturating_sub(earlier.late_bytes),
            reordered_bytes: self.reordered_bytes.saturating_sub(earlier.reordered_bytes),
            frame_bytes: self.frame_bytes.saturating_sub(earlier.frame_bytes),
            frames: self.frames.saturating_sub(earlier.frames),
        }
    }

    /// Payload that passed for the first time.
    pub fn goodput_bytes(&self) -> u64 {
        (self.bytes + self.late_bytes).saturating_sub(self.again_bytes)
    }
}

/// Which way a segment passes an interface, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Received from it: a guest's own.
    Ingress,
    /// Sent to it.
    Egress,
}

/// Connections at one interface.
#[derive(Debug, Default)]
pub struct Tracker {
    /// Those that were seen lately, and those before.
    young: HashMap<u64, Flow>,
    old: HashMap<u64, Flow>,
    counts: [TcpCount; 2],
    mark: Option<Mark>,
}

/// A moment, and what was counted by then, once that is certain.
#[derive(Debug)]
struct Mark {
    at_ns: u64,
    counts: Option<[TcpCount; 2]>,
}

#[derive(Debug, Default)]
struct Flow {
    /// Of the lower address, and of the other one.
    sides: [Sequence; 2],
    /// Payload of both.
    bytes: u64,
}

impl Tracker {
    /// Takes a segment that passed at a time, nanoseconds.
    pub fn pass(&mut self, direction: Direction, segment: &Segment, at_ns: u64) {
        let is_upper = segment.from > segment.to;
        let flow = self.flow(key(segment.from, segment.to));
        let [mut own, mut other] = [0, 1];
        if is_upper {
            (own, other) = (other, own);
        }
        let verdict = flow.sides[own].pass(segment, at_ns);
        flow.bytes += u64::from(segment.bytes);
        if let Some(number) = segment.acknowledged {
            flow.sides[other].acknowledge(number, segment.bytes == 0);
        }
        let numbers = segment.numbers();
        if numbers == 0 || verdict.probe {
            return;
        }
        let count = &mut self.counts[direction as usize];
        count.segments += u64::from(segment.segments(numbers.min(segment.bytes)));
        count.bytes += u64::from(segment.bytes);
        if verdict.again > 0 {
            let again = verdict.again.min(segment.bytes);
            count.again_segments += u64::from(segment.segments(again));
            count.again_bytes += u64::from(again);
            count.late_bytes += u64::from(verdict.late.min(again));
        }
        count.reordered_bytes += u64::from(verdict.reordered.min(segment.bytes));
    }

    /// Counts the frame of a segment, which is to be passed after it.
    pub fn frame(&mut self, direction: Direction, bytes: u64, at_ns: u64) {
        if let Some(mark) = &mut self.mark
            && at_ns > mark.at_ns
        {
            mark.counts.get_or_insert(self.counts);
        }
        let count = &mut self.counts[direction as usize];
        count.frame_bytes += bytes;
        count.frames += 1;
    }

    /// Keeps what is counted by a moment, of frames that may only be seen later.
    pub fn mark(&mut self, at_ns: u64) {
        self.mark = Some(Mark {
            at_ns,
            counts: None,
        });
    }

    /// What was counted in a direction by the last mark, and whether it is certain: a
    /// later frame was seen.
    pub fn marked(&self, direction: Direction) -> (TcpCount, bool) {
        let kept = self.mark.as_ref().and_then(|mark| mark.counts);
        let counts = kept.unwrap_or(self.counts);
        (counts[direction as usize], kept.is_some())
    }

    /// What was counted in a direction.
    pub fn count(&self, direction: Direction) -> TcpCount {
        self.counts[direction as usize]
    }

    /// Payload of each connection that is remembered, by a number that is the same
    /// for it at all interfaces.
    pub fn flows(&self) -> HashMap<u64, u64> {
        let all = self.old.iter().chain(&self.young);
        all.map(|(key, flow)| (*key, flow.bytes)).collect()
    }

    fn flow(&mut self, key: u64) -> &mut Flow {
        if self.young.len() >= MOST_FLOWS && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        (self.young.entry(key)).or_insert_with(|| old.remove(&key).unwrap_or_default())
    }
}

/// A number for a connection, whichever side sends.
fn key(from: SocketAddr, to: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (from.min(to), from.max(to)).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(from: &str, to: &str, sequence: u32, bytes: u32) -> Segment {
        Segment {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            sequence,
            acknowledged: None,
            bytes,
            segment_bytes: bytes.min(1000),
            syn: false,
            fin: false,
        }
    }

    const A: &str = "10.0.0.1:1";
    const B: &str = "10.0.0.2:2";

    #[test]
    fn each_direction_is_counted_for_itself() {
        let mut tracker = Tracker::default();
        tracker.pass(Direction::Ingress, &segment(A, B, 0, 2500), 0);
        tracker.pass(Direction::Ingress, &segment(A, B, 1000, 1500), 1);
        tracker.pass(Direction::Egress, &segment(B, A, 0, 100), 1);
        tracker.frame(Direction::Ingress, 4132, 1);
        let count = tracker.count(Direction::Ingress);
        let expected = TcpCount {
            segments: 5,
            bytes: 4000,
            again_segments: 2,
            again_bytes: 1500,
            late_bytes: 0,
            reordered_bytes: 0,
            frame_bytes: 4132,
            frames: 1,
        };
        assert_eq!(count, expected);
        assert_eq!(count.goodput_bytes(), 2500);
        let egress = tracker.count(Direction::Egress);
        assert_eq!((egress.segments, egress.again_segments), (1, 0));
        assert_eq!(count.since(&expected), TcpCount::default());
    }

    #[test]
    fn a_mark_keeps_what_passed_before_it() {
        let mut tracker = Tracker::default();
        let pass = |tracker: &mut Tracker, sequence, at_ns| {
            tracker.frame(Direction::Egress, 1054, at_ns);
            tracker.pass(Direction::Egress, &segment(A, B, sequence, 1000), at_ns);
            let (count, is_certain) = tracker.marked(Direction::Egress);
            (count.frame_bytes, count.bytes, is_certain)
        };
        assert_eq!(pass(&mut tracker, 0, 10), (1054, 1000, false));
        tracker.mark(20);
        assert_eq!(pass(&mut tracker, 1000, 20), (2108, 2000, false));
        assert_eq!(pass(&mut tracker, 2000, 21), (2108, 2000, true));
        assert_eq!(pass(&mut tracker, 3000, 22), (2108, 2000, true));
        assert_eq!(tracker.count(Direction::Egress).bytes, 4000);
        tracker.mark(30);
        assert_eq!(tracker.marked(Direction::Egress).0.bytes, 4000);
    }

    #[test]
    fn acknowledgements_are_no_segments_and_tell_of_losses() {
        let mut tracker = Tracker::default();
        let ack = Segment {
            acknowledged: Some(1000),
            ..segment(B, A, 7, 0)
        };
        tracker.pass(Direction::Ingress, &segment(A, B, 0, 1000), 0);
        tracker.pass(Direction::Ingress, &segment(A, B, 2000, 1000), 0);
        for _ in 0..4 {
            tracker.pass(Direction::Egress, &ack, 1);
        }
        tracker.pass(Direction::Ingress, &segment(A, B, 1000, 1000), 2);
        assert_eq!(tracker.count(Direction::Egress), TcpCount::default());
        assert_eq!(tracker.count(Direction::Ingress).again_bytes, 1000);
    }

    #[test]
    fn opening_again_is_a_segment_without_payload() {
        let mut tracker = Tracker::default();
        let open = Segment {
            syn: true,
            ..segment(A, B, 5, 0)
        };
        tracker.pass(Direction::Ingress, &open, 0);
        tracker.pass(Direction::Ingress, &open, 9);
        let count = tracker.count(Direction::Ingress);
        assert_eq!((count.segments, count.again_segments), (2, 1));
        assert_eq!((count.bytes, count.again_bytes), (0, 0));
    }

    #[test]
    fn a_connection_is_the_same_at_both_ends() {
        let (mut one, mut other) = (Tracker::default(), Tracker::default());
        one.pass(Direction::Ingress, &segment(A, B, 0, 10), 0);
        other.pass(Direction::Egress, &segment(A, B, 0, 10), 0);
        other.pass(Direction::Ingress, &segment(B, A, 0, 5), 0);
        let (one, other) = (one.flows(), other.flows());
        let (key, bytes) = one.iter().next().unwrap();
        assert_eq!((*bytes, other.get(key)), (10, Some(&15)));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_in_use() {
        let mut tracker = Tracker::default();
        let busy = |sequence| segment(A, B, sequence, 10);
        tracker.pass(Direction::Ingress, &busy(0), 0);
        for flow in 0..100_000_u32 {
            let address = format!("10.1.{}.{}:9", flow >> 8 & 255, flow & 255);
            let port = 10 + (flow >> 16);
            let other = segment(&address, &format!("10.0.0.9:{port}"), 0, 1);
            tracker.pass(Direction::Egress, &other, 0);
            if flow % 1000 == 0 {
                tracker.pass(Direction::Ingress, &busy(0), 1);
            }
        }
        assert!(tracker.flows().len() <= 2 * MOST_FLOWS);
        assert_eq!(tracker.count(Direction::Ingress).again_segments, 100);
    }
}
