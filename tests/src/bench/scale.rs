//! What `offwatch top` itself costs with many interfaces and many domains: CPU
//! time a tick, of all its threads, and memory.
//!
//! CPU time, as other programs may run at the same time. Beside virt-top, if
//! that is installed, both by turns: libvirt's call for all statistics is part
//! of both.

use std::{fmt, process::Command, thread::sleep, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    report::Budget,
    running::{Output, Running},
};
use crate::{
    Netns,
    command::ip_batch,
    domains::{Domain, TestDriver},
    observer::offwatch,
};

const DOMAINS: u32 = 1_000;
/// Until everything is listed, and every interface had its turn.
const SETTLED: Duration = Duration::from_secs(8);
const INTERVAL: Duration = Duration::from_secs(1);
/// Times that each of two programs is measured, by turns.
const TURNS: usize = 3;

/// The thread that samples and makes models for the screen.
const SAMPLES: &str = "samples";
/// The thread that has libvirt's connection.
const LIBVIRT: &str = "libvirt";

/// A host of a size.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Scale {
    interfaces: u32,
    domains: u32,
    ticks: Vec<Tick>,
}

/// What a tick of a program costs on it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tick {
    program: String,
    /// CPU time of all threads, ms.
    all_ms: f64,
    /// Of that, sampling and making models, where a thread of its own does it.
    samples_ms: Option<f64>,
    /// Of that, libvirt and what is done with its answer.
    libvirt_ms: f64,
    /// Resident memory, MiB.
    memory_mib: f64,
}

/// A way to run `top`.
struct Way {
    name: &'static str,
    args: &'static [&'static str],
    output: Output,
}

const SCREEN: Way = Way {
    name: "top -4",
    args: &["top", "-4", "-d", "1"],
    output: Output::Terminal,
};
const STREAM: Way = Way {
    name: "top --stream",
    args: &["top", "--stream", "-d", "1"],
    output: Output::Pipe,
};

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
    let run = |way: &Way| {
        let command = offwatch(&ns, &[way.args, connect].concat())?;
        cost(command, way.name, way.output, ticks)
    };
    let mut all = vec![run(&SCREEN)?];
    let other = (domains > 0).then(|| virt_top(&ns, &uri)).flatten();
    let (mut streams, mut others) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        streams.push(run(&STREAM)?);
        if let Some(other) = &other {
            others.push(cost(other(), "virt-top --stream", Output::Pipe, ticks)?);
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
fn virt_top<'a>(ns: &'a Netns, uri: &'a str) -> Option<impl Fn() -> Command + 'a> {
    let version = Command::new("virt-top").arg("--version").output().ok()?;
    version.status.success().then_some(move || {
        let mut command = ns.command("virt-top");
        command.args(["--stream", "-d", "1", "-c", uri]);
        command
    })
}

fn tap(number: u32) -> String {
    format!("ow{number}")
}

fn domain(number: u32) -> Domain {
    let [a, b, c, d] = number.to_be_bytes();
    Domain {
        name: format!("vm{number}"),
        uuid: format!("0ff3a7c4-0000-4000-8000-{number:012x}"),
        interfaces: vec![(tap(number), [0x52, 0x54, a, b, c, d])],
        os_id: None,
        driver: None,
    }
}

fn cost(command: Command, program: &str, output: Output, ticks: u32) -> Result<Tick> {
    let running = Running::start(command, output).with_context(|| program.to_owned())?;
    sleep(SETTLED);
    let before = running.cpu_ns().with_context(|| program.to_owned())?;
    sleep(INTERVAL * ticks);
    let after = running.cpu_ns().with_context(|| program.to_owned())?;
    let ms = |name: &str| {
        let ran = after.get(name)? - before.get(name).unwrap_or(&0);
        Some(ran as f64 / 1e6 / f64::from(ticks))
    };
    Ok(Tick {
        program: program.to_owned(),
        all_ms: after.keys().filter_map(|name| ms(name)).sum(),
        samples_ms: ms(SAMPLES),
        libvirt_ms: ms(LIBVIRT).unwrap_or(0.0),
        memory_mib: running.memory_kib()? as f64 / 1024.0,
    })
}

/// The measurement with the median of the CPU times.
fn middle(mut ticks: Vec<Tick>) -> Option<Tick> {
    ticks.sort_by(|one, other| one.all_ms.total_cmp(&other.all_ms));
    let middle = ticks.len() / 2;
    ticks.into_iter().nth(middle)
}

/// The promises for large hosts.
pub(super) fn budgets(scales: &[Scale]) -> Vec<Budget> {
    let mut budgets = Vec::new();
    for scale in scales {
        let host = scale.host();
        for tick in &scale.ticks {
            if scale.interfaces >= 10_000 {
                let name = format!("{}, {host}: memory", tick.program);
                budgets.push(Budget::below(name, tick.memory_mib, 60.0, " MiB"));
            }
            let Some(samples_ms) = tick.samples_ms else {
                continue;
            };
            let name = format!("{}, {host}: sample and model", tick.program);
            budgets.push(Budget::below(name, samples_ms, 10.0, " ms"));
            let name = format!("{}, {host}: redraw", tick.program);
            let rest = tick.all_ms - samples_ms - tick.libvirt_ms;
            budgets.push(Budget::below(name, rest, 16.0, " ms"));
        }
        if let [_, stream, virt_top] = &scale.ticks[..] {
            let name = format!("CPU a tick to virt-top's, {host}");
            let ratio = stream.all_ms / virt_top.all_ms;
            budgets.push(Budget::below(name, ratio, 1.0 / 3.0, "x"));
        }
    }
    budgets
}

impl Scale {
    fn host(&self) -> String {
        match self.domains {
            0 => format!("{} interfaces", self.interfaces),
            domains => format!("{} interfaces, {domains} domains", self.interfaces),
        }
    }
}

impl Tick {
    pub(super) const HEADING: &str = "A tick of top: CPU time of all threads, ms, and memory, MiB";
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tick in &self.ticks {
            let samples = tick
                .samples_ms
                .map_or_else(|| "-".into(), |ms| format!("{ms:.2}"));
            writeln!(
                f,
                "  {:<32} {:<18} all {:>7.2}, sample and model {samples:>6}, libvirt {:>6.2}; {:>6.1} MiB",
                self.host(),
                tick.program,
                tick.all_ms,
                tick.libvirt_ms,
                tick.memory_mib
            )?;
        }
        Ok(())
    }
}
