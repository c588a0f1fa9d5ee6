//! What a process used: CPU time and memory, from its `stat` alone.

use std::fs;
use std::path::Path;

use nix::unistd::{SysconfVar, sysconf};

use crate::clock::monotonic_ns;
use crate::sample::{StatsSource, VmStats};

/// Reads the statistics of a process; none if there is no such process.
/// `memory_kib` is what its command line gives the guest.
pub fn read(proc: &Path, pid: u32, memory_kib: Option<u64>) -> Option<VmStats> {
    let monotonic_ns = monotonic_ns();
    let stat = fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    let clock_ticks = system(SysconfVar::CLK_TCK)?;
    let page_bytes = system(SysconfVar::PAGE_SIZE)?;
    parse(&stat, clock_ticks, page_bytes).map(|stats| VmStats {
        monotonic_ns,
        memory_kib,
        memory_max_kib: memory_kib,
        ..stats
    })
}

fn system(variable: SysconfVar) -> Option<u64> {
    u64::try_from(sysconf(variable).ok()??).ok()
}

fn parse(stat: &str, ticks_per_s: u64, page_bytes: u64) -> Option<VmStats> {
    const NS_PER_S: u64 = 1_000_000_000;
    // The name of the program comes second and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // Numbers as in proc(5), where the state that follows the name is the third.
    let field = |number: usize| -> Option<u64> { fields.get(number - 3)?.parse().ok() };
    let ticks = field(14)?.saturating_add(field(15)?);
    Some(VmStats {
        source: StatsSource::Proc,
        start: field(22)?,
        cpu_time_ns: Some(ticks.saturating_mul(NS_PER_S / ticks_per_s.max(1))),
        memory_rss_kib: field(24).map(|pages| pages.saturating_mul(page_bytes / 1024)),
        ..VmStats::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "91 (a) b) S 1 91 91 0 -1 4194624 5 0 0 0 250 31 7 8 20 0 5 0 4242 \
                        1000000 2048 18446744073709551615 1 1 0 0 0\n";

    #[test]
    fn cpu_time_start_and_memory() {
        let expected = VmStats {
            source: StatsSource::Proc,
            start: 4242,
            cpu_time_ns: Some(2_810_000_000),
            memory_rss_kib: Some(8192),
            ..VmStats::default()
        };
        assert_eq!(parse(STAT, 100, 4096), Some(expected));
        assert_eq!(parse("91 (a) S 1", 100, 4096), None);
        assert_eq!(parse("", 100, 4096), None);
    }

    #[test]
    fn this_process() {
        let before = read(Path::new("/proc"), std::process::id(), Some(5)).unwrap();
        assert_eq!(before.memory_kib, Some(5));
        assert!(before.memory_rss_kib.unwrap() > 100);
        // The time of all threads, of those that ended, too.
        std::thread::spawn(|| {
            let started = cpu_time();
            while cpu_time() < started + 50_000_000 {
                std::hint::black_box(0);
            }
        })
        .join()
        .unwrap();
        let after = read(Path::new("/proc"), std::process::id(), None).unwrap();
        assert_eq!(after.start, before.start);
        assert!(after.cpu_time_ns >= before.cpu_time_ns.map(|ns| ns + 30_000_000));
    }

    /// CPU time of this process, nanoseconds.
    fn cpu_time() -> u64 {
        let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
        let time = nix::time::clock_gettime(clock).unwrap();
        u64::try_from(std::time::Duration::from(time).as_nanos()).unwrap()
    }

    #[test]
    fn a_process_that_is_gone() {
        assert_eq!(read(Path::new("/nonexistent"), 1, None), None);
    }
}
