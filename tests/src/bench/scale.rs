//! What `offwatch top` itself costs with many interfaces and many domains: CPU
//! time a tick, of all its threads, the time on the clock, system calls, and memory.
//!
//! CPU time, as other programs may run at the same time. Beside virt-top, if
//! that is installed, both by turns: libvirt's call for all statistics is part
//! of both.

use std::{process::Command, thread::sleep, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    peers,
    running::{Output, Running},
    syscalls::{self, Calls},
};
use crate::{
    Netns,
    command::ip_batch,
    domains::{Domain, TestDriver},
    observer::offwatch,
};

/// The size that goals speak of.
pub(super) const LARGE: u32 = 10_000;
const DOMAINS: u32 = 1_000;
/// Until everything is listed, and every interface had its turn.
const SETTLED: Duration = Duration::from_secs(8);
const INTERVAL: Duration = Duration::from_secs(1);
/// Times that each of two programs is measured, by turns.
const TURNS: usize = 3;
/// On a large host findings are made every half minute, in a tick that takes several
/// times as long: so many times the ticks have their share of it.
const WITH_FINDINGS: u32 = 3;
/// With fewer ticks than this, once is enough.
const FEW_TICKS: u32 = 10;

/// The thread that samples and makes models for the screen.
const SAMPLES: &str = "samples";
/// The thread that has libvirt's connection.
const LIBVIRT: &str = "libvirt";

/// A host of a size.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Scale {
    pub(super) interfaces: u32,
    pub(super) domains: u32,
    pub(super) ticks: Vec<Tick>,
}

/// What a tick of a program costs on it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tick {
    pub(super) program: String,
    /// CPU time of all threads, ms.
    pub(super) all_ms: f64,
    /// Of that, sampling and making models, where a thread of its own does it.
    pub(super) samples_ms: Option<f64>,
    /// Of that, libvirt and what is done with its answer, where a thread of its own does it.
    pub(super) libvirt_ms: Option<f64>,
    /// The same with the time for which threads were ready and waited for a CPU, ms:
    /// how long a tick is at work by the clock, as threads work one after the other.
    pub(super) wall_ms: f64,
    /// Resident memory, MiB.
    pub(super) memory_mib: f64,
    /// Of that, the counters themselves, which are the kernel's memory, MiB.
    pub(super) counters_mib: f64,
    /// System calls of all threads, by name; none without strace.
    pub(super) syscalls: Option<Calls>,
}

/// A way to run `top`.
struct Way {
    name: &'static str,
    args: &'static [&'static str],
    output: Output,
    /// What a tick begins with, and nothing else; none where that is not known.
    mark: Option<&'static str>,
}

const SCREEN: Way = Way {
    name: "top -4",
    args: &["top", "-4"],
    output: Output::Terminal,
    mark: Some(syscalls::SAMPLE),
};
const STREAM: Way = Way {
    name: "top --stream",
    args: &["top", "--stream"],
    output: Output::Pipe,
    // What it prints of a thousand domains takes several.
    mark: None,
};
/// Without scrapes.
const EXPORT: Way = Way {
    name: "export",
    args: &["export", "--listen", "127.0.0.1:0"],
    output: Output::Pipe,
    mark: Some(syscalls::SAMPLE),
};
const VIRT_TOP: Way = Way {
    name: "virt-top --stream",
    args: &["--stream"],
    output: Output::Pipe,
    mark: None,
};
/// Of which strace is asked.
const TRACED: usize = 5;

pub(super) fn measure(interfaces: &[u32], ticks: u32) -> Result<Vec<Scale>> {
    let sizes = interfaces.iter().map(|count| (*count, 0));
    let sizes = sizes.chain([(DOMAINS, DOMAINS)]);
    sizes
        .map(|(interfaces, domains)| of(interfaces, domains, ticks))
        .collect()
}

fn of(interfaces: u32, domains: u32, ticks: u32) -> Result<Scale> {
    let ns = Netns::new()?;
    let taps = (0..interfaces).map(|number| format!("tuntap add dev {} mode tap", tap(number)));
    ip_batch(&ns, &taps.collect::<Vec<_>>())?;
    let driver = TestDriver::new(&(0..domains).map(domain).collect::<Vec<_>>())?;
    let uri = driver.uri();
    let connect: &[&str] = match domains {
        0 => &[],
        _ => &["-c", &uri],
    };
    let run = |way: &Way, ticks: u32| {
        let start = |args: &[&str]| offwatch(&ns, &[way.args, connect, args].concat());
        cost(start, way, ticks)
    };
    let long = match interfaces {
        LARGE.. => ticks * WITH_FINDINGS,
        _ => ticks,
    };
    let mut all = vec![run(&SCREEN, long)?, run(&EXPORT, long)?];
    let other = (domains > 0).then(|| virt_top(&ns, &uri)).flatten();
    let (mut streams, mut others) = (Vec::new(), Vec::new());
    let turns = if ticks < FEW_TICKS { 1 } else { TURNS };
    for _ in 0..turns {
        streams.push(run(&STREAM, ticks)?);
        if let Some(other) = &other {
            others.push(cost(|args| Ok(other(args)), &VIRT_TOP, ticks)?);
        }
    }
    all.extend(middle(streams));
    all.extend(middle(others));
    Ok(Scale {
        interfaces,
        domains,
        ticks: all,
    })
}

/// virt-top, if it is installed.
fn virt_top<'a>(ns: &'a Netns, uri: &'a str) -> Option<impl Fn(&[&str]) -> Command + 'a> {
    let program = peers::program("virt-top")?;
    Some(move |args: &[&str]| {
        let mut command = ns.command(&program);
        command.args(VIRT_TOP.args).args(["-c", uri]).args(args);
        command
    })
}

pub(super) fn tap(number: u32) -> String {
    format!("ow{number}")
}

pub(super) fn domain(number: u32) -> Domain {
    let [a, b, c, d] = number.to_be_bytes();
    Domain {
        name: format!("vm{number}"),
        uuid: format!("0ff3a7c4-0000-4000-8000-{number:012x}"),
        interfaces: vec![(tap(number), [0x52, 0x54, a, b, c, d])],
        os_id: None,
        driver: None,
    }
}

/// What a tick of a program costs, which is started with further arguments.
fn cost(start: impl Fn(&[&str]) -> Result<Command>, way: &Way, ticks: u32) -> Result<Tick> {
    let program = way.name;
    let running = Running::start(start(&["-d", "1"])?, way.output);
    let running = running.with_context(|| program.to_owned())?;
    sleep(SETTLED);
    let before = running.cpu_ns().with_context(|| program.to_owned())?;
    let waited_before = running.waited_ns().with_context(|| program.to_owned())?;
    sleep(INTERVAL * ticks);
    let after = running.cpu_ns().with_context(|| program.to_owned())?;
    let waited_after = running.waited_ns().with_context(|| program.to_owned())?;
    let ms = |name: &str| {
        let ran = after.get(name)? - before.get(name).unwrap_or(&0);
        Some(ran as f64 / 1e6 / f64::from(ticks))
    };
    let all_ms: f64 = after.keys().filter_map(|name| ms(name)).sum();
    let memory_mib = running.memory_kib().with_context(|| program.to_owned())?;
    let counters_mib = running.counters_kib().with_context(|| program.to_owned())?;
    let [memory_mib, counters_mib] = [memory_mib, counters_mib].map(|kib| kib as f64 / 1024.0);
    let syscalls = match way.mark {
        Some(mark) => syscalls::of_a_tick(running.pid(), mark, TRACED)?,
        None => None,
    };
    Ok(Tick {
        program: program.to_owned(),
        all_ms,
        samples_ms: ms(SAMPLES),
        libvirt_ms: ms(LIBVIRT),
        wall_ms: (waited_after - waited_before) as f64 / 1e6 / f64::from(ticks) + all_ms,
        memory_mib,
        counters_mib,
        syscalls,
    })
}

/// The measurement with the median of the CPU times.
fn middle(mut ticks: Vec<Tick>) -> Option<Tick> {
    ticks.sort_by(|one, other| one.all_ms.total_cmp(&other.all_ms));
    let middle = ticks.len() / 2;
    ticks.into_iter().nth(middle)
}

impl Scale {
    pub(super) fn host(&self) -> String {
        match self.domains {
            0 => format!("{} interfaces", self.interfaces),
            domains => format!("{} interfaces, {domains} domains", self.interfaces),
        }
    }
}

impl Tick {
    /// System calls of all threads; none without strace.
    pub(super) fn syscalls(&self) -> Option<u64> {
        Some(self.syscalls.as_ref()?.values().sum())
    }
}
