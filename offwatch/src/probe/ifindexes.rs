//! Telling the programs which slot an interface has: an array for ifindexes as
//! they usually are, and a hash table for others. Programs may look at any
//! moment, so each change is one store.

use std::sync::atomic::{AtomicU64, Ordering};

use aya::Ebpf;
use offwatch_common::ifindexes::{
    BUCKET_ENTRIES, BUCKETS, Bucket, GROUP, Group, INDEXED_IFINDEXES, buckets, entry, slot_in,
};

use super::{
    Memory, ProbeError,
    slots::{NO_MEMORY, map},
};

/// Why an interface is not counted whose ifindex finds no place.
const FULL: &str = "the table of ifindexes from 65,536 on has no place for its ifindex";

const FREE: u64 = 0;

pub(super) struct Ifindexes {
    indexed: Memory<Group>,
    high: Memory<Bucket>,
}

impl Ifindexes {
    pub(super) fn map(ebpf: &Ebpf) -> Result<Self, ProbeError> {
        let groups = (INDEXED_IFINDEXES / GROUP) as usize;
        let indexed = Memory::map(map(ebpf, "SLOT_OF")?, groups);
        let high = Memory::map(map(ebpf, "SLOT_OF_HIGH")?, BUCKETS as usize);
        Ok(Self {
            indexed: indexed.map_err(ProbeError::Map)?,
            high: high.map_err(ProbeError::Map)?,
        })
    }

    /// Frames of the interface are counted in `slot` from now on; or why not.
    pub(super) fn point(&self, ifindex: u32, slot: u32) -> Result<(), &'static str> {
        if ifindex >= INDEXED_IFINDEXES {
            return insert(&self.high, ifindex, slot);
        }
        self.set(ifindex, u16::try_from(slot).map_err(|_| NO_MEMORY)?)
            .ok_or(NO_MEMORY)
    }

    /// Frames of the interface are no longer counted.
    pub(super) fn clear(&self, ifindex: u32) {
        if ifindex >= INDEXED_IFINDEXES {
            remove(&self.high, ifindex);
        } else {
            // What cannot be mapped was never set.
            let _ = self.set(ifindex, 0);
        }
    }

    fn set(&self, ifindex: u32, slot: u16) -> Option<()> {
        let group = self.indexed.group(ifindex / GROUP)?;
        group[(ifindex % GROUP) as usize].store(slot, Ordering::Relaxed);
        Some(())
    }
}

/// A hash table in which each ifindex has a choice of two buckets.
trait Table {
    fn bucket(&self, number: u32) -> Option<&[AtomicU64; BUCKET_ENTRIES]>;

    /// The entries that `ifindex` may have.
    fn candidates(&self, ifindex: u32) -> Option<[&[AtomicU64; BUCKET_ENTRIES]; 2]> {
        let [first, second] = buckets(ifindex);
        Some([self.bucket(first)?, self.bucket(second)?])
    }
}

impl Table for Memory<Bucket> {
    fn bucket(&self, number: u32) -> Option<&[AtomicU64; BUCKET_ENTRIES]> {
        Memory::<Bucket>::bucket(self, number)
    }
}

/// Adds or replaces an entry.
fn insert(table: &impl Table, ifindex: u32, slot: u32) -> Result<(), &'static str> {
    let candidates = table.candidates(ifindex).ok_or(NO_MEMORY)?;
    let place = find(candidates, ifindex)
        .or_else(|| free(candidates))
        .ok_or(FULL)?;
    place.store(entry(ifindex, slot), Ordering::Relaxed);
    Ok(())
}

fn remove(table: &impl Table, ifindex: u32) {
    let candidates = table.candidates(ifindex);
    if let Some(place) = candidates.and_then(|candidates| find(candidates, ifindex)) {
        place.store(FREE, Ordering::Relaxed);
    }
}

fn find(candidates: [&[AtomicU64; BUCKET_ENTRIES]; 2], ifindex: u32) -> Option<&AtomicU64> {
    let mut places = candidates.into_iter().flatten();
    places.find(|place| slot_in(place.load(Ordering::Relaxed), ifindex).is_some())
}

/// A free entry, of the bucket that has more of them: so both fill evenly.
fn free(candidates: [&[AtomicU64; BUCKET_ENTRIES]; 2]) -> Option<&AtomicU64> {
    let is_free = |place: &&AtomicU64| place.load(Ordering::Relaxed) == FREE;
    let [first, second] = candidates;
    let [in_first, in_second] = candidates.map(|bucket| bucket.iter().filter(is_free).count());
    let emptier = if in_second > in_first { second } else { first };
    emptier.iter().find(is_free)
}

#[cfg(test)]
mod tests {
    use offwatch_common::MAX_SLOTS;

    use super::*;

    struct Made(Vec<[AtomicU64; BUCKET_ENTRIES]>);

    impl Made {
        fn new() -> Self {
            Self((0..BUCKETS).map(|_| Default::default()).collect())
        }

        /// As the programs look it up.
        fn slot(&self, ifindex: u32) -> Option<u32> {
            let entries = buckets(ifindex).map(|bucket| &self.0[bucket as usize]);
            entries
                .into_iter()
                .flatten()
                .find_map(|place| slot_in(place.load(Ordering::Relaxed), ifindex))
        }

        fn used(&self) -> usize {
            let entries = self.0.iter().flatten();
            entries
                .filter(|entry| entry.load(Ordering::Relaxed) != FREE)
                .count()
        }
    }

    impl Table for Made {
        fn bucket(&self, number: u32) -> Option<&[AtomicU64; BUCKET_ENTRIES]> {
            self.0.get(number as usize)
        }
    }

    const IFINDEX: u32 = 70_000;
    const OTHER: u32 = 80_000;

    #[test]
    fn as_many_as_there_are_slots_find_a_place() {
        for stride in [1, 2, 7, 4096, 65_536] {
            let table = Made::new();
            let ifindex = |slot: u32| INDEXED_IFINDEXES + slot * stride;
            for slot in 1..MAX_SLOTS {
                assert_eq!(insert(&table, ifindex(slot), slot), Ok(()), "{stride}");
            }
            for slot in 1..MAX_SLOTS {
                assert_eq!(table.slot(ifindex(slot)), Some(slot), "{stride}");
            }
            assert_eq!(table.slot(ifindex(MAX_SLOTS)), None);
        }
    }

    #[test]
    fn what_finds_both_buckets_full_is_refused_until_one_is_gone() {
        let table = Made::new();
        let [first, second] = buckets(IFINDEX).map(|bucket| &table.0[bucket as usize]);
        for place in first.iter().chain(second) {
            assert_eq!(insert(&table, IFINDEX, 3), Ok(()));
            remove(&table, IFINDEX);
            place.store(entry(OTHER, 5), Ordering::Relaxed);
        }
        assert_eq!(insert(&table, IFINDEX, 3), Err(FULL));
        assert_eq!(table.slot(IFINDEX), None);
        second[2].store(FREE, Ordering::Relaxed);
        assert_eq!(insert(&table, IFINDEX, 3), Ok(()));
        assert_eq!(table.slot(IFINDEX), Some(3));
        assert_eq!(slot_in(second[2].load(Ordering::Relaxed), IFINDEX), Some(3));
    }

    #[test]
    fn an_entry_is_replaced_and_not_doubled() {
        let table = Made::new();
        assert_eq!(insert(&table, IFINDEX, 5), Ok(()));
        // From now on the other bucket has more room.
        table.0[buckets(IFINDEX)[0] as usize][1].store(entry(OTHER, 8), Ordering::Relaxed);
        assert_eq!(insert(&table, IFINDEX, 6), Ok(()));
        assert_eq!(table.slot(IFINDEX), Some(6));
        assert_eq!(table.used(), 2);
    }

    #[test]
    fn only_what_is_there_is_removed() {
        let table = Made::new();
        assert_eq!(insert(&table, IFINDEX, 9), Ok(()));
        remove(&table, OTHER);
        assert_eq!(table.slot(IFINDEX), Some(9));
        remove(&table, IFINDEX);
        remove(&table, IFINDEX);
        assert_eq!(table.used(), 0);
        assert_eq!(insert(&table, IFINDEX, 4), Ok(()), "another one, later");
        assert_eq!(table.slot(IFINDEX), Some(4));
    }
}
