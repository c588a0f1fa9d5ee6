//! What `offwatch enforce --watch` costs while nothing happens, and how soon it
//! answers when a guest negotiates.
//!
//! The time is that from the end of `TUNSETOFFLOAD` until the kernel tells that the
//! feature is as the policy has it. On a loaded machine it is the machine's.

use std::{
    collections::HashMap,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use offwatch::inventory::features::{Family, FeatureSocket};
use serde::Serialize;

use super::{
    goals::{self, Outcome},
    report::Table,
    usage,
};
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
pub(super) struct WatchCost {
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
pub(super) fn measure(quick: bool) -> Result<WatchCost> {
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
    let before = usage::cpu_ns(watcher.pid())?;
    sleep(idle);
    let ran = usage::cpu_ns(watcher.pid())? - before;
    let idle_percent = ran as f64 / idle.as_nanos() as f64 * 100.0;

    let before = usage::cpu_ns(watcher.pid())?;
    let mut times = ns.try_run(|| negotiations(&taps))?;
    let ran = usage::cpu_ns(watcher.pid())? - before;
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

pub(super) fn table(cost: &WatchCost) -> Table {
    let mut table = Table::new("", &["", "it is"]);
    let mut row = |what: &str, it_is: String| table.row([what.to_owned(), it_is]);
    row("taps", cost.taps.to_string());
    row(
        "idle: share of a processor",
        format!("{:.4} %, over {} s", cost.idle_percent, cost.idle_s),
    );
    row("negotiations", cost.negotiations.to_string());
    row(
        "answered after",
        format!(
            "{:.2} ms (median), {:.2} ms (99 %), {:.2} ms (longest)",
            cost.median_ms, cost.p99_ms, cost.longest_ms
        ),
    );
    row("CPU time of each answer", format!("{:.0} us", cost.cpu_us));
    table
}

pub(super) fn goals(cost: &WatchCost) -> Vec<Outcome> {
    vec![
        goals::WATCH_IDLE.outcome(Ok(cost.idle_percent)),
        goals::WATCH_ANSWER.outcome(Ok(cost.p99_ms)),
    ]
}
