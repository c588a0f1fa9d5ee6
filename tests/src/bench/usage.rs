//! What a process uses: CPU time and memory.

use std::{
    fmt, fs,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};
use serde::Serialize;

/// Between two looks at the memory of a process.
const LOOK: Duration = Duration::from_millis(5);

/// Nanoseconds that all threads of a process that are there have run.
pub(super) fn cpu_ns(pid: impl fmt::Display) -> Result<u64> {
    let tasks = format!("/proc/{pid}/task");
    let mut all = 0;
    for task in fs::read_dir(&tasks).context("it has ended")? {
        let ran = fs::read_to_string(task?.path().join("schedstat"))?;
        let ran = ran.split_whitespace().next().context("no time")?;
        all += ran.parse::<u64>().context("time of a thread")?;
    }
    Ok(all)
}

/// Of a program from its start to its end.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Usage {
    pub(super) wall_ms: f64,
    /// CPU time of all threads, the kernel's part included.
    pub(super) cpu_ms: f64,
    /// The highest resident memory that was seen.
    pub(super) memory_mib: f64,
}

/// Runs a command to its end, which must be one of these codes. No other child of this
/// process may end meanwhile.
pub(super) fn of(mut command: Command, codes: &[i32]) -> Result<Usage> {
    let before = children_ms()?;
    let begin = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let mut highest_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        highest_kib = peak_kib(child.id()).unwrap_or(0).max(highest_kib);
        sleep(LOOK);
    };
    let wall = begin.elapsed();
    ensure!(
        status.code().is_some_and(|code| codes.contains(&code)),
        "{command:?}: {status}"
    );
    Ok(Usage {
        wall_ms: wall.as_secs_f64() * 1e3,
        cpu_ms: children_ms()? - before,
        memory_mib: highest_kib as f64 / 1024.0,
    })
}

/// CPU time of all children that were waited for.
fn children_ms() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(us as f64 / 1e3)
}

/// The highest resident memory of a process up to now.
fn peak_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let Some(kib) = line.and_then(|line| line.split_whitespace().next()) else {
        bail!("it has ended");
    };
    kib.parse().context("resident memory")
}
