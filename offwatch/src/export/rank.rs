//! Which interfaces `--top` shows: those with the most of a sort key of late.

use std::time::Duration;

use super::{
    past::{Counted, Past},
    past_vm::Used,
};
use crate::rank::Key;

/// After so long, half of what was is forgotten: few come and go from scrape to
/// scrape.
const HALF_LIFE: Duration = Duration::from_secs(5 * 60);

/// An interface, as it is ranked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranked<'sample> {
    /// Its place in the sample.
    pub(super) place: usize,
    /// The VM and the card that it is.
    pub(super) card: Option<(usize, usize)>,
    /// Where names are ranked by: that of the VM.
    pub(super) vm: Option<&'sample str>,
    pub(super) id: Option<u32>,
    pub(super) dev: &'sample str,
    pub(super) rank: f64,
    pub(super) bytes: f64,
}

/// How much of a key there was in an interval: the key's value, times seconds.
pub(super) fn amount(
    key: Key,
    grown: &Counted,
    vm: Option<(&Used, Option<u64>)>,
    seconds: f64,
    is_timed: bool,
) -> f64 {
    let both = |field: fn(&super::past::Side) -> u64| {
        (field(&grown.ingress) + field(&grown.egress)) as f64
    };
    let used =
        |field: fn(&Used) -> Option<u64>| vm.and_then(|(used, _)| field(used)).unwrap_or(0) as f64;
    match key {
        Key::Id | Key::Name => 0.0,
        Key::Cpu | Key::Time => used(|used| used.cpu_ns),
        Key::Memory => vm.and_then(|(_, memory)| memory).unwrap_or(0) as f64 * seconds,
        Key::BlockReads => used(|used| used.read_requests),
        Key::BlockWrites => used(|used| used.write_requests),
        // From the guest's side; of other interfaces, from the host's.
        Key::NetRx if vm.is_some() => grown.egress.bytes as f64,
        Key::NetTx if vm.is_some() => grown.ingress.bytes as f64,
        Key::NetRx => grown.ingress.bytes as f64,
        Key::NetTx => grown.egress.bytes as f64,
        Key::Gso => match both(|side| side.bytes) {
            0.0 => 0.0,
            bytes => both(|side| side.gso_bytes) / bytes * seconds,
        },
        Key::SoftwareSegments => grown.segments as f64,
        Key::Checksums => grown.checksum_bytes as f64,
        Key::Packets => both(|side| side.packets),
        Key::Drops => both(|side| side.drops),
        Key::Cost if is_timed => grown.work_ns as f64,
        Key::Cost => grown.segments as f64,
        Key::Causes => grown.caused as f64,
    }
}

impl Past {
    /// Adds what there was in an interval to what is left of what was before.
    pub(super) fn rank(&mut self, amount: f64, bytes: f64, interval: Duration) {
        let half_lives = interval.as_secs_f64() / HALF_LIFE.as_secs_f64();
        let left = 0.5_f64.powf(half_lives);
        self.rank = self.rank * left + amount;
        self.bytes = self.bytes * left + bytes;
    }
}

/// Keeps the first `top` of them, in the order in which they were; how many are left
/// out. With 0, all are kept.
pub(super) fn keep(ranked: &mut Vec<Ranked<'_>>, key: Key, top: usize) -> usize {
    if top == 0 || ranked.len() <= top {
        return 0;
    }
    let left_out = ranked.len() - top;
    ranked.select_nth_unstable_by(top, |one, other| {
        let by_key = match key {
            // Those without one come last.
            Key::Id => (one.id.is_none(), one.id).cmp(&(other.id.is_none(), other.id)),
            Key::Name => (one.vm.is_none(), one.vm).cmp(&(other.vm.is_none(), other.vm)),
            _ => other.rank.total_cmp(&one.rank),
        };
        by_key
            .then_with(|| other.bytes.total_cmp(&one.bytes))
            .then_with(|| one.dev.cmp(other.dev))
    });
    ranked.truncate(top);
    ranked.sort_unstable_by_key(|ranked| ranked.place);
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(place: usize, rank: f64, bytes: f64) -> Ranked<'static> {
        Ranked {
            place,
            card: None,
            vm: None,
            id: None,
            dev: ["a", "b", "c", "d"][place],
            rank,
            bytes,
        }
    }

    #[test]
    fn never_more_than_asked_for() {
        let all = || {
            vec![
                ranked(0, 1.0, 0.0),
                ranked(1, 0.0, 5.0),
                ranked(2, 3.0, 0.0),
                ranked(3, 0.0, 9.0),
            ]
        };
        for (top, expected) in [
            (0, vec![0, 1, 2, 3]),
            (1, vec![2]),
            (2, vec![0, 2]),
            (3, vec![0, 2, 3]),
            (4, vec![0, 1, 2, 3]),
            (9, vec![0, 1, 2, 3]),
        ] {
            let mut kept = all();
            let left_out = keep(&mut kept, Key::Cost, top);
            assert_eq!(left_out, 4 - expected.len());
            let places: Vec<usize> = kept.iter().map(|ranked| ranked.place).collect();
            assert_eq!(places, expected, "top {top}");
        }
    }

    #[test]
    fn what_was_is_forgotten_slowly() {
        let mut past = Past::default();
        past.rank(800.0, 80.0, Duration::from_secs(15));
        past.rank(0.0, 0.0, HALF_LIFE);
        assert_eq!((past.rank, past.bytes), (400.0, 40.0));
        past.rank(100.0, 0.0, HALF_LIFE);
        assert_eq!(past.rank, 300.0);
    }

    #[test]
    fn amounts_are_those_of_the_key() {
        let mut grown = Counted::default();
        grown.ingress.bytes = 300;
        grown.egress.bytes = 100;
        grown.egress.gso_bytes = 40;
        (grown.segments, grown.work_ns, grown.caused) = (7, 9_000, 3);
        let used = Used {
            cpu_ns: Some(5),
            ..Used::default()
        };
        let vm = Some((&used, Some(1_000)));
        for (key, vm, is_timed, expected) in [
            (Key::NetRx, vm, true, 100.0),
            (Key::NetTx, vm, true, 300.0),
            (Key::NetRx, None, true, 300.0),
            (Key::Gso, vm, true, 0.2),
            (Key::Cost, vm, true, 9_000.0),
            (Key::Cost, vm, false, 7.0),
            (Key::Causes, vm, true, 3.0),
            (Key::Cpu, vm, true, 5.0),
            (Key::Cpu, None, true, 0.0),
            (Key::Memory, vm, true, 2_000.0),
        ] {
            assert_eq!(amount(key, &grown, vm, 2.0, is_timed), expected, "{key}");
        }
    }
}
