//! What is kept of a VM from one sample to the next: totals that do not fall while it
//! runs, whoever tells them.

mod cpu;
mod disks;
#[cfg(test)]
mod tests;

use self::{cpu::CpuTotal, disks::DiskTotals};
use super::past::LabelText;
use crate::sample::VmStats;

/// A VM in the samples before.
#[derive(Debug, Default)]
pub(super) struct PastVm {
    pub(super) round: u64,
    cpu: CpuTotal,
    disks: DiskTotals,
    /// The process of its vhost threads, and their time.
    pid: Option<u32>,
    vhost_cpu_ns: Option<u64>,
    /// What is told now.
    pub(super) used: Used,
    pub(super) labels: LabelText,
}

/// What a VM used since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) cpu_ns: Option<u64>,
    pub(super) read_requests: Option<u64>,
    pub(super) write_requests: Option<u64>,
    pub(super) read_bytes: Option<u64>,
    pub(super) write_bytes: Option<u64>,
    pub(super) vhost_cpu_ns: Option<u64>,
}

impl PastVm {
    /// Takes what is told now; what was used since the sample before, where both tell.
    pub(super) fn advance(
        &mut self,
        stats: Option<&VmStats>,
        (pid, vhost_cpu_ns): (Option<u32>, Option<u64>),
    ) -> Used {
        let before = self.used;
        let mut cpu_ns = None;
        let mut disks = [None; 4];
        if let Some(stats) = stats {
            if self.cpu.is_of_another_start(stats, pid) {
                self.cpu = CpuTotal::default();
                self.disks = DiskTotals::default();
            }
            cpu_ns = self.cpu.advance(stats, pid);
            if let Some(told) = &stats.disks {
                disks = self.disks.advance(told);
            }
        }
        if self.pid != pid {
            self.pid = pid;
            self.vhost_cpu_ns = None;
        }
        // Threads end, and their time with them.
        self.vhost_cpu_ns = self.vhost_cpu_ns.max(vhost_cpu_ns);
        let [read_requests, write_requests, read_bytes, write_bytes] = disks;
        self.used = Used {
            cpu_ns,
            read_requests,
            write_requests,
            read_bytes,
            write_bytes,
            vhost_cpu_ns: vhost_cpu_ns.and(self.vhost_cpu_ns),
        };
        self.used.since(before)
    }
}

impl Used {
    fn since(self, before: Self) -> Self {
        let grown = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
        Self {
            cpu_ns: grown(self.cpu_ns, before.cpu_ns),
            read_requests: grown(self.read_requests, before.read_requests),
            write_requests: grown(self.write_requests, before.write_requests),
            read_bytes: grown(self.read_bytes, before.read_bytes),
            write_bytes: grown(self.write_bytes, before.write_bytes),
            vhost_cpu_ns: grown(self.vhost_cpu_ns, before.vhost_cpu_ns),
        }
    }
}
