//! What offwatch itself costs: its CPU time and memory, and the run time of its
//! BPF programs.

use std::{collections::HashMap, fs, os::fd::OwnedFd, time::Duration};

use aya::sys::{Stats, enable_stats};
use nix::{
    sys::resource::{UsageWho, getrusage},
    time::{ClockId, clock_gettime},
    unistd::{SysconfVar, sysconf},
};

use crate::clock;

/// Cost over the time between two readings.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnCost {
    /// CPU time of all threads, as a share of one CPU: 1 is one core.
    pub cpu_share: f64,
    /// Resident memory in bytes; `None` if `/proc` does not tell.
    pub resident_bytes: Option<u64>,
    /// The BPF programs, or why they are not known.
    pub bpf: Result<BpfCost, String>,
}

/// Run time of the BPF programs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BpfCost {
    /// How many programs there are.
    pub programs: usize,
    /// Runs per second.
    pub runs_per_s: f64,
    /// Mean nanoseconds of a run; `None` without a run.
    pub ns_per_run: Option<f64>,
    /// Run time as a share of one CPU.
    pub cpu_share: f64,
}

/// Measures from one reading to the next. The kernel takes the run time of all
/// BPF programs of the system while this exists, and no longer: that belongs to
/// a descriptor.
pub struct Meter {
    statistics: Result<OwnedFd, String>,
    before: Reading,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Reading {
    monotonic: Duration,
    cpu: Duration,
    /// By program id.
    programs: HashMap<u32, Runs>,
}

/// Runs of BPF programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) time_ns: u64,
    pub(crate) count: u64,
}

impl Meter {
    /// Begins to measure.
    pub fn start() -> Self {
        Self {
            statistics: enable_stats(Stats::RunTime).map_err(|error| refused(&error.io_error)),
            before: Reading::take(),
        }
    }

    /// The cost since the last reading, or since the start.
    pub fn read(&mut self) -> OwnCost {
        let now = Reading::take();
        let seconds = now
            .monotonic
            .saturating_sub(self.before.monotonic)
            .as_secs_f64();
        let bpf = match &self.statistics {
            Ok(_) => now.bpf_since(&self.before, seconds),
            Err(reason) => Err(reason.clone()),
        };
        let cpu = now.cpu.saturating_sub(self.before.cpu).as_secs_f64();
        self.before = now;
        OwnCost {
            cpu_share: if seconds > 0.0 { cpu / seconds } else { 0.0 },
            resident_bytes: resident_bytes(),
            bpf,
        }
    }
}

/// Why the kernel does not time BPF programs.
pub(crate) fn refused(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "needs CAP_SYS_ADMIN".into(),
        _ => error.to_string(),
    }
}

impl Reading {
    fn take() -> Self {
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Into::into);
        let cpu = getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
            duration(usage.user_time()) + duration(usage.system_time())
        });
        Self {
            monotonic,
            cpu,
            programs: own_programs(),
        }
    }

    fn bpf_since(&self, before: &Self, seconds: f64) -> Result<BpfCost, String> {
        if self.programs.is_empty() {
            return Err("none is loaded".into());
        }
        let mut grown = Runs::default();
        for (id, now) in &self.programs {
            let before = before.programs.get(id).copied().unwrap_or(*now);
            grown.time_ns += now.time_ns.saturating_sub(before.time_ns);
            grown.count += now.count.saturating_sub(before.count);
        }
        if seconds <= 0.0 {
            return Err("no interval yet".into());
        }
        let ns = grown.time_ns as f64;
        Ok(BpfCost {
            programs: self.programs.len(),
            runs_per_s: grown.count as f64 / seconds,
            ns_per_run: (grown.count > 0).then(|| ns / grown.count as f64),
            cpu_share: ns / 1e9 / seconds,
        })
    }
}

fn duration(time: nix::sys::time::TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let microseconds = u64::try_from(time.tv_usec()).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(microseconds)
}

/// The BPF programs that this process holds a descriptor of.
fn own_programs() -> HashMap<u32, Runs> {
    let descriptors = fs::read_dir("/proc/self/fdinfo").into_iter().flatten();
    descriptors
        .filter_map(|descriptor| fs::read_to_string(descriptor.ok()?.path()).ok())
        .filter_map(|text| program(&text))
        .collect()
}

/// What the kernel tells of a descriptor of a program (`bpf_prog_show_fdinfo`);
/// one of a link names its program, too, but no run time.
fn program(fdinfo: &str) -> Option<(u32, Runs)> {
    let field = |name: &str| {
        let mut lines = fdinfo.lines();
        lines.find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix(':')?
                .trim()
                .parse()
                .ok()
        })
    };
    let runs = Runs {
        time_ns: field("run_time_ns")?,
        count: field("run_cnt")?,
    };
    Some((u32::try_from(field("prog_id")?).ok()?, runs))
}

/// All runs of the programs of this process since it loaded them, as far as the
/// kernel timed them.
pub(crate) fn all_runs() -> Runs {
    let programs = own_programs();
    programs.values().fold(Runs::default(), |sum, runs| Runs {
        time_ns: sum.time_ns + runs.time_ns,
        count: sum.count + runs.count,
    })
}

/// When this process was started, seconds since the Unix epoch: proc(5) has it in
/// clock ticks after boot.
pub(crate) fn start_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // A name may hold spaces and brackets; it ends with the last one.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    let since_boot = ticks / per_second as f64;
    let running = clock::boottime_ns() as f64 / 1e9 - since_boot;
    Some(clock::wall_clock_ms() as f64 / 1e3 - running)
}

/// Resident memory of this process; `None` if `/proc` does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_from_a_link() {
        let of_program = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_jited:\t1\n\
            prog_tag:\t0123456789abcdef\nmemlock:\t4096\nprog_id:\t17\nrun_time_ns:\t1200\n\
            run_cnt:\t10\nrecursion_misses:\t0\nverified_insns:\t321\n";
        let runs = Runs {
            time_ns: 1200,
            count: 10,
        };
        assert_eq!(program(of_program), Some((17, runs)));
        let of_link = "pos:\t0\nlink_type:\traw_tracepoint\nlink_id:\t3\n\
            prog_tag:\t0123456789abcdef\nprog_id:\t17\ntp_name:\tnetif_receive_skb\n";
        assert_eq!(program(of_link), None);
    }

    #[test]
    fn programs_are_added_and_new_ones_start_at_nothing() {
        let runs = |time_ns, count| Runs { time_ns, count };
        let before = Reading {
            programs: HashMap::from([(1, runs(1000, 10))]),
            ..Reading::default()
        };
        let now = Reading {
            programs: HashMap::from([(1, runs(3000, 30)), (2, runs(500, 5))]),
            ..Reading::default()
        };
        let cost = now.bpf_since(&before, 2.0).expect("programs");
        assert_eq!(cost.programs, 2);
        assert_eq!(cost.runs_per_s, 10.0);
        assert_eq!(cost.ns_per_run, Some(100.0));
        assert_eq!(cost.cpu_share, 1e-6);
        assert!(Reading::default().bpf_since(&before, 2.0).is_err());
    }

    #[test]
    fn this_process_was_started_before_now() {
        let start = start_seconds().expect("told");
        let now = clock::wall_clock_ms() as f64 / 1e3;
        assert!(
            start <= now + 0.1 && start > now - 86_400.0,
            "{start}, {now}"
        );
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
