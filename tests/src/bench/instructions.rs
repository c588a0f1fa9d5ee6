//! What observing costs in instructions, on a machine whose clock counts them: one
//! that is emulated (`cargo xtask vm --icount`). Unlike times, these are the same
//! from run to run, however busy the host is.
//!
//! Instructions are not time: one that waits for memory counts as much as one
//! that does not.

use std::{fmt, path::Path as FilePath};

use anyhow::{Context, Result, bail, ensure};
use nix::time::ClockId;
use offwatch::{
    probe::{Counted, ExactChoice, Probe},
    sample::{ExactCounters, Hook, Method},
};
use offwatch_common::ExactWork;
use serde::Serialize;

use super::{
    exact::{attach, refusal},
    path::{Load, Path, SEGMENT_BYTES, Shape, Wiring, frame, time},
    pinned,
    stats::median,
    variant::{Empty, Variant},
};
use crate::{
    Offloads,
    frames::{FrameSpec, Segmentation},
    kernel,
};

/// Nanoseconds that are instructions; no other program has its time adjusted.
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC_RAW;

/// Batches of a sample. The tick of the kernel falls into a few of them, which
/// the median leaves out.
const BATCHES: usize = 21;

/// At most such a part of the timed work shall the exact hooks cost.
const GOAL_PERCENT: f64 = 2.0;

/// Everything that was counted.
#[derive(Debug, Serialize)]
pub struct Instructions {
    /// As in `uname -r`.
    pub kernel: String,
    /// The default hooks and others.
    pub paths: Vec<PathCost>,
    /// Exact hooks.
    pub exact: Vec<ExactCost>,
}

/// Instructions per frame on one way.
#[derive(Debug, Serialize)]
pub struct PathCost {
    /// Which.
    pub path: String,
    /// From the write to one tap to the queue of the other, nothing attached.
    pub nothing: f64,
    /// What programs add, by hook.
    pub hooks: Vec<HookCost>,
}

/// Instructions per frame that programs at a kind of hooks add.
#[derive(Debug, Serialize)]
pub struct HookCost {
    /// `tp`, `raw` or `tc`.
    pub hook: &'static str,
    /// Programs that only return.
    pub empty_return: f64,
    /// Programs that add one to an array's value.
    pub empty_count: f64,
    /// offwatch, without exact hooks.
    pub offwatch: f64,
    /// `offwatch` to `empty_count`.
    pub ratio: f64,
}

/// Instructions per call of exact hooks.
#[derive(Debug, Serialize)]
pub struct ExactCost {
    /// `fexit` or `kprobe`.
    pub method: &'static str,
    /// What the kernel does in the call.
    pub call: &'static str,
    /// What the hooks timed, a few instructions of theirs included; `None` for
    /// what is only counted.
    pub work: Option<f64>,
    /// What the hooks add.
    pub added: f64,
    /// `added` to `work`.
    pub percent: Option<f64>,
    /// What `percent` should be at most.
    pub goal_percent: f64,
}

/// Counts everything. `empty_object` holds the empty programs.
pub fn measure(empty_object: &FilePath) -> Result<Instructions> {
    check_clock()?;
    let mut empty = Empty::load(empty_object)?;
    let paths = Load::ALL.map(|load| of_path(load, &mut empty));
    let exact = Call::ALL.iter().map(of_call);
    Ok(Instructions {
        kernel: kernel::release(),
        paths: paths.into_iter().collect::<Result<_>>()?,
        exact: exact
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect(),
    })
}

/// A loop of known length must be as long by the clock, but for interruptions.
fn check_clock() -> Result<()> {
    const TURNS: u64 = 100_000;
    let counts = (0..BATCHES).map(|_| {
        let start = time(CLOCK)?;
        let instructions = turn(TURNS)?;
        Ok((time(CLOCK)? - start).as_nanos() as f64 / instructions as f64)
    });
    let counts = counts.collect::<Result<Vec<_>>>()?;
    let ratio = counts.into_iter().fold(f64::INFINITY, f64::min);
    ensure!(
        (ratio - 1.0).abs() < 0.01,
        "the clock does not count instructions: {ratio:.4} ns each"
    );
    Ok(())
}

/// Executes a known number of instructions; returns it.
fn turn(turns: u64) -> Result<u64> {
    if turns == 0 || !cfg!(target_arch = "x86_64") {
        bail!("no loop of known length here");
    }
    // SAFETY: counts a register down to 0, and touches nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("2: dec {0}", "jnz 2b", inout(reg) turns => _, options(nomem, nostack));
    }
    Ok(2 * turns)
}

fn of_path(load: Load, empty: &mut Empty) -> Result<PathCost> {
    let path = Path::new(load)?;
    let frames = match load.shape {
        Shape::Small => 64,
        Shape::Super | Shape::Cut => 8,
    };
    pinned(path.ns(), || {
        let nothing = sample(&path, frames)?;
        let mut added = |variant: Variant| {
            let attached = match variant {
                Variant::Offwatch(hook) => Ok(Err(attach(&path, hook, ExactChoice::Off)?)),
                _ => variant
                    .attach(empty, path.ns().inum(), path.observed())
                    .map(Ok),
            }?;
            let with = sample(&path, frames)?;
            drop(attached);
            Ok::<_, anyhow::Error>((with - nothing).round())
        };
        let mut hooks = Vec::new();
        for hook in [Hook::Tp, Hook::Raw, Hook::Tc] {
            let empty_return = added(Variant::Zero(hook))?;
            let empty_count = added(Variant::Count(hook))?;
            let offwatch = added(Variant::Offwatch(hook))?;
            hooks.push(HookCost {
                hook: hook.name(),
                empty_return,
                empty_count,
                offwatch,
                ratio: hundredths(offwatch / empty_count),
            });
        }
        Ok(PathCost {
            path: load.title(),
            nothing: nothing.round(),
            hooks,
        })
    })
}

/// What is behind them differs from run to run.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Instructions per frame.
fn sample(path: &Path, frames: u64) -> Result<f64> {
    // What is done once only.
    path.batches(2, frames, CLOCK)?;
    Ok(median(&mut path.batches(BATCHES, frames, CLOCK)?))
}

type Timed = fn(&ExactWork) -> (u64, u64);

/// A call of a kernel function that exact hooks are at.
struct Call {
    what: &'static str,
    frame: fn() -> FrameSpec,
    /// What the tap at the end accepts.
    accepted: Offloads,
    /// Frames of a batch.
    frames: u64,
    /// How many calls were timed, and how many nanoseconds they took.
    timed: Option<Timed>,
}

impl Call {
    const ALL: [Self; 4] = [
        Self {
            what: "64 KB cut into 45 segments",
            frame: || frame(Shape::Cut),
            accepted: Offloads::CSUM_ONLY,
            frames: 2,
            timed: Some(|work| (work.segmentation.calls, work.segmentation.ns)),
        },
        Self {
            what: "64 KB cut into 45 segments and summed",
            frame: || frame(Shape::Cut),
            accepted: Offloads::NONE,
            frames: 2,
            timed: Some(|work| (work.segmentation.calls, work.segmentation.ns)),
        },
        Self {
            what: "1.5 KB summed",
            frame: || FrameSpec {
                payload_bytes: SEGMENT_BYTES.into(),
                segmentation: Segmentation::None,
                ..frame(Shape::Cut)
            },
            accepted: Offloads::NONE,
            frames: 32,
            timed: Some(|work| (work.checksum.calls, work.checksum.ns)),
        },
        Self {
            what: "headers of 64 KB checked, nothing cut",
            frame: || frame(Shape::Super),
            accepted: Offloads::ALL,
            frames: 8,
            timed: None,
        },
    ];
}

fn of_call(call: &Call) -> Result<Vec<ExactCost>> {
    let path = Path::between(Wiring::Bridge, (call.frame)(), call.accepted)?;
    pinned(path.ns(), || {
        let without = {
            let _probe = attach(&path, Hook::Tp, ExactChoice::Off)?;
            sample(&path, call.frames)?
        };
        let costs = [Method::Fexit, Method::Kprobe].map(|method| {
            let choice = ExactChoice::Only(method);
            if let Some(reason) = refusal(&path, choice)? {
                bail!("{}: {reason}", method.name());
            }
            let probe = attach(&path, Hook::Tp, choice)?;
            let added = (sample(&path, call.frames)? - without).round();
            let work = match call.timed {
                Some(timed) => Some(work(&probe, &path, timed)?.round()),
                None => None,
            };
            Ok(ExactCost {
                method: method.name(),
                call: call.what,
                work,
                added,
                percent: work.map(|work| hundredths(100.0 * added / work)),
                goal_percent: GOAL_PERCENT,
            })
        });
        costs.into_iter().collect()
    })
}

/// Instructions of a timed call.
fn work(probe: &Probe, path: &Path, timed: Timed) -> Result<f64> {
    let (to, _) = path.observed().get(1).context("no tap at the end")?;
    let mut counted = Counted::default();
    probe.read(*to, &mut counted);
    match counted.exact {
        ExactCounters::Counted(exact) => {
            let (calls, ns) = timed(&exact.to_device);
            ensure!(calls > 0, "no call was timed");
            Ok(ns as f64 / calls as f64)
        }
        ExactCounters::Unavailable(reason) => bail!("{reason}"),
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Instructions on {}", self.kernel)?;
        for PathCost {
            path,
            nothing,
            hooks,
        } in &self.paths
        {
            writeln!(f, "{path}: {nothing:.0} a frame, nothing attached; added")?;
            for cost in hooks {
                writeln!(
                    f,
                    "  {:<4} return {:>5.0}, array + 1 {:>5.0}, offwatch {:>5.0}: {:.2} times",
                    cost.hook, cost.empty_return, cost.empty_count, cost.offwatch, cost.ratio
                )?;
            }
        }
        writeln!(f, "Exact hooks, a call")?;
        for cost in &self.exact {
            let ExactCost {
                method,
                call,
                added,
                ..
            } = cost;
            write!(f, "  {method:<7} {call:<38} added {added:>5.0}")?;
            match (cost.work, cost.percent) {
                (Some(work), Some(percent)) => writeln!(f, " to {work:.0}: {percent:.2} %")?,
                _ => writeln!(f)?,
            }
        }
        Ok(())
    }
}
