//! CPU time of a VM, which libvirt and `/proc` tell differently.

use crate::sample::{StatsSource, VmStats};

/// CPU time since the start of the VM. Each source is compared with itself alone: they
/// count different threads, and in other units.
#[derive(Debug, Default)]
pub(super) struct CpuTotal {
    total_ns: Option<u64>,
    libvirt: Option<Told>,
    proc: Option<Told>,
    /// The process when one of them told.
    pid: Option<u32>,
}

/// What a source told last.
#[derive(Clone, Copy, Debug)]
struct Told {
    start: u64,
    cpu_ns: Option<u64>,
    /// The total at that time.
    total_ns: u64,
}

impl CpuTotal {
    /// Whether the VM was started anew since these totals began.
    pub(super) fn is_of_another_start(&self, now: &VmStats, pid: Option<u32>) -> bool {
        let (same, other) = match now.source {
            StatsSource::Libvirt => (self.libvirt, self.proc),
            StatsSource::Proc => (self.proc, self.libvirt),
        };
        match (same, other) {
            (Some(told), _) => told.start != now.start,
            // libvirt's number of a start says nothing of the one in `/proc`.
            (None, Some(_)) => pid.is_none() || self.pid != pid,
            (None, None) => false,
        }
    }

    /// The total with what `now` tells; none if it tells no CPU time.
    pub(super) fn advance(&mut self, now: &VmStats, pid: Option<u32>) -> Option<u64> {
        self.pid = pid;
        let told = match now.source {
            StatsSource::Libvirt => &mut self.libvirt,
            StatsSource::Proc => &mut self.proc,
        };
        let before = told.and_then(|told| Some((told.cpu_ns?, told.total_ns)));
        let total_ns = match (now.cpu_time_ns, before, self.total_ns) {
            (Some(cpu_ns), Some((cpu_before_ns, total_then_ns)), Some(total_ns)) => {
                let grown_ns = cpu_ns.saturating_sub(cpu_before_ns);
                total_ns.max(total_then_ns.saturating_add(grown_ns))
            }
            // The first figure of this source goes on from what the other told.
            (_, _, Some(total_ns)) => total_ns,
            (cpu_ns, _, None) => cpu_ns.unwrap_or(0),
        };
        if now.cpu_time_ns.is_some() || told.is_none() {
            *told = Some(Told {
                start: now.start,
                cpu_ns: now.cpu_time_ns,
                total_ns,
            });
        }
        now.cpu_time_ns?;
        self.total_ns = Some(total_ns);
        self.total_ns
    }
}
