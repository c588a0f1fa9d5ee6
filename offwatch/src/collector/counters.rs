//! Follows the kernel's own counters, and holds offwatch's against them.

use std::collections::HashMap;

use offwatch_common::{Slot, Traffic};

use super::shortfall::{Look, Shortfall};
use crate::{
    inventory::{
        counters::{CounterSweep, INTERFACES_A_DATAGRAM},
        link::Link,
        rolling::Made,
    },
    sample::{
        Counters, Hook, Interface,
        offloads::{Fact, KernelCounters},
    },
};

/// Datagrams read in each sample: 2,240 interfaces, 1 ms. Where there are more,
/// each has its turn.
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

/// What an interface needs to be known of for its counters to be compared.
pub(super) struct Comparable<'link> {
    /// The interface.
    pub(super) link: &'link Link,
    /// Whether its frames are merged before the hooks see them.
    pub(super) napi: Option<bool>,
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

    /// Takes what was read of an interface into account: `before` is what
    /// offwatch had counted before, `after` what it has counted now.
    pub(super) fn compare(
        &mut self,
        (counters, made): (KernelCounters, Made),
        hook: Hook,
        comparable: &Comparable<'_>,
        before: &Interface,
        after: Option<&Slot>,
    ) {
        let ifindex = before.ifindex;
        let known = self.known.entry(ifindex).or_insert_with(|| Known {
            counters,
            generation: before.generation,
            from_vm: Shortfall::default(),
            to_vm: Shortfall::default(),
        });
        known.counters = counters;
        if known.generation != before.generation {
            known.generation = before.generation;
            (known.from_vm, known.to_vm) = Default::default();
        }
        let (Counters::Counted(before), Some(after)) = (&before.counters, after) else {
            return;
        };
        let Some(tap) = &comparable.link.tap else {
            return;
        };
        let queues = u64::from(tap.queues);
        // Programs at tc count a frame to the guest before it is cut.
        if hook != Hook::Tc
            && let Some(ring) = comparable.link.limits.tx_queue_frames
        {
            known.to_vm.look(&Look {
                kernel: counters.tx_packets,
                before: made.now.then(|| packets(&before.egress)),
                after: packets(&after.egress),
                on_the_way: queues * (u64::from(ring) + BATCH_FRAMES),
            });
        }
        // XDP programs and GRO take frames before the hooks see them.
        if !comparable.link.xdp
            && comparable.napi == Some(false)
            && let Some(backlog) = self.backlog_frames
        {
            known.from_vm.look(&Look {
                kernel: counters.rx_packets,
                before: made.now.then(|| packets(&before.ingress)),
                after: packets(&after.ingress),
                on_the_way: queues * BATCH_FRAMES + backlog,
            });
        }
    }

    /// The kernel's counters of an interface.
    pub(super) fn of(&self, ifindex: u32) -> Fact<KernelCounters> {
        match (&self.sweep, self.known.get(&ifindex)) {
            (_, Some(known)) => Fact::Known(known.counters),
            (Fact::Unavailable(reason), None) => Fact::Unavailable(reason.clone()),
            (Fact::Known(_), None) => Fact::unavailable(NOT_YET),
        }
    }

    /// Frames that passed the hooks unseen, from and to a guest: at least.
    pub(super) fn shortfall(&self, ifindex: u32) -> (u64, u64) {
        self.known.get(&ifindex).map_or((0, 0), |known| {
            (known.from_vm.frames(), known.to_vm.frames())
        })
    }
}

const NOT_YET: &str = "not read yet: of many interfaces, each has its turn";
const _: () = assert!(SWEEP_DATAGRAMS * INTERFACES_A_DATAGRAM == 2_240);

fn packets(traffic: &Traffic) -> u64 {
    traffic.kinds.iter().map(|kind| kind.packets).sum()
}
