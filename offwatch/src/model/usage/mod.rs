//! What a VM used in an interval: CPU, memory, disks and network cards.
//!
//! Made from two [`VmStats`] of the same start of the VM, which are shared with
//! the samples; figures are computed when they are asked for.

mod delta;
mod history;
mod json;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

pub use self::{
    delta::{DiskDelta, NicDelta},
    history::UsageHistory,
};
use crate::sample::{DiskStats, NicStats, VmStats};

/// What a VM used.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// The statistics of now, or the last ones there are.
    pub now: Arc<VmStats>,
    /// Those before, of the same source and the same start of the VM.
    pub before: Option<Arc<VmStats>>,
    /// How old the statistics were when the sample was taken, nanoseconds.
    pub age_ns: u64,
    /// They are those of the sample before: there was no newer answer.
    pub is_stale: bool,
    /// CPUs of the host that are online.
    pub online_cpus: u32,
    /// Memory of the host, KiB, if known.
    pub host_memory_kib: Option<u64>,
}

/// Physical CPU time of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PcpuDelta {
    /// Of all the VM's threads, nanoseconds.
    pub time_ns: Option<u64>,
    /// Of its virtual CPUs alone, nanoseconds.
    pub vcpu_time_ns: Option<u64>,
    /// The time is that of virtual CPUs that were on this CPU at both ends of
    /// the interval; they may have been elsewhere in between.
    pub is_approximate: bool,
}

impl Usage {
    /// Length of the interval, nanoseconds; none for a first sample.
    pub fn interval_ns(&self) -> Option<u64> {
        let before = self.before.as_ref()?.monotonic_ns;
        let interval = self.now.monotonic_ns.checked_sub(before);
        interval.filter(|&interval| interval != 0)
    }

    /// CPU time in the interval, nanoseconds.
    pub fn cpu_time_ns(&self) -> Option<u64> {
        self.interval_ns()?;
        let before = self.before.as_ref()?.cpu_time_ns?;
        self.now.cpu_time_ns?.checked_sub(before)
    }

    /// CPU time in the interval as a share of all of the host's CPUs, percent.
    pub fn cpu_percent(&self) -> Option<f64> {
        let whole = self.interval_ns()? as f64 * f64::from(self.online_cpus);
        (whole > 0.0).then_some(100.0 * self.cpu_time_ns()? as f64 / whole)
    }

    /// Memory it is given as a share of the host's, whole percent.
    pub fn memory_percent(&self) -> Option<u64> {
        let whole = self.host_memory_kib.filter(|&kib| kib != 0)?;
        Some(self.now.memory_kib?.saturating_mul(100) / whole)
    }

    /// Disks that were there at both ends of the interval.
    pub fn disks(&self) -> impl Iterator<Item = (&str, DiskDelta)> {
        let before = self.before.as_ref().and_then(|stats| stats.disks.as_ref());
        let pairs = common(
            self.now.disks.as_deref(),
            before.map(Vec::as_slice),
            |disk| (disk.name.as_str(), None),
        );
        pairs.map(|(now, before): (&DiskStats, &DiskStats)| {
            (now.name.as_str(), DiskDelta::between(now, before))
        })
    }

    /// Sum of [`Self::disks`]; none if there is no disk of which it is known.
    pub fn disk(&self) -> Option<DiskDelta> {
        self.disks().map(|(_, delta)| delta).reduce(DiskDelta::plus)
    }

    /// Network cards that were there at both ends of the interval.
    pub fn nics(&self) -> impl Iterator<Item = (&str, NicDelta)> {
        let before = self.before.as_ref().and_then(|stats| stats.nics.as_ref());
        let pairs = common(self.now.nics.as_deref(), before.map(Vec::as_slice), |nic| {
            (nic.name.as_str(), nic.generation)
        });
        pairs.map(|(now, before): (&NicStats, &NicStats)| {
            let before = level(before, now);
            (now.name.as_str(), NicDelta::between(now, &before))
        })
    }

    /// Sum of [`Self::nics`]; none if there is no card of which it is known.
    pub fn nic(&self) -> Option<NicDelta> {
        self.nics().map(|(_, delta)| delta).reduce(NicDelta::plus)
    }

    /// What it used of one physical CPU.
    pub fn pcpu(&self, number: u32) -> PcpuDelta {
        let find = |stats: &VmStats| {
            let pcpus = stats.pcpus.as_ref()?;
            pcpus.iter().find(|pcpu| pcpu.number == number).cloned()
        };
        let before = self.before.as_ref();
        match (find(&self.now), before.and_then(|stats| find(stats))) {
            (Some(now), Some(before)) => PcpuDelta {
                time_ns: grown(now.time_ns, before.time_ns),
                vcpu_time_ns: grown(now.vcpu_time_ns, before.vcpu_time_ns),
                is_approximate: false,
            },
            _ => PcpuDelta {
                time_ns: None,
                vcpu_time_ns: self.vcpus_on(number),
                is_approximate: true,
            },
        }
    }

    /// Time of the virtual CPUs that were on a physical CPU at both ends.
    fn vcpus_on(&self, number: u32) -> Option<u64> {
        let before = self.before.as_ref()?.vcpus.as_ref()?;
        let on_it = self.now.vcpus.as_ref()?.iter();
        let times = on_it.filter(|vcpu| vcpu.pcpu == Some(number));
        times
            .filter_map(|now| {
                let earlier = before.iter().find(|vcpu| vcpu.number == now.number)?;
                let stayed = earlier.pcpu == Some(number);
                stayed.then(|| grown(now.time_ns, earlier.time_ns))?
            })
            .reduce(u64::saturating_add)
    }
}

/// How much a counter grew; none if it fell or is not known.
fn grown(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    now?.checked_sub(before?)
}

/// What a card had before; not more than now where offwatch counts itself: a frame is
/// counted until the tap's driver drops it.
fn level<'a>(before: &'a NicStats, now: &NicStats) -> Cow<'a, NicStats> {
    let is_less = |now: Option<u64>, before| now.is_some() && now < before;
    let has_fallen =
        is_less(now.rx_packets, before.rx_packets) || is_less(now.rx_bytes, before.rx_bytes);
    if now.generation.is_none() || !has_fallen {
        return Cow::Borrowed(before);
    }
    let least = |now: Option<u64>, before: Option<u64>| Some(now?.min(before?));
    Cow::Owned(NicStats {
        rx_packets: least(now.rx_packets, before.rx_packets),
        rx_bytes: least(now.rx_bytes, before.rx_bytes),
        ..before.clone()
    })
}

/// The devices of `now` that `before` has too, by name and generation.
fn common<'a, Device>(
    now: Option<&'a [Device]>,
    before: Option<&'a [Device]>,
    key: fn(&Device) -> (&str, Option<u64>),
) -> impl Iterator<Item = (&'a Device, &'a Device)> {
    let now = now.unwrap_or_default();
    let before = before.unwrap_or_default();
    now.iter().enumerate().filter_map(move |(at, device)| {
        // As a rule they are in the same order.
        let is_same = |other: &&Device| key(other) == key(device);
        let earlier = before.get(at).filter(is_same);
        Some((device, earlier.or_else(|| before.iter().find(is_same))?))
    })
}
