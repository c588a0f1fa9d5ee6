//! What the programs themselves take, without being called.
//!
//! `BPF_PROG_TEST_RUN` repeats classifiers only: it has no repetition for raw
//! tracepoints, and nothing at all for BTF tracepoints. For all programs the
//! kernel's own run-time statistics are read while real frames pass; the two
//! clock readings that they add cost the empty program as much.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::{
    programs::{ProgramInfo, SchedClassifier, TestRun, TestRunOptions, loaded_programs},
    sys::{Stats, enable_stats},
};
use offwatch::{probe::Probe, sample::Hook};
use serde::Serialize;

use super::{
    path::{Load, Path},
    pinned,
    variant::{Empty, Variant},
};
use crate::footprint::BpfObjects;

const TEST_RUNS: u32 = 1_000_000;
/// Of these the fastest counts: noise only ever adds.
const ATTEMPTS: usize = 7;

/// One program's cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Body {
    /// Name of the program.
    pub(super) program: String,
    /// How it was measured.
    pub(super) method: &'static str,
    /// Nanoseconds a run.
    pub(super) run_ns: f64,
}

pub(super) fn measure(empty: &mut Empty) -> Result<Vec<Body>> {
    let mut bodies = Vec::new();
    for load in [Load::ALL[0], Load::ALL[2]] {
        let path = Path::new(load)?;
        bodies.extend(pinned(path.ns(), || on_the_way(load, &path, empty))?);
    }
    let path = Path::new(Load::ALL[0])?;
    bodies.extend(pinned(path.ns(), || test_runs(&path, empty))?);
    Ok(bodies)
}

fn on_the_way(load: Load, path: &Path, empty: &mut Empty) -> Result<Vec<Body>> {
    let _enabled = enable_stats(Stats::RunTime).context("enabling run-time statistics")?;
    let mut best = BTreeMap::<String, f64>::new();
    for _ in 0..ATTEMPTS {
        for variant in Variant::ALL {
            let attached = variant.attach(empty, path.ns().inum(), path.observed())?;
            let before = run_times()?;
            path.sample()?;
            for (id, now) in run_times()? {
                let (runs, ns) = before.get(&id).map_or((now.runs, now.ns), |before| {
                    (now.runs - before.runs, now.ns - before.ns)
                });
                // The drop hooks see frames of others, if any.
                if runs < 1_000 {
                    continue;
                }
                let run_ns = ns as f64 / runs as f64;
                let best = best.entry(now.name).or_insert(run_ns);
                *best = best.min(run_ns);
            }
            drop(attached);
        }
    }
    let method = match load.shape {
        super::path::Shape::Small => "run-time statistics, UDP 64 B",
        super::path::Shape::Super => "run-time statistics, 64 KB super-frames",
        super::path::Shape::Cut => "run-time statistics, 64 KB super-frames that are cut",
    };
    Ok(best
        .into_iter()
        .map(|(program, run_ns)| Body {
            program,
            method,
            run_ns,
        })
        .collect())
}

struct RunTime {
    name: String,
    runs: u64,
    ns: u128,
}

/// Of this process's programs: another offwatch may be running.
fn run_times() -> Result<BTreeMap<u32, RunTime>> {
    let own = BpfObjects::of(std::process::id())?.programs;
    Ok(loaded_programs()
        .filter_map(Result::ok)
        .filter(|program| own.contains(&program.id()))
        .map(|program| {
            (
                program.id(),
                RunTime {
                    name: program.name_as_str().unwrap_or_default().to_owned(),
                    runs: program.run_count(),
                    ns: program.run_time().as_nanos(),
                },
            )
        })
        .collect())
}

/// A received 64-byte frame on `lo`, which is where test runs claim to be.
fn test_runs(path: &Path, empty: &mut Empty) -> Result<Vec<Body>> {
    const LOOPBACK: u32 = 1;
    let mut probe = Probe::start(Hook::Tc, path.ns().inum())?;
    probe.observe(LOOPBACK);
    let mut bodies = Vec::new();
    let own = BpfObjects::of(std::process::id())?.programs;
    for name in ["ow_tc_ingress", "ow_tc_egress"] {
        let info: Option<ProgramInfo> = loaded_programs()
            .filter_map(Result::ok)
            .find(|program| own.contains(&program.id()) && program.name_as_str() == Some(name));
        let info = info.with_context(|| format!("{name} is not loaded"))?;
        let program = SchedClassifier::from_program_info(info, name.into())?;
        bodies.push(test_run(name, &program)?);
    }
    for baseline in ["zero", "count"] {
        bodies.push(test_run(
            &format!("{baseline}_tc"),
            empty.classifier(baseline)?,
        )?);
    }
    Ok(bodies)
}

fn test_run(name: &str, program: &SchedClassifier) -> Result<Body> {
    let mut fastest = f64::MAX;
    for _ in 0..ATTEMPTS {
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(&[0; 64]),
                repeat: TEST_RUNS,
                ..TestRunOptions::new()
            })
            .with_context(|| format!("BPF_PROG_TEST_RUN of {name}"))?;
        // The kernel divides by the repetitions.
        fastest = fastest.min(result.duration.as_nanos() as f64);
    }
    Ok(Body {
        program: name.to_owned(),
        method: "BPF_PROG_TEST_RUN",
        run_ns: fastest,
    })
}
