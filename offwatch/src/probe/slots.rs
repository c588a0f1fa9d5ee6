//! Which slot counts which interface.
//!
//! A slot is not cleared when it changes hands, because a program may be
//! writing to it at that moment. Instead its content is remembered when it is
//! assigned, and subtracted when it is read.

use std::collections::HashMap;

use aya::{Ebpf, maps::HashMap as BpfHashMap, maps::Map};
use offwatch_common::{Counters as _, ExactSlot, INDEXED_IFINDEXES, MAX_SLOTS, Slot, Work};

use super::{
    Memory, ProbeError, Reading,
    pool::{Content, Pool},
};

pub(super) struct Slots {
    counters: Memory<Slot>,
    /// Of the first slots only.
    exact: Memory<ExactSlot>,
    exact_slots: u32,
    indexed: Memory<u32>,
    high: BpfHashMap<aya::maps::MapData, u32, u32>,
    pool: Pool,
    refused: HashMap<u32, String>,
}

impl Slots {
    /// `exact_slots` is how many of the slots have exact counters.
    pub(super) fn new(ebpf: &mut Ebpf, exact_slots: u32) -> Result<Self, ProbeError> {
        let exact = Memory::map(map(ebpf, "EXACT")?, exact_slots as usize);
        let counters = Memory::map(map(ebpf, "SLOTS")?, MAX_SLOTS as usize);
        let indexed = Memory::map(map(ebpf, "SLOT_OF")?, INDEXED_IFINDEXES as usize);
        let high = ebpf
            .take_map("SLOT_OF_HIGH")
            .ok_or(ProbeError::Incomplete("SLOT_OF_HIGH"))?;
        Ok(Self {
            counters: counters.map_err(ProbeError::Map)?,
            exact: exact.map_err(ProbeError::Map)?,
            exact_slots,
            indexed: indexed.map_err(ProbeError::Map)?,
            high: high
                .try_into()
                .map_err(|_| ProbeError::Incomplete("SLOT_OF_HIGH"))?,
            pool: Pool::new(MAX_SLOTS, exact_slots),
            refused: HashMap::new(),
        })
    }

    /// Gives the interface a slot; false if it has one, or none is to be had.
    pub(super) fn assign(&mut self, ifindex: u32) -> bool {
        if self.pool.by_ifindex.contains_key(&ifindex) {
            return false;
        }
        let (counters, exact) = (&self.counters, &self.exact);
        let content = |slot| Content {
            slot: counters.get(slot).unwrap_or_default(),
            exact: exact.get(slot),
        };
        let Some(slot) = self.pool.take(ifindex, content) else {
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
                *counted = counted.since(&baseline.slot);
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

    /// The interface's exact counters, or why it has none.
    pub(super) fn read_exact(&self, ifindex: u32) -> Result<Box<ExactSlot>, String> {
        let assigned = self.pool.by_ifindex.get(&ifindex).ok_or("not counted")?;
        let all_taken = || {
            format!(
                "all {} exact counter slots, sized when offwatch started, are in use",
                self.exact_slots - 1
            )
        };
        let mut counted = self.exact.get(assigned.slot).ok_or_else(all_taken)?;
        let content = assigned.baseline.as_ref();
        if let Some(baseline) = content.and_then(|content| content.exact.as_ref()) {
            *counted = counted.since(baseline);
        }
        Ok(counted)
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

/// A map of the object.
pub(super) fn map<'ebpf>(ebpf: &'ebpf Ebpf, name: &'static str) -> Result<&'ebpf Map, ProbeError> {
    ebpf.map(name).ok_or(ProbeError::Incomplete(name))
}
