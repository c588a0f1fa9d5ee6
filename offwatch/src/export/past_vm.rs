//! What is kept of a VM from one sample to the next: totals that do not fall while it
//! runs, whoever tells them.

use std::{iter, sync::Arc};

use super::past::LabelText;
use crate::sample::{DiskStats, VmStats};

/// A VM in the samples before.
#[derive(Debug, Default)]
pub(super) struct PastVm {
    pub(super) round: u64,
    /// What was told of it last.
    told: Option<Arc<VmStats>>,
    pid: Option<u32>,
    /// What it used, whether that is told now or not.
    totals: Used,
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

/// How the last statistics relate to those before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Since<'a> {
    /// There is nothing before them in this start of the VM.
    Start,
    /// The same source told these, of the same start.
    Earlier(&'a VmStats),
    /// Another source did: what is counted differs, so the difference of the two is
    /// nothing that was used.
    OtherSource,
}

impl PastVm {
    /// Takes what is told now; what was used since the sample before, where both tell.
    pub(super) fn advance(
        &mut self,
        stats: Option<&Arc<VmStats>>,
        vhost: (Option<u32>, Option<u64>),
    ) -> Used {
        let (pid, vhost_cpu_ns) = vhost;
        let is_same_process = pid.is_some() && self.pid == pid;
        let before = self.used;
        if let Some(now) = stats {
            let told = self.told.take();
            let since = match told.as_deref() {
                Some(told) if told.source == now.source => match told.start == now.start {
                    true => Since::Earlier(told),
                    false => Since::Start,
                },
                Some(_) if is_same_process => Since::OtherSource,
                _ => Since::Start,
            };
            self.totals = Used {
                vhost_cpu_ns: self.totals.vhost_cpu_ns,
                ..self.totals.and(now, since)
            };
            self.told = Some(Arc::clone(now));
        }
        if self.pid != pid {
            self.pid = pid;
            self.totals.vhost_cpu_ns = None;
        }
        // Threads end, and their time with them.
        self.totals.vhost_cpu_ns = self.totals.vhost_cpu_ns.max(vhost_cpu_ns);
        self.used = self
            .totals
            .as_told(stats.map(|stats| &**stats), vhost_cpu_ns);
        self.used.since(before)
    }
}

impl Used {
    /// The totals with what `now` adds to them.
    fn and(self, now: &VmStats, since: Since<'_>) -> Self {
        let earlier = match since {
            Since::Start => None,
            Since::Earlier(earlier) => Some(earlier),
            Since::OtherSource => return self,
        };
        let cpu_ns = match earlier {
            None => now.cpu_time_ns,
            Some(earlier) => plus(self.cpu_ns, now.cpu_time_ns, earlier.cpu_time_ns),
        };
        let disks = |total: Option<u64>, field: fn(&DiskStats) -> Option<u64>| {
            let mut total = total.filter(|_| earlier.is_some());
            for (disk, before) in disks_since(now, earlier) {
                // Of one that was plugged in since all is new.
                let before = before.map_or(Some(0), field);
                total = plus(total, field(disk), before);
            }
            total
        };
        Self {
            cpu_ns,
            read_requests: disks(self.read_requests, |disk| disk.read_requests),
            write_requests: disks(self.write_requests, |disk| disk.write_requests),
            read_bytes: disks(self.read_bytes, |disk| disk.read_bytes),
            write_bytes: disks(self.write_bytes, |disk| disk.write_bytes),
            vhost_cpu_ns: None,
        }
    }

    /// Those of the totals that are told now.
    fn as_told(self, stats: Option<&VmStats>, vhost_cpu_ns: Option<u64>) -> Self {
        let disks = |total: Option<u64>, field: fn(&DiskStats) -> Option<u64>| {
            let disks = stats?.disks.as_ref()?;
            disks
                .iter()
                .all(|disk| field(disk).is_some())
                .then_some(total.unwrap_or(0))
        };
        Self {
            cpu_ns: stats.and_then(|stats| stats.cpu_time_ns).and(self.cpu_ns),
            read_requests: disks(self.read_requests, |disk| disk.read_requests),
            write_requests: disks(self.write_requests, |disk| disk.write_requests),
            read_bytes: disks(self.read_bytes, |disk| disk.read_bytes),
            write_bytes: disks(self.write_bytes, |disk| disk.write_bytes),
            vhost_cpu_ns: vhost_cpu_ns.and(self.vhost_cpu_ns),
        }
    }

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

/// A total and what a counter grew by. One that was not told before adds nothing, but
/// is all there is where there is no total yet.
fn plus(total: Option<u64>, now: Option<u64>, before: Option<u64>) -> Option<u64> {
    let Some(now) = now else { return total };
    let grown = before.map(|before| now.saturating_sub(before));
    match total {
        Some(total) => Some(total.saturating_add(grown.unwrap_or(0))),
        None => Some(now),
    }
}

/// The disks of now, each with what was told of it earlier.
fn disks_since<'a>(
    now: &'a VmStats,
    earlier: Option<&'a VmStats>,
) -> impl Iterator<Item = (&'a DiskStats, Option<&'a DiskStats>)> {
    let earlier = earlier
        .and_then(|stats| stats.disks.as_deref())
        .unwrap_or_default();
    // As a rule they are in the same order.
    let places = earlier.iter().map(Some).chain(iter::repeat(None));
    now.disks
        .iter()
        .flatten()
        .zip(places)
        .map(move |(disk, same)| {
            let same = same.filter(|same| same.name == disk.name);
            let before = same.or_else(|| earlier.iter().find(|other| other.name == disk.name));
            (disk, before)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::StatsSource;

    const LIBVIRT: StatsSource = StatsSource::Libvirt;
    const PROC: StatsSource = StatsSource::Proc;

    fn stats(source: StatsSource, start: u64, cpu: u64) -> VmStats {
        VmStats {
            source,
            start,
            cpu_time_ns: Some(cpu),
            ..VmStats::default()
        }
    }

    fn advance(past: &mut PastVm, now: VmStats, pid: u32) -> Used {
        past.advance(Some(&Arc::new(now)), (Some(pid), None))
    }

    fn disk(name: &str, bytes: u64) -> DiskStats {
        DiskStats {
            name: name.into(),
            read_bytes: Some(bytes),
            ..DiskStats::default()
        }
    }

    fn disks(disks: Vec<DiskStats>) -> VmStats {
        VmStats {
            disks: Some(disks),
            ..stats(LIBVIRT, 1, 0)
        }
    }

    #[test]
    fn totals_fall_only_with_the_start_of_the_vm() {
        let mut past = PastVm::default();
        past.advance(Some(&stats(LIBVIRT, 1, 500).into()), (Some(7), Some(50)));
        let now = stats(LIBVIRT, 1, 400).into();
        let grown = past.advance(Some(&now), (Some(7), Some(30)));
        assert_eq!((grown.cpu_ns, grown.vhost_cpu_ns), (Some(0), Some(0)));
        let used = (past.used.cpu_ns, past.used.vhost_cpu_ns);
        assert_eq!(used, (Some(500), Some(50)));
        past.advance(Some(&stats(LIBVIRT, 2, 10).into()), (Some(8), Some(1)));
        let used = (past.used.cpu_ns, past.used.vhost_cpu_ns);
        assert_eq!(used, (Some(10), Some(1)));
        past.advance(None, (Some(8), None));
        assert_eq!(past.used, Used::default(), "nobody tells");
    }

    /// libvirt's id of a domain is no start of its process, and `/proc` has ticks.
    #[test]
    fn another_source_neither_takes_away_nor_adds() {
        let mut past = PastVm::default();
        advance(&mut past, stats(LIBVIRT, 1, 1_000_790), 7);
        let grown = advance(&mut past, stats(PROC, 4_711, 1_000_000), 7);
        assert_eq!((grown.cpu_ns, past.used.cpu_ns), (Some(0), Some(1_000_790)));
        let grown = advance(&mut past, stats(PROC, 4_711, 1_000_100), 7);
        assert_eq!(
            (grown.cpu_ns, past.used.cpu_ns),
            (Some(100), Some(1_000_890))
        );
        let grown = advance(&mut past, stats(LIBVIRT, 1, 9_000_000), 7);
        assert_eq!((grown.cpu_ns, past.used.cpu_ns), (Some(0), Some(1_000_890)));
        let grown = advance(&mut past, stats(LIBVIRT, 1, 9_000_010), 7);
        assert_eq!(
            (grown.cpu_ns, past.used.cpu_ns),
            (Some(10), Some(1_000_900))
        );
    }

    #[test]
    fn another_process_by_another_source_is_another_start() {
        let mut past = PastVm::default();
        advance(&mut past, stats(LIBVIRT, 1, 500), 7);
        advance(&mut past, stats(PROC, 4_711, 20), 8);
        assert_eq!(past.used.cpu_ns, Some(20));
    }

    #[test]
    fn what_passes_while_nobody_tells_is_told_afterwards() {
        let mut past = PastVm::default();
        advance(&mut past, stats(LIBVIRT, 1, 500), 7);
        past.advance(None, (Some(7), None));
        assert_eq!(past.used.cpu_ns, None);
        advance(&mut past, stats(LIBVIRT, 1, 700), 7);
        assert_eq!(past.used.cpu_ns, Some(700));
    }

    #[test]
    fn a_disk_that_goes_takes_nothing_away_and_one_that_comes_adds_all_it_has() {
        let mut past = PastVm::default();
        advance(&mut past, disks(vec![disk("vda", 10), disk("vdb", 500)]), 7);
        assert_eq!(past.used.read_bytes, Some(510));
        let grown = advance(&mut past, disks(vec![disk("vda", 12)]), 7);
        assert_eq!(
            (grown.read_bytes, past.used.read_bytes),
            (Some(2), Some(512))
        );
        let now = disks(vec![disk("vdb", 3), disk("vda", 13)]);
        let grown = advance(&mut past, now, 7);
        assert_eq!(
            (grown.read_bytes, past.used.read_bytes),
            (Some(4), Some(516))
        );
        // /proc knows no disks.
        advance(&mut past, stats(PROC, 4_711, 0), 7);
        assert_eq!(past.used.read_bytes, None);
        advance(&mut past, disks(vec![disk("vda", 99)]), 7);
        assert_eq!(past.used.read_bytes, Some(516));
    }
}
