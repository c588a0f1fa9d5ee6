//! Free and assigned counter slots.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
};

use offwatch_common::{ExactSlot, Slot};

/// Free and assigned slots.
pub(super) struct Pool {
    /// Slots with exact counters, which are given first.
    exact: Shelf,
    /// All others.
    plain: Shelf,
    /// Slots below this have exact counters.
    exact_slots: u32,
    pub(super) by_ifindex: HashMap<u32, Assigned>,
    /// By slot the generation of its first owner, while that has it; 0 for all others.
    first_owners: Vec<u64>,
    generations: u64,
}

pub(super) struct Assigned {
    pub(super) slot: u32,
    pub(super) generation: u64,
    /// What the slot held before, if anybody had it.
    pub(super) baseline: Option<Box<Content>>,
}

/// What a slot holds.
pub(super) struct Content {
    pub(super) slot: Slot,
    pub(super) exact: Option<ExactSlot>,
}

/// Free slots.
struct Shelf {
    /// The slots that nobody has had yet: their content is zero.
    unused: Range<u32>,
    /// Slots given back, oldest first, so that one rests as long as possible
    /// before reuse.
    rested: VecDeque<u32>,
}

impl Shelf {
    fn new(slots: Range<u32>) -> Self {
        Self {
            unused: slots,
            rested: VecDeque::new(),
        }
    }

    /// A slot, and whether nobody has had it yet.
    fn take(&mut self) -> Option<(u32, bool)> {
        let unused = self.unused.next().map(|slot| (slot, true));
        unused.or_else(|| Some((self.rested.pop_front()?, false)))
    }
}

impl Pool {
    pub(super) fn new(slots: u32, exact_slots: u32) -> Self {
        Self {
            exact: Shelf::new(1..exact_slots),
            plain: Shelf::new(exact_slots..slots),
            exact_slots,
            by_ifindex: HashMap::new(),
            first_owners: Vec::new(),
            generations: 0,
        }
    }

    pub(super) fn take(
        &mut self,
        ifindex: u32,
        content: impl FnOnce(u32) -> Content,
    ) -> Option<u32> {
        let (slot, is_new) = self.exact.take().or_else(|| self.plain.take())?;
        let baseline = (!is_new).then(|| Box::new(content(slot)));
        self.generations += 1;
        if is_new {
            let taken = slot as usize + 1;
            self.first_owners
                .resize(self.first_owners.len().max(taken), 0);
            self.first_owners[slot as usize] = self.generations;
        }
        let assigned = Assigned {
            slot,
            generation: self.generations,
            baseline,
        };
        self.by_ifindex.insert(ifindex, assigned);
        Some(slot)
    }

    pub(super) fn give_back(&mut self, ifindex: u32) -> bool {
        let Some(Assigned { slot, .. }) = self.by_ifindex.remove(&ifindex) else {
            return false;
        };
        if let Some(owner) = self.first_owners.get_mut(slot as usize) {
            *owner = 0;
        }
        let shelf = if slot < self.exact_slots {
            &mut self.exact
        } else {
            &mut self.plain
        };
        shelf.rested.push_back(slot);
        true
    }

    /// Whether an interface still has the slot that it got with a generation, which nobody
    /// had before: what the slot holds is what was counted. In the order of slots, which
    /// is nearly that of interfaces: ten thousand are looked at a second.
    pub(super) fn is_first_owner(&self, slot: u32, generation: u64) -> bool {
        generation != 0 && self.first_owners.get(slot as usize) == Some(&generation)
    }
}

#[cfg(test)]
mod tests {
    use offwatch_common::Counters as _;

    use super::*;

    fn with_packets(packets: u64) -> Content {
        let mut slot = Slot::default();
        slot.ingress.kinds[0].packets = packets;
        Content { slot, exact: None }
    }

    fn unread(slot: u32) -> Content {
        panic!("slot {slot}, which nobody had, is not read")
    }

    #[test]
    fn slot_zero_is_never_given() {
        let mut pool = Pool::new(3, 3);
        assert_eq!(pool.take(10, unread), Some(1));
        assert_eq!(pool.take(11, unread), Some(2));
        assert_eq!(pool.take(12, unread), None, "the pool is empty");
    }

    #[test]
    fn a_reused_slot_has_another_generation_and_starts_at_its_content() {
        let mut pool = Pool::new(2, 2);
        assert_eq!(pool.take(10, unread), Some(1));
        let first = pool.by_ifindex[&10].generation;
        assert!(pool.by_ifindex[&10].baseline.is_none());
        assert!(pool.give_back(10));
        assert!(!pool.give_back(10), "given back only once");
        assert_eq!(pool.take(10, |_| with_packets(7)), Some(1));
        let assigned = &pool.by_ifindex[&10];
        assert_ne!(assigned.generation, first);
        let baseline = assigned.baseline.as_ref().expect("a baseline");
        let counted = with_packets(9).slot.since(&baseline.slot);
        assert_eq!(counted.ingress.kinds[0].packets, 2);
    }

    #[test]
    fn only_the_first_owner_of_a_slot_has_what_it_holds() {
        let mut pool = Pool::new(3, 2);
        pool.take(10, unread);
        pool.take(11, unread);
        let (first, second) = (1, 2);
        assert!(pool.is_first_owner(1, first) && pool.is_first_owner(2, second));
        assert!(!pool.is_first_owner(1, second), "of another slot");
        assert!(!pool.is_first_owner(0, 0), "of none");
        assert!(!pool.is_first_owner(3, second), "there is none");
        pool.give_back(11);
        assert!(!pool.is_first_owner(2, second), "given back");
        pool.take(12, |_| with_packets(0));
        let third = pool.by_ifindex[&12].generation;
        assert!(!pool.is_first_owner(2, third), "another had it before");
        assert!(!pool.is_first_owner(2, second));
        assert!(pool.is_first_owner(1, first));
    }

    #[test]
    fn slots_rest_before_they_are_used_again() {
        let mut pool = Pool::new(4, 4);
        assert_eq!(pool.take(10, unread), Some(1));
        assert_eq!(pool.take(11, unread), Some(2));
        pool.give_back(11);
        pool.give_back(10);
        assert_eq!(pool.take(12, unread), Some(3), "one that nobody had");
        assert_eq!(pool.take(13, |_| with_packets(0)), Some(2), "the oldest");
    }

    #[test]
    fn slots_with_exact_counters_are_given_first() {
        let mut pool = Pool::new(6, 3);
        let given = [10, 11, 12, 13].map(|ifindex| pool.take(ifindex, unread));
        assert_eq!(given, [Some(1), Some(2), Some(3), Some(4)]);
        pool.give_back(13);
        pool.give_back(11);
        let used = |_| with_packets(0);
        assert_eq!(pool.take(14, used), Some(2), "before 4 and 5");
        assert_eq!(pool.take(15, unread), Some(5));
        assert_eq!(pool.take(16, used), Some(4));
    }
}
