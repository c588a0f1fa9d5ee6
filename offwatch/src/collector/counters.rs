//! Follows the kernel's own counters, and holds offwatch's against them.

use offwatch_common::{Slot, Traffic};

use super::{
    shortfall::{Look, Shortfall},
    table::Known,
};
use crate::{
    inventory::{counters::CounterSweep, rolling::Made},
    probe::Probe,
    sample::{
        Hook,
        offloads::{Fact, KernelCounters},
    },
};

/// Datagrams read in each sample: about 1,100 interfaces, 0.5 ms. Where there are
/// more, each has its turn.
const SWEEP_DATAGRAMS: usize = 8;

/// What a queue of a tap, or vhost for it, may hold beside the ring.
const BATCH_FRAMES: u64 = 64;

/// Reads the kernel's counters.
pub(super) struct CounterFollower {
    sweep: Fact<CounterSweep>,
    /// Frames that the kernel may hold between a tap and the hooks, where
    /// receive packet steering is set up. `None` where that is not known.
    backlog_frames: Option<u64>,
}

/// The kernel's counters of an interface against offwatch's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Compared {
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
        let sweep = match CounterSweep::open(SWEEP_DATAGRAMS) {
            Ok(sweep) => Fact::Known(sweep),
            Err(error) => Fact::unavailable(format!("its counters cannot be read: {error}")),
        };
        Self {
            sweep,
            backlog_frames: backlog.map(|frames| frames.saturating_mul(online_cpus.into())),
        }
    }

    /// Reads counters: of all interfaces, or of the next ones in turn.
    pub(super) fn refresh(&mut self) -> Vec<(u32, KernelCounters, Made)> {
        let mut read = Vec::new();
        if let Fact::Known(sweep) = &mut self.sweep {
            // What fails here, the next round reads.
            let _ = sweep.advance(|ifindex, counters, made| {
                read.push((ifindex, counters, made));
            });
        }
        read
    }

    /// Takes what was read of an interface into account. What offwatch had
    /// counted before that is `known`, too.
    pub(super) fn compare(
        &self,
        known: &mut Known,
        (counters, made): (KernelCounters, Made),
        probe: Option<&Probe>,
    ) {
        known.set_kernel(Fact::Known(counters));
        let generation = known.counted().generation;
        if known.compared.generation != generation {
            known.compared = Compared {
                generation,
                ..Compared::default()
            };
        }
        let mut compared = known.compared;
        let (Some(tap), Some(slot), Some(probe)) =
            (&known.offloads.tap, known.counted().slot(), probe)
        else {
            return;
        };
        // Whether GRO works on what a guest sends, where that is known.
        let merges = known.offloads.napi.as_ref().and_then(Fact::known).copied();
        let queues = u64::from(tap.queues);
        let look = |kernel, side: fn(&Slot) -> &Traffic, on_the_way| Look {
            kernel,
            own: packets(side(slot)),
            is_before: made.now,
            on_the_way,
        };
        let now = |side: fn(&Slot) -> &Traffic| {
            let (now, slot) = probe.slot(known.ifindex)?;
            (now == generation).then(|| packets(side(&slot)))
        };
        // Programs at tc count a frame to the guest before it is cut.
        if probe.hook() != Hook::Tc
            && let Some(ring) = known.limits().and_then(|limits| limits.tx_queue_frames)
        {
            let egress: fn(&Slot) -> &Traffic = |slot| &slot.egress;
            let on_the_way = queues * (u64::from(ring) + BATCH_FRAMES);
            let look = look(counters.tx_packets, egress, on_the_way);
            compared.to_vm.look(&look, || now(egress));
        }
        // XDP programs and GRO take frames before the hooks see them.
        if !known.xdp
            && merges == Some(false)
            && let Some(backlog) = self.backlog_frames
        {
            let ingress: fn(&Slot) -> &Traffic = |slot| &slot.ingress;
            let on_the_way = queues * BATCH_FRAMES + backlog;
            let look = look(counters.rx_packets, ingress, on_the_way);
            compared.from_vm.look(&look, || now(ingress));
        }
        known.compared = compared;
    }

    /// The kernel's counters of an interface that were not read yet.
    pub(super) fn unread(&self) -> Fact<KernelCounters> {
        match &self.sweep {
            Fact::Unavailable(reason) => Fact::Unavailable(reason.clone()),
            Fact::Known(_) => {
                Fact::unavailable("not read yet: of many interfaces, each has its turn")
            }
        }
    }
}

impl Compared {
    /// Frames that passed the hooks unseen: at least.
    pub(super) fn unseen(&self) -> u64 {
        self.from_vm.frames() + self.to_vm.frames()
    }
}

fn packets(traffic: &Traffic) -> u64 {
    traffic.kinds.iter().map(|kind| kind.packets).sum()
}
