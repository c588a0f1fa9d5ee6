//! Joins what two samples, their model and facts tell of an interface.

use std::collections::HashMap;

use offwatch_common::{ExactSlot, Slot, drop_class};

use super::{
    feature::Bits,
    flow::{Flow, Work},
    port::{Drops, Growth, Owner, Port},
};
use crate::{
    facts::Lookup,
    model,
    sample::{self, Counters, ExactCounters, Sample, offloads::Fact},
};

pub(super) struct Joiner<'s, 'w> {
    seconds: f64,
    bits: Bits,
    sees_drops: bool,
    before: HashMap<(u32, u64), &'s sample::Interface>,
    now: HashMap<u32, &'s sample::Interface>,
    lookup: Option<&'w Lookup<'s>>,
    /// Of the beginning, if that was gathered, too.
    lookup_before: Option<Lookup<'s>>,
}

impl<'s, 'w> Joiner<'s, 'w> {
    pub(super) fn new(
        earlier: &'s Sample,
        later: &'s Sample,
        lookup: Option<&'w Lookup<'s>>,
        seconds: f64,
    ) -> Self {
        let key = |interface: &sample::Interface| (interface.ifindex, interface.generation);
        let facts_before = later.facts.is_some().then_some(earlier.facts.as_deref());
        Self {
            seconds,
            bits: Bits::of(&later.host.feature_names),
            sees_drops: later.host.blind().drops.is_none(),
            before: earlier
                .interfaces
                .iter()
                .map(|found| (key(found), &**found))
                .collect(),
            now: later
                .interfaces
                .iter()
                .map(|found| (found.ifindex, &**found))
                .collect(),
            lookup,
            lookup_before: facts_before.flatten().map(|facts| facts.lookup()),
        }
    }

    /// `None` if the interface does not exist here.
    pub(super) fn port(
        &self,
        owner: Owner,
        mac: Option<&'s str>,
        shown: &model::Interface,
    ) -> Option<Port<'s>> {
        let found = *self.now.get(&shown.ifindex?)?;
        let key = (found.ifindex, found.generation);
        let before = self.before.get(&key).copied();
        let flows = before.and_then(|before| self.flows(found, before, shown));
        let uncounted = flows.is_none().then(|| why_uncounted(shown));
        let (from, to) = flows.unwrap_or_default();
        let egress = shown.sides.egress();
        let states = |features: &Fact<_>| features.known().map(|known| self.bits.states(known));
        let changes = |found: &'s sample::Interface| found.offloads.features_changed.known();
        let nic = |facts: &Lookup<'s>| facts.nic(Some(&found.dev), mac).ok();
        let device = |facts: &Lookup<'s>| facts.device(found.ifindex).ok();
        Some(Port {
            found,
            owner,
            mac,
            from,
            to,
            uncounted,
            work: egress.and_then(|side| Work::to_device(side, self.seconds)),
            caused: (shown.caused.as_ref()).and_then(|work| Work::caused(work, self.seconds)),
            drops: self.drops(found, before, shown),
            features: states(&found.offloads.features),
            features_before: before.and_then(|before| states(&before.offloads.features)),
            features_changed: changes(found)
                .zip(before.and_then(changes))
                .map(|(now, before)| now.saturating_sub(*before)),
            tx_timeouts: before.and_then(|before| timeouts(found, before)),
            device: self.lookup.and_then(device),
            device_before: self.lookup_before.as_ref().and_then(device),
            setup: match owner {
                Owner::Vm(_) => self.lookup.and_then(nic).map(|(_, setup)| setup),
                Owner::Unknown | Owner::Host => None,
            },
        })
    }

    fn flows(
        &self,
        found: &sample::Interface,
        before: &sample::Interface,
        shown: &model::Interface,
    ) -> Option<(Flow, Flow)> {
        let (now, before) = (slot(found)?, slot(before)?);
        let (ingress, egress) = (shown.sides.ingress()?, shown.sides.egress()?);
        let from = Flow::of(ingress, &now.ingress, &before.ingress, self.seconds)?;
        let to = Flow::of(egress, &now.egress, &before.egress, self.seconds)?;
        Some((from, to))
    }

    fn drops(
        &self,
        found: &sample::Interface,
        before: Option<&sample::Interface>,
        shown: &model::Interface,
    ) -> Drops {
        let (now, before) = (exact(found), before.and_then(exact));
        let grown = |class: usize| {
            // A class that the kernel does not tell has no total in the model.
            let known = shown.drops_by_class_total.as_ref()?;
            known.get(drop_class::NAMES[class]).copied().flatten()?;
            let (now, before) = (now?, before?);
            self.sees_drops
                .then(|| now.drops[class].saturating_sub(before.drops[class]))
        };
        Drops {
            full_ring: grown(drop_class::FULL_RING),
            validate_xmit: grown(drop_class::VALIDATE),
            checksum: grown(drop_class::CHECKSUM),
            gso: grown(drop_class::GSO),
        }
    }
}

fn slot(interface: &sample::Interface) -> Option<&Slot> {
    match &interface.counters {
        Counters::Counted(slot) => Some(slot),
        Counters::Unavailable(_) => None,
    }
}

fn exact(interface: &sample::Interface) -> Option<&ExactSlot> {
    match &interface.exact {
        ExactCounters::Counted(slot) => Some(slot),
        ExactCounters::Unavailable(_) => None,
    }
}

fn why_uncounted(shown: &model::Interface) -> String {
    let paths = ["to_vm", "to_vm.packets_per_s", "tx", "tx.packets_per_s"];
    let told = paths.iter().find_map(|path| shown.unavailable.get(*path));
    told.cloned()
        .unwrap_or_else(|| "it was made within the window".into())
}

fn timeouts(found: &sample::Interface, before: &sample::Interface) -> Option<Growth> {
    let total = *found.offloads.tx_timeouts.as_ref()?.known()?;
    let before = before.offloads.tx_timeouts.as_ref()?.known()?;
    Some(Growth {
        total,
        grown: total.saturating_sub(*before),
    })
}
