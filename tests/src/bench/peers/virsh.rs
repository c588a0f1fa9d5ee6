//! virsh asked for the counters of each interface, once a tick, beside
//! `offwatch top --stream` on the same domains.
//!
//! By `domifstat`: libvirt's test driver answers `domstats --interface` with no counters.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Stdio},
    thread::{self, JoinHandle, sleep},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;

use super::program;
use crate::{
    Netns,
    bench::{scale, stats::median, usage},
    command::ip_batch,
    domains::TestDriver,
    observer::{Observer, offwatch},
};

const DOMAINS: u32 = 1_000;
const TURNS: usize = 3;
/// With fewer ticks than this, once is enough.
const FEW_TICKS: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);
/// Until everything is listed, and a connection is there.
const SETTLED: Duration = Duration::from_secs(5);

/// CPU time a tick, ms.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Ticks {
    pub(super) domains: u32,
    pub(super) offwatch_ms: f64,
    /// Or why it could not be measured.
    pub(super) virsh_ms: Result<f64, String>,
}

pub(super) fn measure(ticks: u32) -> Result<Ticks> {
    let ns = Netns::new()?;
    let taps = (0..DOMAINS).map(|number| format!("tuntap add dev {} mode tap", scale::tap(number)));
    ip_batch(&ns, &taps.collect::<Vec<_>>())?;
    let driver = TestDriver::new(&(0..DOMAINS).map(scale::domain).collect::<Vec<_>>())?;
    let uri = driver.uri();
    let program = program("virsh");
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let turns = if ticks < FEW_TICKS { 1 } else { TURNS };
    for _ in 0..turns {
        let args = ["top", "--stream", "-d", "1", "-c", &uri];
        let observer = Observer::spawn(offwatch(&ns, &args)?)?;
        own.push(a_tick(observer.pid(), ticks, || Ok(()))?);
        drop(observer);
        if let Some(program) = &program {
            let mut virsh = Virsh::start(&ns, program, &uri)?;
            others.push(a_tick(virsh.child.id(), ticks, || virsh.ask())?);
            let (asked, answered) = virsh.end()?;
            ensure!(answered == asked, "virsh answered {answered} of {asked}");
        }
    }
    Ok(Ticks {
        domains: DOMAINS,
        offwatch_ms: median(&mut own),
        virsh_ms: match others.is_empty() {
            true => Err(super::not_installed("virsh")),
            false => Ok(median(&mut others)),
        },
    })
}

fn a_tick(pid: u32, ticks: u32, mut ask: impl FnMut() -> Result<()>) -> Result<f64> {
    // The first answer is dearer than all others.
    ask()?;
    sleep(SETTLED);
    let before = usage::cpu_ns(pid)?;
    for _ in 0..ticks {
        ask()?;
        sleep(INTERVAL);
    }
    let ran = usage::cpu_ns(pid)? - before;
    Ok(ran as f64 / 1e6 / f64::from(ticks))
}

/// A connected virsh.
struct Virsh {
    child: Child,
    commands: Option<ChildStdin>,
    /// For one tick.
    question: String,
    asked: usize,
    /// Counts answers.
    answers: JoinHandle<usize>,
}

impl Virsh {
    fn start(ns: &Netns, program: &Path, uri: &str) -> Result<Self> {
        let mut child = ns
            .command(program)
            .args(["-q", "-c", uri])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("virsh")?;
        let commands = child.stdin.take().context("its stdin is a pipe")?;
        let stdout = child.stdout.take().context("its stdout is a pipe")?;
        let answers = thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.filter(|line| line.contains("rx_bytes")).count()
        });
        let mut question = String::new();
        for number in 0..DOMAINS {
            let tap = scale::tap(number);
            // Cannot fail: it is a string.
            let _ = writeln!(question, "domifstat {} {tap}", scale::domain(number).name);
        }
        Ok(Self {
            child,
            commands: Some(commands),
            question,
            asked: 0,
            answers,
        })
    }

    fn ask(&mut self) -> Result<()> {
        let commands = self.commands.as_mut().context("it is being ended")?;
        let asked = commands.write_all(self.question.as_bytes());
        self.asked += DOMAINS as usize;
        asked.context("virsh has ended")
    }

    /// How often it was asked, and how often it answered.
    fn end(mut self) -> Result<(usize, usize)> {
        // It ends when there is nothing more to read.
        self.commands = None;
        self.child.wait().context("virsh")?;
        let answers = self.answers.join();
        Ok((self.asked, answers.map_err(|_| anyhow!("its answers"))?))
    }
}
