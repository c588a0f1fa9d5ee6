//! Which slot counts which interface.
//!
//! A slot is not cleared when it changes hands, because a program may be
//! writing to it at that moment. Instead its content is remembered when it is
//! assigned, and subtracted when it is read.

use std::{collections::HashMap, sync::Arc};

use aya::{Ebpf, maps::Map};
use offwatch_common::{Counters as _, ExactSlot, MAX_SLOTS, Slot, Work};

use super::{
    Counted, Memory, ProbeError,
    ifindexes::Ifindexes,
    pool::{Content, Pool},
};
use crate::sample::{Counters, ExactCounters};

/// Why an interface is not counted whose slot cannot be mapped.
pub(super) const NO_MEMORY: &str = "its counters cannot be mapped into memory";

pub(super) struct Slots {
    counters: Memory<Slot>,
    /// Of the first slots only.
    exact: Memory<ExactSlot>,
    ifindexes: Ifindexes,
    pool: Pool,
    refused: HashMap<u32, Arc<str>>,
    /// Shared by all interfaces of which nothing was counted yet.
    nothing: Arc<Slot>,
    nothing_exact: Arc<ExactSlot>,
    not_counted: Arc<str>,
    /// Why there are no exact counters for a slot.
    no_exact: Arc<str>,
}

impl Slots {
    /// `exact_slots` is how many of the slots have exact counters.
    pub(super) fn new(ebpf: &Ebpf, exact_slots: u32) -> Result<Self, ProbeError> {
        let exact = Memory::map(map(ebpf, "EXACT")?, exact_slots as usize);
        let counters = Memory::map(map(ebpf, "SLOTS")?, MAX_SLOTS as usize);
        Ok(Self {
            counters: counters.map_err(ProbeError::Map)?,
            exact: exact.map_err(ProbeError::Map)?,
            ifindexes: Ifindexes::map(ebpf)?,
            pool: Pool::new(MAX_SLOTS, exact_slots),
            refused: HashMap::new(),
            nothing: Arc::default(),
            nothing_exact: Arc::default(),
            not_counted: "not counted".into(),
            no_exact: format!(
                "all {} exact counter slots, sized when offwatch started, are in use",
                exact_slots - 1
            )
            .into(),
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
        let registered = match self.counters.get(slot) {
            Some(_) => self.ifindexes.point(ifindex, slot),
            None => Err(NO_MEMORY),
        };
        if let Err(reason) = registered {
            self.pool.give_back(ifindex);
            self.refuse(ifindex, reason.into());
            return false;
        }
        true
    }

    pub(super) fn release(&mut self, ifindex: u32) {
        self.refused.remove(&ifindex);
        if self.pool.give_back(ifindex) {
            self.ifindexes.clear(ifindex);
        }
    }

    pub(super) fn refuse(&mut self, ifindex: u32, reason: String) {
        self.refused.insert(ifindex, reason.into());
    }

    pub(super) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Reads the interface's counters, and keeps of `known` what is the same;
    /// false if all is.
    pub(super) fn read(&self, ifindex: u32, known: &mut Counted) -> bool {
        let now = self.counted(ifindex, known);
        let is_new = !now.is_same(known);
        if is_new {
            *known = now;
        }
        is_new
    }

    /// Whether `known` is what an interface has counted now, as far as that can be told
    /// without looking for the interface.
    pub(super) fn is(&self, known: &Counted) -> bool {
        let counters = || match &known.counters {
            Counters::Counted(last) => self.counters.is(known.slot, last) == Some(true),
            Counters::Unavailable(_) => false,
        };
        let exact = || match &known.exact {
            ExactCounters::Counted(last) => self.exact.is(known.slot, last) == Some(true),
            // A slot that has none gets none.
            ExactCounters::Unavailable(_) => self.exact.len() <= known.slot as usize,
        };
        self.pool.is_first_owner(known.slot, known.generation) && counters() && exact()
    }

    /// What was counted for the interface, with its generation.
    pub(super) fn slot(&self, ifindex: u32) -> Option<(u64, Slot)> {
        let assigned = self.pool.by_ifindex.get(&ifindex)?;
        let counted = self.counters.get(assigned.slot)?;
        let baseline = assigned.baseline.as_ref().map(|content| &content.slot);
        let counted = baseline.map_or(counted, |baseline| counted.since(baseline));
        Some((assigned.generation, counted))
    }

    fn counted(&self, ifindex: u32, known: &Counted) -> Counted {
        let Some(assigned) = self.pool.by_ifindex.get(&ifindex) else {
            let refused = self.refused.get(&ifindex);
            return Counted {
                generation: 0,
                slot: 0,
                counters: Counters::Unavailable(refused.unwrap_or(&self.not_counted).clone()),
                exact: ExactCounters::Unavailable(self.not_counted.clone()),
            };
        };
        let content = assigned.baseline.as_ref();
        let baseline = content.map(|content| &content.slot);
        let last = match &known.counters {
            Counters::Counted(slot) => slot,
            Counters::Unavailable(_) => &self.nothing,
        };
        let counters = self.counters.since(assigned.slot, baseline, last);
        let baseline = content.and_then(|content| content.exact.as_ref());
        let last = match &known.exact {
            ExactCounters::Counted(slot) => slot,
            ExactCounters::Unavailable(_) => &self.nothing_exact,
        };
        let exact = self.exact.since(assigned.slot, baseline, last);
        Counted {
            generation: assigned.generation,
            slot: assigned.slot,
            counters: match counters {
                Some(slot) => Counters::Counted(slot),
                None => Counters::Unavailable(self.not_counted.clone()),
            },
            exact: match exact {
                Some(slot) => ExactCounters::Counted(slot),
                None => ExactCounters::Unavailable(self.no_exact.clone()),
            },
        }
    }

    pub(super) fn unattributed(&self) -> Work {
        self.counters.get(0).unwrap_or_default().caused_work
    }
}

/// A map of the object.
pub(super) fn map<'ebpf>(ebpf: &'ebpf Ebpf, name: &'static str) -> Result<&'ebpf Map, ProbeError> {
    ebpf.map(name).ok_or(ProbeError::Incomplete(name))
}
