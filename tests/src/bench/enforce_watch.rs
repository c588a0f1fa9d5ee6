//! What `offwatch enforce --watch` costs while nothing happens, and how soon it
//! answers when a guest negotiates.
//!
//! The time is that from the end of `TUNSETOFFLOAD` until the kernel tells that the
//! feature is as the policy has it. On a loaded machine it is the machine's.

use std::{
    collections::HashMap,
    fmt, fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use offwatch::inventory::features::{Family, FeatureSocket};
use serde::Serialize;

use super::report::Budget;
use crate::{
    Netns, Offloads,
    domains::{Domain, TestDriver},
    tap::Tap,
    watcher::{Home, Watcher},
};

const TAPS: u32 = 1_000;
const FEATURE: &str = "tx-tcp-segmentation";
const POLICY: &str = "
version = 1
[[rule]]
match = { vm = 'vm*' }
features = { tso = false }
";
/// Until owners of taps are not searched for any more.
const SETTLED: Duration = Duration::from_secs(20);
/// Longer than the pause between two looks at everything.
const IDLE: Duration = Duration::from_secs(90);
const QUICK_IDLE: Duration = Duration::from_secs(10);
/// Passing this, it does not answer.
const LONGEST: Duration = Duration::from_secs(20);

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct WatchCost {
    taps: u32,
    /// CPU time of all threads while nothing happens, as a share of one processor.
    idle_percent: f64,
    idle_s: u64,
    negotiations: usize,
    /// From the end of the negotiation until the policy holds.
    median_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
    /// CPU time of all threads, for each negotiation.
    cpu_us: f64,
}

/// Measures it.
pub fn measure(quick: bool) -> Result<WatchCost> {
    // Each tap is an open file.
    offwatch::limits::raise()?;
    let ns = Netns::new()?;
    let taps = (0..TAPS).map(|number| {
        let tap = Tap::create(&ns, &name(number), 1)?;
        tap.set_offloads(Offloads::ALL)?;
        Ok(tap)
    });
    let taps = taps.collect::<Result<Vec<_>>>()?;
    let driver = TestDriver::new(&(0..TAPS).map(domain).collect::<Vec<_>>())?;
    let home = Home::new(POLICY)?;
    let watcher = Watcher::start(&ns, &home, &["-c", &driver.uri()])?;
    sleep(SETTLED);
    let idle = if quick { QUICK_IDLE } else { IDLE };
    let before = cpu_ns(&watcher)?;
    sleep(idle);
    let ran = cpu_ns(&watcher)? - before;
    let idle_percent = ran as f64 / idle.as_nanos() as f64 * 100.0;

    let before = cpu_ns(&watcher)?;
    let mut times = ns.try_run(|| negotiations(&taps))?;
    let ran = cpu_ns(&watcher)? - before;
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times[index.min(times.len() - 1)].as_secs_f64() * 1e3
    };
    Ok(WatchCost {
        taps: TAPS,
        idle_percent,
        idle_s: idle.as_secs(),
        negotiations: times.len(),
        median_ms: at(0.5),
        p99_ms: at(0.99),
        longest_ms: at(1.0),
        cpu_us: ran as f64 / 1e3 / times.len() as f64,
    })
}

/// How long each tap's negotiation was not answered.
fn negotiations(taps: &[Tap]) -> Result<Vec<Duration>> {
    let mut socket = FeatureSocket::open(Family::resolve()?)?;
    let bit = socket.names()?.bit(FEATURE).context(FEATURE)?;
    let indices = indices()?;
    let mut times = Vec::with_capacity(taps.len());
    for tap in taps {
        let ifindex = *indices.get(tap.name()).context("a tap")?;
        ensure!(
            !socket.of(ifindex)?.active.contains(bit),
            "{}: the policy does not hold",
            tap.name()
        );
        tap.set_offloads(Offloads::ALL)?;
        let start = Instant::now();
        while socket.of(ifindex)?.active.contains(bit) {
            ensure!(start.elapsed() < LONGEST, "{}: no answer", tap.name());
            // It must have a processor to run on.
            std::thread::yield_now();
        }
        times.push(start.elapsed());
    }
    Ok(times)
}

fn indices() -> Result<HashMap<String, u32>> {
    let links = offwatch::inventory::link::list()?;
    let indices = links
        .iter()
        .map(|link| (link.dev.to_string(), link.ifindex));
    Ok(indices.collect())
}

fn cpu_ns(watcher: &Watcher) -> Result<u64> {
    let tasks = format!("/proc/{}/task", watcher.pid());
    let mut all = 0;
    for task in fs::read_dir(&tasks).context("it has ended")? {
        let ran = fs::read_to_string(task?.path().join("schedstat"))?;
        let ran = ran.split_whitespace().next().context("no time")?;
        all += ran.parse::<u64>().context("time of a thread")?;
    }
    Ok(all)
}

fn name(number: u32) -> String {
    format!("ow{number}")
}

fn domain(number: u32) -> Domain {
    let [a, b, c, d] = number.to_be_bytes();
    Domain {
        name: format!("vm{number}"),
        uuid: format!("0ff3a7c4-0000-4000-8000-{number:012x}"),
        interfaces: vec![(name(number), [0x52, 0x54, a, b, c, d])],
        os_id: None,
        driver: None,
    }
}

/// The promises.
pub(super) fn budgets(cost: &WatchCost) -> [Budget; 2] {
    let taps = cost.taps;
    let idle = format!("enforce --watch, {taps} taps: idle CPU");
    let answer = format!("enforce --watch, {taps} taps: answer, 99th percentile");
    [
        Budget::below(idle, cost.idle_percent, 0.1, " %"),
        Budget::below(answer, cost.p99_ms, 20.0, " ms"),
    ]
}

impl fmt::Display for WatchCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {} taps: {:.4} % of a processor over {} idle s; {} negotiations answered in \
             {:.2} ms (median), {:.2} ms (99 %), {:.2} ms (longest), {:.0} us of CPU each",
            self.taps,
            self.idle_percent,
            self.idle_s,
            self.negotiations,
            self.median_ms,
            self.p99_ms,
            self.longest_ms,
            self.cpu_us
        )
    }
}
