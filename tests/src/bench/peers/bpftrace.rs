//! A script of bpftrace that counts what people would count by hand, at offwatch's hooks.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path as FilePath, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch::sample::Hook;
use serde::Serialize;

use super::{forth_and_back, not_installed, program};
use crate::bench::{
    path::{Load, Path},
    pinned,
    stats::{Estimate, median},
    variant::{Empty, Variant},
};

/// Packets, bytes and a histogram of `gso_size` for each interface. `PROBE` is a kind of
/// probe, `SKB` its frame.
const SCRIPT: &str = r#"
BEGIN { printf("counting\n"); }
PROBE:netif_receive_skb {
  $skb = (struct sk_buff *)SKB;
  $shared = (struct skb_shared_info *)($skb->head + $skb->end);
  $dev = $skb->dev->ifindex;
  @rx_packets[$dev] = count();
  @rx_bytes[$dev] = sum($skb->len);
  @rx_gso_size[$dev] = hist($shared->gso_size);
}
PROBE:net_dev_start_xmit {
  $skb = (struct sk_buff *)SKB;
  $shared = (struct skb_shared_info *)($skb->head + $skb->end);
  $dev = $skb->dev->ifindex;
  @tx_packets[$dev] = count();
  @tx_bytes[$dev] = sum($skb->len);
  @tx_gso_size[$dev] = hist($shared->gso_size);
}
"#;
/// The cheaper kind first; some versions have only the other one.
const PROBES: [Probes; 2] = [
    Probes {
        name: "raw tracepoints",
        probe: "rawtracepoint",
        skb: "arg0",
    },
    Probes {
        name: "tracepoints",
        probe: "tracepoint:net",
        skb: "args->skbaddr",
    },
];

#[derive(Debug, Clone, Copy)]
struct Probes {
    name: &'static str,
    probe: &'static str,
    skb: &'static str,
}

/// What the script adds, beside offwatch.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Beside {
    /// The version of bpftrace.
    pub(super) version: String,
    /// What the script is attached to.
    pub(super) probes: &'static str,
    pub(super) ways: Vec<Way>,
}

/// One way.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Way {
    pub(super) load: Load,
    /// Nanoseconds a frame with no program.
    pub(super) path_ns: f64,
    /// Nanoseconds a frame that the default hooks of offwatch add.
    pub(super) offwatch_ns: Estimate,
    /// Nanoseconds a frame that the script adds.
    pub(super) script_ns: Estimate,
    /// The first of these, to the second.
    pub(super) ratio: Estimate,
}

/// Measures it, or tells why that cannot be done.
pub(super) fn measure(empty: &mut Empty, rounds: usize) -> Result<Result<Beside, String>> {
    let Some(program) = program("bpftrace") else {
        return Ok(Err(not_installed("bpftrace")));
    };
    let mut errors = Vec::new();
    for probes in PROBES {
        match Script::start(&program, probes) {
            Ok(script) => drop(script),
            Err(error) => {
                errors.push(format!("{}: {error:#}", probes.name));
                continue;
            }
        }
        let ways = Load::ALL.into_iter();
        let ways = ways.map(|load| way(load, empty, &program, probes, rounds));
        return Ok(Ok(Beside {
            version: version(&program)?,
            probes: probes.name,
            ways: ways.collect::<Result<_>>()?,
        }));
    }
    Ok(Err(format!(
        "bpftrace does not run here: {}",
        errors.join("; ")
    )))
}

/// With nothing, with offwatch, and with the script.
type Round = [f64; 3];

fn way(
    load: Load,
    empty: &mut Empty,
    program: &FilePath,
    probes: Probes,
    rounds: usize,
) -> Result<Way> {
    let path = Path::new(load)?;
    let rounds = pinned(path.ns(), || {
        path.sample()?;
        let rounds = (0..rounds).map(|_| round(&path, empty, program, probes));
        rounds.collect::<Result<Vec<Round>>>()
    })?;
    let added = |index: usize| {
        move |rounds: &[Round]| {
            let added = rounds.iter().map(|round| round[index] - round[0]);
            median(&mut added.collect::<Vec<_>>())
        }
    };
    let (offwatch, script) = (added(1), added(2));
    Ok(Way {
        load,
        path_ns: median(&mut rounds.iter().map(|round| round[0]).collect::<Vec<_>>()),
        offwatch_ns: Estimate::of(&rounds, offwatch),
        script_ns: Estimate::of(&rounds, script),
        ratio: Estimate::of(&rounds, |rounds| offwatch(rounds) / script(rounds)),
    })
}

fn round(path: &Path, empty: &mut Empty, program: &FilePath, probes: Probes) -> Result<Round> {
    let mut sums = [0.0; 3];
    for index in forth_and_back(sums.len()) {
        if index == 2 {
            let script = Script::start(program, probes)?;
            path.sample()?;
            sums[index] += path.sample()?;
            let sender = path.observed().first().context("the sending tap")?;
            let counted = script.stop(sender.0)?;
            ensure!(counted > 0, "the script counted no frame of {}", sender.1);
        } else {
            let variant = [Variant::Nothing, Variant::Offwatch(Hook::default())][index];
            let attached = variant.attach(empty, path.ns().inum(), path.observed())?;
            path.sample()?;
            sums[index] += path.sample()?;
            drop(attached);
        }
    }
    Ok(sums.map(|sum| sum / 2.0))
}

/// The script, counting. It is ended when this is dropped.
struct Script {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Script {
    fn start(program: &FilePath, probes: Probes) -> Result<Self> {
        let script = SCRIPT.replace("PROBE", probes.probe);
        let mut command = Command::new(program);
        command.args(["-e", &script.replace("SKB", probes.skb)]);
        with_tracefs(&mut command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("bpftrace")?;
        let output = child.stdout.take().context("its stdout is a pipe")?;
        let mut script = Self {
            child,
            output: BufReader::new(output),
        };
        let mut line = String::new();
        while script.output.read_line(&mut line)? > 0 {
            if line.contains("counting") {
                return Ok(script);
            }
            line.clear();
        }
        let mut told = String::new();
        if let Some(mut stderr) = script.child.stderr.take() {
            stderr.read_to_string(&mut told)?;
        }
        bail!("{}", told.trim().lines().last().unwrap_or("it ended"))
    }

    /// Ends it, and tells how many frames it saw coming in at an interface.
    fn stop(mut self, ifindex: u32) -> Result<u64> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).context("process id")?);
        kill(pid, Signal::SIGINT).context("ending bpftrace")?;
        let mut told = String::new();
        self.output.read_to_string(&mut told)?;
        let key = format!("@rx_packets[{ifindex}]:");
        let count = told.lines().find_map(|line| line.trim().strip_prefix(&key));
        let count = count.map_or(Ok(0), |count| count.trim().parse());
        count.context("what bpftrace counted")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// bpftrace looks for tracepoints there. The mount is its own.
fn with_tracefs(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    let none = None::<&str>;
    // SAFETY: the closure runs between fork and exec and only makes system calls with
    // constant arguments.
    unsafe {
        command.pre_exec(move || {
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            let tracefs = Some("tracefs");
            mount(
                tracefs,
                "/sys/kernel/tracing",
                tracefs,
                MsFlags::empty(),
                none,
            )?;
            Ok(())
        });
    }
}

fn version(program: &PathBuf) -> Result<String> {
    let output = Command::new(program).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
