//! What observing costs: offwatch against programs that do nothing at the same
//! hooks, on the same packets, in the same run, and against other tools.
//!
//! Only ratios carry over to other machines; nanoseconds are printed to show
//! their scale.

mod advise;
mod body;
mod control;
mod end_to_end;
mod enforce;
mod enforce_watch;
pub mod exact;
mod goals;
pub mod instructions;
mod measure;
mod memory;
mod multiqueue;
mod part;
mod path;
mod peers;
mod report;
mod rounds;
pub mod running;
mod scale;
mod stats;
pub mod syscalls;
mod usage;
mod variant;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

pub use self::{control::read_only, part::Part, report::Report};
use crate::Netns;

const THIS_THREAD: Pid = Pid::from_raw(0);

/// How much to measure, and with what.
#[derive(Debug, Clone)]
pub struct Config {
    /// Fewer repetitions, fewer interfaces.
    pub quick: bool,
    /// What to measure.
    pub parts: Vec<Part>,
    /// Where results are kept; parts that are there from before stay.
    pub json: Option<PathBuf>,
    /// The object with the empty programs; by default the one that
    /// `cargo xtask ebpf` leaves beside this program.
    pub empty_object: Option<PathBuf>,
}

impl Config {
    fn rounds(&self) -> usize {
        if self.quick { 4 } else { 10 }
    }

    /// Those in which each turn takes seconds.
    fn slow_rounds(&self) -> usize {
        if self.quick { 2 } else { 10 }
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

/// A line for each tool that is missing, and how to get it.
pub fn missing_peers() -> Vec<String> {
    peers::missing()
}

/// Measures, telling on stderr what it is at. What was measured is in the file after each
/// part: a run that ends early loses one part.
pub fn run(config: &Config) -> Result<Report> {
    if let Some(path) = &config.json {
        Report::check(path, &config.parts)?;
    }
    let mut report = Report::new()?;
    for part in Part::ALL {
        if config.parts.contains(&part) {
            eprintln!("{}...", part.name());
            let measured = measure::part(part, config);
            report.insert(part, measured.with_context(|| part.name())?);
            if let Some(path) = &config.json {
                report.write(path)?;
            }
        }
    }
    Ok(report)
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
    let [_, last] = ends(&processors()?)?;
    bind(&last)
}

/// Those that the thread may use.
fn processors() -> Result<CpuSet> {
    sched_getaffinity(THIS_THREAD).context("sched_getaffinity")
}

/// The first and the last of them, each alone.
fn ends(processors: &CpuSet) -> Result<[CpuSet; 2]> {
    let allowed = |cpu: &usize| processors.is_set(*cpu).unwrap_or(false);
    let all = 0..CpuSet::count();
    let alone = |cpu: Option<usize>| {
        let mut one = CpuSet::new();
        one.set(cpu.context("no processor is allowed")?)?;
        anyhow::Ok(one)
    };
    Ok([
        alone(all.clone().find(allowed))?,
        alone(all.rev().find(allowed))?,
    ])
}

/// Binds the thread, and those that it starts.
fn bind(processors: &CpuSet) -> Result<()> {
    sched_setaffinity(THIS_THREAD, processors).context("sched_setaffinity")
}
