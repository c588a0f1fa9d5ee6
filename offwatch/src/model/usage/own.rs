//! Network cards by offwatch's own counters.

use std::collections::HashMap;

use offwatch_common::{Slot, Traffic};

use crate::sample::{self, Counters, NicStats, Sample};

/// Counted interfaces of a sample, by name.
pub(super) struct Counted<'sample> {
    by_dev: HashMap<&'sample str, (u64, &'sample Slot)>,
}

impl<'sample> Counted<'sample> {
    pub(super) fn of(sample: &'sample Sample) -> Self {
        let counted = sample.interfaces.iter().filter_map(|interface| {
            let Counters::Counted(slot) = &interface.counters else {
                return None;
            };
            Some((interface.dev.as_str(), (interface.generation, &**slot)))
        });
        Self {
            by_dev: counted.collect(),
        }
    }

    /// The cards of a VM, with the generation of each one's interface, by which
    /// they are joined with those of another moment.
    pub(super) fn nics(&self, vm: &sample::Vm) -> Vec<(u64, NicStats)> {
        let cards = vm.nics.iter().filter(|nic| nic.unobservable.is_none());
        cards
            .filter_map(|nic| {
                let dev = nic.dev.as_deref()?;
                let (generation, slot) = self.by_dev.get(dev)?;
                Some((*generation, stats(dev, slot)))
            })
            .collect()
    }
}

/// What the host sends to a tap is what the guest receives.
fn stats(dev: &str, slot: &Slot) -> NicStats {
    let sum = |traffic: &Traffic| {
        let kinds = traffic.kinds.iter();
        kinds.fold((0, 0), |(packets, bytes), kind| {
            (packets + kind.packets, bytes + kind.bytes)
        })
    };
    let (rx_packets, rx_bytes) = sum(&slot.egress);
    let (tx_packets, tx_bytes) = sum(&slot.ingress);
    NicStats {
        name: dev.to_owned(),
        rx_bytes: Some(rx_bytes),
        rx_packets: Some(rx_packets),
        tx_bytes: Some(tx_bytes),
        tx_packets: Some(tx_packets),
        ..NicStats::default()
    }
}
