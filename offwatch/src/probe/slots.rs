//! Which slot counts which interface.
//!
//! A slot is not cleared when it changes hands, because a program may be
//! writing to it at that moment. Instead its content is remembered when it is
//! assigned, and subtracted when it is read.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
};

use aya::{Ebpf, maps::HashMap as BpfHashMap, maps::Map};
use offwatch_common::{INDEXED_IFINDEXES, MAX_SLOTS, Slot, Work};

use super::{Memory, ProbeError, Reading};

pub(super) struct Slots {
    counters: Memory<Slot>,
    indexed: Memory<u32>,
    high: BpfHashMap<aya::maps::MapData, u32, u32>,
    pool: Pool,
    refused: HashMap<u32, String>,
}

impl Slots {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let counters = Memory::map(map(ebpf, "SLOTS")?, MAX_SLOTS as usize);
        let indexed = Memory::map(map(ebpf, "SLOT_OF")?, INDEXED_IFINDEXES as usize);
        let high = ebpf
            .take_map("SLOT_OF_HIGH")
            .ok_or(ProbeError::Incomplete("SLOT_OF_HIGH"))?;
        Ok(Self {
            counters: counters.map_err(ProbeError::Map)?,
            indexed: indexed.map_err(ProbeError::Map)?,
            high: high
                .try_into()
                .map_err(|_| ProbeError::Incomplete("SLOT_OF_HIGH"))?,
            pool: Pool::new(MAX_SLOTS),
            refused: HashMap::new(),
        })
    }

    /// Gives the interface a slot; false if it has one, or none is to be had.
    pub(super) fn assign(&mut self, ifindex: u32) -> bool {
        if self.pool.by_ifindex.contains_key(&ifindex) {
            return false;
        }
        let counters = &self.counters;
        let Some(slot) = self.pool.take(ifindex, |slot| counters.get(slot)) else {
            self.refuse(
                ifindex,
                format!("all {} counter slots are in use", MAX_SLOTS - 1),
            );
            return false;
        };
        self.refused.remove(&ifindex);
        if let Err(reason) = self.point(ifindex, slot) {
            self.pool.give_back(ifindex);
            self.refuse(ifindex, reason);
            return false;
        }
        true
    }

    pub(super) fn release(&mut self, ifindex: u32) {
        self.refused.remove(&ifindex);
        if self.pool.give_back(ifindex) {
            // Only an entry that does not exist can fail to be removed.
            let _ = self.point(ifindex, 0);
        }
    }

    pub(super) fn refuse(&mut self, ifindex: u32, reason: String) {
        self.refused.insert(ifindex, reason);
    }

    pub(super) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    pub(super) fn read(&self, ifindex: u32) -> (u64, Reading) {
        let assigned = self.pool.by_ifindex.get(&ifindex);
        let generation = assigned.map_or(0, |assigned| assigned.generation);
        let counted = assigned.and_then(|assigned| {
            let mut counted = self.counters.get(assigned.slot)?;
            if let Some(baseline) = &assigned.baseline {
                *counted = counted.since(baseline);
            }
            Some(counted)
        });
        let reading = match counted {
            Some(slot) => Reading::Counted(slot),
            None => Reading::Unavailable(
                self.refused
                    .get(&ifindex)
                    .cloned()
                    .unwrap_or_else(|| "not counted".into()),
            ),
        };
        (generation, reading)
    }

    pub(super) fn unattributed(&self) -> Work {
        self.counters.get(0).unwrap_or_default().caused_work
    }

    fn point(&mut self, ifindex: u32, slot: u32) -> Result<(), String> {
        if ifindex < INDEXED_IFINDEXES {
            self.indexed.set(ifindex, slot);
            return Ok(());
        }
        let result = if slot == 0 {
            self.high.remove(&ifindex)
        } else {
            self.high.insert(ifindex, slot, 0)
        };
        result.map_err(|error| format!("its slot cannot be registered: {error}"))
    }
}

fn map<'ebpf>(ebpf: &'ebpf Ebpf, name: &'static str) -> Result<&'ebpf Map, ProbeError> {
    ebpf.map(name).ok_or(ProbeError::Incomplete(name))
}

/// Free and assigned slots.
struct Pool {
    /// The slots that nobody has had yet: their content is zero.
    unused: Range<u32>,
    /// Slots given back, oldest first, so that one rests as long as possible
    /// before reuse.
    rested: VecDeque<u32>,
    by_ifindex: HashMap<u32, Assigned>,
    generations: u64,
}

struct Assigned {
    slot: u32,
    generation: u64,
    /// What the slot held before, if anybody had it.
    baseline: Option<Box<Slot>>,
}

impl Pool {
    fn new(slots: u32) -> Self {
        Self {
            unused: 1..slots,
            rested: VecDeque::new(),
            by_ifindex: HashMap::new(),
            generations: 0,
        }
    }

    fn take(
        &mut self,
        ifindex: u32,
        content: impl FnOnce(u32) -> Option<Box<Slot>>,
    ) -> Option<u32> {
        let (slot, baseline) = match self.unused.next() {
            Some(slot) => (slot, None),
            None => {
                let slot = self.rested.pop_front()?;
                (slot, content(slot))
            }
        };
        self.generations += 1;
        let assigned = Assigned {
            slot,
            generation: self.generations,
            baseline,
        };
        self.by_ifindex.insert(ifindex, assigned);
        Some(slot)
    }

    fn give_back(&mut self, ifindex: u32) -> bool {
        let Some(assigned) = self.by_ifindex.remove(&ifindex) else {
            return false;
        };
        self.rested.push_back(assigned.slot);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_packets(packets: u64) -> Box<Slot> {
        let mut slot = Box::<Slot>::default();
        slot.ingress.kinds[0].packets = packets;
        slot
    }

    #[test]
    fn slot_zero_is_never_given() {
        let mut pool = Pool::new(3);
        assert_eq!(pool.take(10, |_| None), Some(1));
        assert_eq!(pool.take(11, |_| None), Some(2));
        assert_eq!(pool.take(12, |_| None), None, "the pool is empty");
    }

    #[test]
    fn a_reused_slot_has_another_generation_and_starts_at_its_content() {
        let mut pool = Pool::new(2);
        let unread = |_| panic!("a slot that nobody had is not read");
        assert_eq!(pool.take(10, unread), Some(1));
        let first = pool.by_ifindex[&10].generation;
        assert!(pool.by_ifindex[&10].baseline.is_none());
        assert!(pool.give_back(10));
        assert!(!pool.give_back(10), "given back only once");
        assert_eq!(pool.take(10, |_| Some(with_packets(7))), Some(1));
        let assigned = &pool.by_ifindex[&10];
        assert_ne!(assigned.generation, first);
        let baseline = assigned.baseline.as_deref().expect("a baseline");
        let counted = with_packets(9).since(baseline);
        assert_eq!(counted.ingress.kinds[0].packets, 2);
    }

    #[test]
    fn slots_rest_before_they_are_used_again() {
        let mut pool = Pool::new(4);
        assert_eq!(pool.take(10, |_| None), Some(1));
        assert_eq!(pool.take(11, |_| None), Some(2));
        pool.give_back(11);
        pool.give_back(10);
        assert_eq!(pool.take(12, |_| None), Some(3), "one that nobody had");
        assert_eq!(
            pool.take(13, |_| Some(with_packets(0))),
            Some(2),
            "the oldest"
        );
    }
}
