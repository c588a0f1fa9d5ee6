//! What observing costs: offwatch against programs that do nothing at the same
//! hooks, on the same packets, in the same run.
//!
//! Only ratios carry over to other machines; nanoseconds are printed to show
//! their scale.

mod body;
mod control;
mod enforce;
pub mod enforce_watch;
pub mod exact;
mod path;
mod report;
mod rounds;
mod running;
mod scale;
mod stats;
mod syscalls;
mod variant;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use self::{control::read_only, enforce::Enforcing, report::Report};
use self::{
    path::{Load, Shape},
    report::{Budget, PathReport},
    variant::Empty,
};
use crate::Netns;

/// How much to measure, and with what.
#[derive(Debug, Clone)]
pub struct Config {
    /// Fewer repetitions, fewer interfaces.
    pub quick: bool,
    /// The object with the empty programs; by default the one that
    /// `cargo xtask ebpf` leaves beside this program.
    pub empty_object: Option<PathBuf>,
}

impl Config {
    fn rounds(&self) -> usize {
        if self.quick { 4 } else { 16 }
    }

    fn ticks(&self) -> u32 {
        if self.quick { 5 } else { 20 }
    }

    fn interfaces(&self) -> &'static [u32] {
        if self.quick {
            &[10, 1_000]
        } else {
            &[10, 1_000, 10_000]
        }
    }
}

/// Measures everything, telling on stderr what it is at.
pub fn run(config: &Config) -> Result<Report> {
    let empty_object = match &config.empty_object {
        Some(path) => path.clone(),
        None => built_object()?,
    };
    let mut empty = Empty::load(&empty_object)?;
    let mut report = Report::new()?;
    eprintln!("start and read...");
    report.control = control::measure(config.interfaces())?;
    report.read_syscalls = syscalls::of_reading(control::READ_INTERFACES)?;
    eprintln!("top on large hosts...");
    report.scale = scale::measure(config.interfaces(), config.ticks())?;
    report.enforcing = Some(enforcing(config.quick)?);
    eprintln!("enforce --watch...");
    report.watch = Some(enforce_watch::measure(config.quick)?);
    eprintln!("bodies...");
    report.bodies = body::measure(&mut empty)?;
    for load in Load::ALL {
        eprintln!("{}...", load.title());
        let path = path::Path::new(load)?;
        let cost = rounds::measure(&path, &mut empty, config.rounds())?;
        report.paths.push(PathReport::new(load, &cost));
    }
    eprintln!("exact hooks...");
    report.exact = exact::measure(config.rounds())?;
    report.budgets = budgets(&report);
    Ok(report)
}

/// What enforcing costs, alone.
pub fn enforcing(quick: bool) -> Result<Enforcing> {
    const TAPS: usize = 1_000;
    eprintln!("enforce...");
    enforce::measure(TAPS, quick)
}

/// The budgets of the default hook: what it adds to a packet, to what the empty
/// programs add.
fn budgets(report: &Report) -> Vec<Budget> {
    let mut budgets: Vec<Budget> = report
        .paths
        .iter()
        .filter(|path| path.load.shape == Shape::Small)
        .filter_map(|path| {
            let name = format!("{}: added, default hook / empty", path.load.title());
            let ratio = path.default_hook()?.added_ratio_count?;
            Some(Budget::below(name, ratio.median, 1.5, "x"))
        })
        .collect();
    budgets.extend(report.control.iter().map(|control| {
        let name = format!("attach, {} interfaces", control.interfaces);
        Budget::below(name, control.attach_ms(), 200.0, " ms")
    }));
    budgets.extend(report.control.last().map(|control| {
        let name = format!("read {} slots", control::READ_INTERFACES);
        Budget::below(name, control.read_ms, 2.0, " ms")
    }));
    budgets.extend(report.read_syscalls.map(|calls| {
        let name = format!("system calls to read {} slots", control::READ_INTERFACES);
        Budget::below(name, calls as f64, 1.0, "")
    }));
    budgets.extend(scale::budgets(&report.scale));
    budgets.extend(report.enforcing.iter().map(Enforcing::budget));
    budgets.extend(report.watch.iter().flat_map(enforce_watch::budgets));
    budgets
}

/// `target/ebpf/...` above `target/release/offwatch-bench`.
fn built_object() -> Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program")?;
    let object = Path::new("ebpf/bpfel-unknown-none/release/offwatch-empty");
    this.ancestors()
        .map(|directory| directory.join(object))
        .find(|path| path.is_file())
        .context("the empty programs are not built: run `cargo xtask ebpf`")
}

/// The calling thread's network becomes that of `ns` for `f`, on one processor.
fn pinned<T: Send>(ns: &Netns, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    ns.try_run(|| {
        pin()?;
        f()
    })
}

/// Binds the thread to the last processor it may use: the first has the
/// interrupts.
fn pin() -> Result<()> {
    use nix::{
        sched::{CpuSet, sched_getaffinity, sched_setaffinity},
        unistd::Pid,
    };
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread).context("sched_getaffinity")?;
    let last = (0..CpuSet::count())
        .rfind(|cpu| allowed.is_set(*cpu).unwrap_or(false))
        .context("no processor is allowed")?;
    let mut one = CpuSet::new();
    one.set(last).context("the set of processors")?;
    sched_setaffinity(this_thread, &one).context("sched_setaffinity")
}
