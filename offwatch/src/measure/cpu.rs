//! CPU time of the whole host, from the first line of `/proc/stat`.

use std::{fs, path::Path};

use nix::unistd::{SysconfVar, sysconf};
use serde::Serialize;

use crate::clock;

/// CPU time of all CPUs together, nanoseconds: since boot, or in a window. The kernel
/// counts it in ticks, mostly of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CpuTimes {
    /// Programs, guests included.
    pub user_ns: u64,
    /// The kernel for programs, and its threads.
    pub system_ns: u64,
    /// Interrupts.
    pub irq_ns: u64,
    /// Soft interrupts: most of what networking does outside of programs.
    pub softirq_ns: u64,
    /// What a hypervisor below took.
    pub steal_ns: u64,
    /// Nothing to do, or waiting for disks.
    pub idle_ns: u64,
}

/// CPU time of all CPUs at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuReading {
    /// When: monotonic clock, nanoseconds.
    pub monotonic_ns: u64,
    /// CPUs that are online.
    pub online_cpus: u64,
    /// Since boot.
    pub times: CpuTimes,
}

impl CpuReading {
    /// Now, or why that is not known.
    pub fn now(proc: &Path) -> Result<Self, String> {
        let path = proc.join("stat");
        let monotonic_ns = clock::monotonic_ns();
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
        let ticks = ticks.and_then(|ticks| u64::try_from(ticks).ok());
        let times = parse(&text, ticks.unwrap_or(100))
            .ok_or_else(|| format!("{} has no line of all CPUs", path.display()))?;
        Ok(Self {
            monotonic_ns,
            online_cpus: online(&text),
            times,
        })
    }

    /// Time since an earlier moment in which CPUs were not idle, nor taken by a
    /// hypervisor below. Idle time is exact where ticks of busy time are not: a tick
    /// counts as what it happens to meet.
    pub fn busy_ns_since(&self, earlier: &Self) -> Result<u64, String> {
        if self.online_cpus != earlier.online_cpus {
            return Err("CPUs went on or off line meanwhile".into());
        }
        let times = self.times.since(&earlier.times);
        let passed = self.monotonic_ns.saturating_sub(earlier.monotonic_ns);
        let whole = passed.saturating_mul(self.online_cpus);
        Ok(whole.saturating_sub(times.idle_ns + times.steal_ns))
    }
}

impl CpuTimes {
    /// Time in which CPUs did something.
    pub fn busy_ns(&self) -> u64 {
        self.user_ns + self.system_ns + self.irq_ns + self.softirq_ns
    }

    /// What was used since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
            irq_ns: self.irq_ns.saturating_sub(earlier.irq_ns),
            softirq_ns: self.softirq_ns.saturating_sub(earlier.softirq_ns),
            steal_ns: self.steal_ns.saturating_sub(earlier.steal_ns),
            idle_ns: self.idle_ns.saturating_sub(earlier.idle_ns),
        }
    }
}

/// The time of guests, which follows, is part of that of programs.
fn parse(text: &str, ticks_per_s: u64) -> Option<CpuTimes> {
    const NS_PER_S: u64 = 1_000_000_000;
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ns = |ticks: &str| {
        Some(
            ticks
                .parse::<u64>()
                .ok()?
                .saturating_mul(NS_PER_S / ticks_per_s.max(1)),
        )
    };
    let times: Vec<u64> = line.split_ascii_whitespace().map_while(ns).collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = times[..] else {
        return None;
    };
    Some(CpuTimes {
        user_ns: user + nice,
        system_ns: system,
        irq_ns: irq,
        softirq_ns: softirq,
        steal_ns: steal,
        idle_ns: idle + iowait,
    })
}

/// Each has a line of its own.
fn online(text: &str) -> u64 {
    let names = text.lines().filter_map(|line| line.strip_prefix("cpu"));
    let each = names.filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    each.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_all_cpus_is_read() {
        let text = "cpu  10 1 20 500 7 3 40 5 9 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        let times = parse(text, 100).expect("whole");
        let tick = 10_000_000;
        assert_eq!((times.user_ns, times.system_ns), (11 * tick, 20 * tick));
        assert_eq!((times.irq_ns, times.softirq_ns), (3 * tick, 40 * tick));
        assert_eq!((times.steal_ns, times.idle_ns), (5 * tick, 507 * tick));
        assert_eq!(times.busy_ns(), 74 * tick);
        assert_eq!(times.since(&times), CpuTimes::default());
        for bad in ["", "cpu0 1 2 3 4 5 6 7 8 9 10", "cpu  1 2 3 4 5 6 7"] {
            assert_eq!(parse(bad, 100), None, "{bad}");
        }
    }

    #[test]
    fn this_host_tells() {
        let reading = CpuReading::now(Path::new("/proc")).expect("Linux");
        assert!(reading.times.busy_ns() > 0 && reading.times.idle_ns > 0);
        assert!(reading.online_cpus > 0);
    }

    #[test]
    fn what_is_not_idle_is_busy() {
        let at = |monotonic_ns, idle_ns, online_cpus| CpuReading {
            monotonic_ns,
            online_cpus,
            times: CpuTimes {
                idle_ns,
                steal_ns: idle_ns / 10,
                ..CpuTimes::default()
            },
        };
        let (before, now) = (at(1_000, 500, 4), at(2_000, 1_500, 4));
        assert_eq!(now.busy_ns_since(&before), Ok(4_000 - 1_000 - 100));
        assert!(at(2_000, 1_500, 3).busy_ns_since(&before).is_err());
        let text = "cpu  1 2\ncpu0 1 2\ncpu11 1 2\nctxt 5\n";
        assert_eq!(online(text), 2);
    }
}
