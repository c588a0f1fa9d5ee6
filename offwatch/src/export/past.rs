//! What is kept of an interface from one sample to the next: for sums, for what must
//! not fall, and for ranks.

use std::sync::Arc;

use offwatch_common::{Counters as _, Slot, Traffic};

use super::{
    base::Base,
    snapshot::{Figure, Figures},
};
use crate::model::{Shown, SideTotals};

/// What of a direction is summed over the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) gso_packets: u64,
    pub(super) gso_bytes: u64,
    pub(super) drops: u64,
}

impl Side {
    pub(super) fn of(totals: &SideTotals) -> Self {
        let known = |total: Option<u64>| total.unwrap_or(0);
        Self {
            packets: known(totals.packets_total),
            bytes: known(totals.bytes_total),
            gso_packets: known(totals.gso_packets_total),
            gso_bytes: known(totals.gso_bytes_total),
            drops: known(totals.drops_total),
        }
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            gso_packets: self.gso_packets.saturating_sub(earlier.gso_packets),
            gso_bytes: self.gso_bytes.saturating_sub(earlier.gso_bytes),
            drops: self.drops.saturating_sub(earlier.drops),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.gso_packets += other.gso_packets;
        self.gso_bytes += other.gso_bytes;
        self.drops += other.drops;
    }
}

/// What is counted of an interface, or was since the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// What the host received from it.
    pub(super) ingress: Side,
    /// What the host sent to it.
    pub(super) egress: Side,
    pub(super) segments: u64,
    /// Segments cut of what came from it.
    pub(super) caused: u64,
    pub(super) checksum_bytes: u64,
    /// Nanoseconds of that work, where they are taken.
    pub(super) work_ns: u64,
}

impl Counted {
    fn since(self, earlier: Self) -> Self {
        Self {
            ingress: self.ingress.since(earlier.ingress),
            egress: self.egress.since(earlier.egress),
            segments: self.segments.saturating_sub(earlier.segments),
            checksum_bytes: self.checksum_bytes.saturating_sub(earlier.checksum_bytes),
            caused: self.caused.saturating_sub(earlier.caused),
            work_ns: self.work_ns.saturating_sub(earlier.work_ns),
        }
    }
}

/// Figures of work that may fall, as they are derived from bounds: the highest that
/// was seen stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Highest {
    segments: u64,
    checksum_bytes: u64,
}

impl Highest {
    pub(super) fn raise(&mut self, shown: Shown) -> Shown {
        let raise = |highest: &mut u64, now: Option<u64>| {
            *highest = (*highest).max(now?);
            Some(*highest)
        };
        Shown {
            segments: raise(&mut self.segments, shown.segments),
            checksum_bytes: raise(&mut self.checksum_bytes, shown.checksum_bytes),
            approximate: shown.approximate,
        }
    }
}

/// What was sent to an interface, and does not fall: a frame is counted before the
/// driver takes it, and taken back if that drops it. A sample in between has one more.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The sample before, as long as nothing was dropped or taken back.
    before: Option<Arc<Slot>>,
    /// The highest that was seen of each counter, from then on.
    highest: Option<Box<Traffic>>,
}

impl Sent {
    pub(super) fn raise(&mut self, now: &Arc<Slot>) {
        if let Some(highest) = &mut self.highest {
            highest.raise(&now.egress);
            return;
        }
        let mut raised = self
            .before
            .take()
            .map_or(now.egress, |before| before.egress);
        raised.raise(&now.egress);
        // The first drop may come after what it took back.
        match now.egress.drop_packets == 0 && raised == now.egress {
            true => self.before = Some(Arc::clone(now)),
            false => self.highest = Some(raised.into()),
        }
    }

    /// It, of the last sample that was given, which is `now`.
    pub(super) fn of<'slot>(&'slot self, now: &'slot Slot) -> &'slot Traffic {
        self.highest.as_deref().unwrap_or(&now.egress)
    }
}

/// An interface in the samples before.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The last sample that it was in.
    pub(super) round: u64,
    counted: Counted,
    pub(super) sent: Sent,
    pub(super) work: Highest,
    pub(super) caused: Highest,
    /// Decayed sums: of what is ranked by, and of bytes.
    pub(super) rank: f64,
    pub(super) bytes: f64,
    pub(super) labels: LabelText,
    /// None under the first labels that it had.
    pub(super) base: Option<Box<Base>>,
}

/// Labels, and the same with further ones.
#[derive(Debug, Default)]
pub(super) struct LabelText {
    labels: Arc<str>,
    info: Arc<str>,
}

impl LabelText {
    /// There were labels before, and they were others.
    pub(super) fn are_left_for(&self, labels: &str) -> bool {
        !self.labels.is_empty() && *self.labels != *labels
    }

    /// Labels like these: those of the sample before where they are the same.
    pub(super) fn like(&mut self, labels: &str, info: &str) -> (Arc<str>, Arc<str>) {
        for (known, now) in [(&mut self.labels, labels), (&mut self.info, info)] {
            if **known != *now {
                *known = now.into();
            }
        }
        (Arc::clone(&self.labels), Arc::clone(&self.info))
    }
}

impl Past {
    /// What was counted since the sample before.
    pub(super) fn advance(&mut self, now: Counted) -> Counted {
        let grown = now.since(self.counted);
        self.counted = now;
        grown
    }
}

impl Figures {
    /// Sets those of a direction.
    pub(super) fn set_side(&mut self, first: Figure, totals: &SideTotals) {
        let values = [
            totals.packets_total,
            totals.bytes_total,
            totals.gso_packets_total,
            totals.gso_segments_total,
            totals.gso_bytes_total,
            totals.partial_packets_total,
            totals.oversize_packets_total,
            totals.drops_total,
        ];
        for (at, value) in values.into_iter().enumerate() {
            self.set_at(first as usize + at, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(segments: u64, checksum_bytes: u64) -> Shown {
        Shown {
            segments: Some(segments),
            checksum_bytes: Some(checksum_bytes),
            approximate: true,
        }
    }

    #[test]
    fn derived_work_never_falls() {
        let mut highest = Highest::default();
        assert_eq!(highest.raise(shown(90, 1_000)), shown(90, 1_000));
        assert_eq!(highest.raise(shown(60, 1_500)), shown(90, 1_500));
        assert_eq!(highest.raise(Shown::default()), Shown::default());
        assert_eq!(highest.raise(shown(91, 0)), shown(91, 1_500));
    }
}
