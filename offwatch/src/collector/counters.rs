//! Follows the kernel's own counters, and holds offwatch's against them.

use std::collections::HashMap;

use offwatch_common::{Slot, Traffic};

use super::{
    Counted,
    shortfall::{Look, Shortfall},
};
use crate::{
    inventory::{counters::CounterSweep, link::Link, rolling::Made},
    probe::{Probe, Reading},
    sample::{
        Hook,
        offloads::{Fact, KernelCounters},
    },
};

/// Datagrams read in each sample: about 2,200 interfaces, 1 ms. Where there are
/// more, each has its turn.
const SWEEP_DATAGRAMS: usize = 16;

/// What a queue of a tap, or vhost for it, may hold beside the ring.
const BATCH_FRAMES: u64 = 64;

/// The kernel's counters of all interfaces.
pub(super) struct CounterFollower {
    sweep: Fact<CounterSweep>,
    known: HashMap<u32, Known>,
    /// Frames that the kernel may hold between a tap and the hooks, where
    /// receive packet steering is set up. `None` where that is not known.
    backlog_frames: Option<u64>,
}

struct Known {
    counters: KernelCounters,
    generation: u64,
    from_vm: Shortfall,
    to_vm: Shortfall,
}

impl CounterFollower {
    /// Never fails: where counters cannot be read, that is what is told.
    pub(super) fn open(online_cpus: u32) -> Self {
        let backlog = std::fs::read_to_string("/proc/sys/net/core/netdev_max_backlog");
        let backlog = backlog
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok());
        let sweep = match CounterSweep::open() {
            Ok(sweep) => Fact::Known(sweep),
            Err(error) => Fact::unavailable(format!("its counters cannot be read: {error}")),
        };
        Self {
            sweep,
            known: HashMap::new(),
            backlog_frames: backlog.map(|frames| frames.saturating_mul(online_cpus.into())),
        }
    }

    /// An interface is gone.
    pub(super) fn gone(&mut self, ifindex: u32) {
        self.known.remove(&ifindex);
    }

    /// Reads counters: of all interfaces, or of the next ones in turn.
    pub(super) fn refresh(&mut self) -> Vec<(u32, KernelCounters, Made)> {
        let mut read = Vec::new();
        if let Fact::Known(sweep) = &mut self.sweep {
            // What fails here, the next round reads.
            let _ = sweep.advance(SWEEP_DATAGRAMS, |ifindex, counters, made| {
                read.push((ifindex, counters, made));
            });
        }
        read
    }

    /// Takes what was read of an interface into account. `counted` is what
    /// offwatch had counted before that; `merges` tells whether GRO works on
    /// what a guest sends, where that is known.
    pub(super) fn compare(
        &mut self,
        (counters, made): (KernelCounters, Made),
        link: &Link,
        merges: Option<bool>,
        counted: &Counted,
        probe: Option<&Probe>,
    ) {
        let known = self.known.entry(link.ifindex).or_insert_with(|| Known {
            counters,
            generation: counted.generation,
            from_vm: Shortfall::default(),
            to_vm: Shortfall::default(),
        });
        known.counters = counters;
        if known.generation != counted.generation {
            known.generation = counted.generation;
            (known.from_vm, known.to_vm) = Default::default();
        }
        let (Some(tap), Reading::Counted(slot), Some(probe)) = (&link.tap, &counted.reading, probe)
        else {
            return;
        };
        let queues = u64::from(tap.queues);
        let look = |kernel, side: fn(&Slot) -> &Traffic, on_the_way| Look {
            kernel,
            own: packets(side(slot)),
            is_before: made.now,
            on_the_way,
        };
        let now = |side: fn(&Slot) -> &Traffic| match probe.read(link.ifindex) {
            (generation, Reading::Counted(slot)) if generation == counted.generation => {
                Some(packets(side(&slot)))
            }
            _ => None,
        };
        // Programs at tc count a frame to the guest before it is cut.
        if probe.hook() != Hook::Tc
            && let Some(ring) = link.limits.tx_queue_frames
        {
            let egress: fn(&Slot) -> &Traffic = |slot| &slot.egress;
            let on_the_way = queues * (u64::from(ring) + BATCH_FRAMES);
            let look = look(counters.tx_packets, egress, on_the_way);
            known.to_vm.look(&look, || now(egress));
        }
        // XDP programs and GRO take frames before the hooks see them.
        if !link.xdp
            && merges == Some(false)
            && let Some(backlog) = self.backlog_frames
        {
            let ingress: fn(&Slot) -> &Traffic = |slot| &slot.ingress;
            let on_the_way = queues * BATCH_FRAMES + backlog;
            let look = look(counters.rx_packets, ingress, on_the_way);
            known.from_vm.look(&look, || now(ingress));
        }
    }

    /// The kernel's counters of an interface.
    pub(super) fn of(&self, ifindex: u32) -> Fact<KernelCounters> {
        match (&self.sweep, self.known.get(&ifindex)) {
            (_, Some(known)) => Fact::Known(known.counters),
            (Fact::Unavailable(reason), None) => Fact::Unavailable(reason.clone()),
            (Fact::Known(_), None) => {
                Fact::unavailable("not read yet: of many interfaces, each has its turn")
            }
        }
    }

    /// Interfaces with frames that passed the hooks unseen, and how many: at
    /// least.
    pub(super) fn unseen(&self) -> Vec<(u32, u64)> {
        let frames = |known: &Known| known.from_vm.frames() + known.to_vm.frames();
        let all = self
            .known
            .iter()
            .map(|(ifindex, known)| (*ifindex, frames(known)));
        all.filter(|(_, frames)| *frames > 0).collect()
    }
}

fn packets(traffic: &Traffic) -> u64 {
    traffic.kinds.iter().map(|kind| kind.packets).sum()
}
