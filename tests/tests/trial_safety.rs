//! `trial` takes back what it changes, however it ends.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Output, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch_tests::{
    GuestConfig, Lab, Offloads,
    ethtool::{self, State},
    guest::Family,
    observer::{Observer, binary, interface, number},
    skip_unless_lab,
    traffic::{TcpFlow, TcpOptions},
};
use serde_json::Value;
use tempfile::TempDir;

/// Two guests that talk, and a place for the journal.
struct Bench {
    lab: Lab,
    directory: TempDir,
}

impl Bench {
    fn new() -> Result<Self> {
        let mut lab = Lab::new()?;
        for number in 1..=2 {
            lab.add_guest(GuestConfig::new(&format!("guest{number}"), number))?;
        }
        Ok(Self {
            lab,
            directory: TempDir::new()?,
        })
    }

    /// TCP from the first guest to the second one.
    fn talk(&self, bits_per_second: Option<u64>) -> Result<TcpFlow> {
        let options = TcpOptions {
            bits_per_second,
            ..TcpOptions::new(Family::V4, 0)
        };
        let [from, to] = [0, 1].map(|guest| self.lab.guest(guest).endpoint());
        TcpFlow::start(&from, &to, options)
    }

    /// Starts a trial.
    fn start(&self, args: &[&str]) -> Result<Child> {
        self.start_by(&[], args)
    }

    /// The same, by a command that is given offwatch's.
    fn start_by(&self, by: &[&str], args: &[&str]) -> Result<Child> {
        let program = binary()?;
        let program = program.to_str().context("a path of plain text")?;
        let line = [by, &[program, "trial", "--json"]].concat();
        let mut command = self.lab.host().command(line[0]);
        command.args(&line[1..]);
        if !args.contains(&"--state-dir") {
            command.arg("--state-dir").arg(self.state());
        }
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command.spawn()?)
    }

    /// Runs one to its end.
    fn run(&self, args: &[&str]) -> Result<Output> {
        Ok(self.start(args)?.wait_with_output()?)
    }

    fn tap(&self) -> &str {
        self.lab.guest(1).tap()
    }

    fn features(&self) -> Result<BTreeMap<String, State>> {
        ethtool::features(self.lab.host(), self.tap())
    }
}

/// The exit code and the report.
fn told(output: &Output) -> Result<(i32, Value)> {
    let says = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{}: no report: {says}", output.status))?;
    Ok((output.status.code().context("ended by itself")?, report))
}

/// What is told by one that was refused: one line.
fn refused(output: &Output) -> Result<String> {
    let says = String::from_utf8(output.stderr.clone())?;
    ensure!(output.status.code() == Some(1), "{}: {says}", output.status);
    ensure!(output.stdout.is_empty(), "it prints no report");
    ensure!(says.lines().count() == 1, "{says}");
    Ok(says)
}

const TSO: &str = "tx-tcp-segmentation";
/// One whose periods take long enough for a test to do something in each.
const LONG: [&str; 8] = [
    "--set",
    "tso=off",
    "--rounds",
    "4",
    "--seconds",
    "3",
    "--settle",
    "0.5",
];
/// One that is soon over.
const SHORT: [&str; 4] = ["--rounds", "4", "--seconds", "0.2"];
/// One that is not ended by a loss.
const ANY_LOSS: [&str; 2] = ["--max-loss", "99.9%"];

impl Bench {
    fn has_tso(&self) -> Result<bool> {
        Ok(self.features()?.get(TSO).is_some_and(|state| state.on))
    }

    /// Waits until the running trial has gone to a side.
    fn until(&self, trial: &mut Child, with: bool) -> Result<()> {
        loop {
            if self.has_tso()? != with {
                return Ok(());
            }
            if let Some(status) = trial.try_wait()? {
                bail!("it has ended: {status}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs a trial, and does something while the change is made; how it ended, and why.
    fn disturbed(&self, args: &[&str], by: impl FnOnce(&Child) -> Result<()>) -> Result<Value> {
        let tap = ["--dev", self.tap()];
        let mut trial = self.start(&[&tap, &LONG[..], args].concat())?;
        self.until(&mut trial, true)?;
        by(&trial)?;
        let (code, report) = told(&trial.wait_with_output()?)?;
        assert_eq!(
            (code, &report["conclusion"]),
            (4, &"aborted".into()),
            "{report:#}"
        );
        Ok(report)
    }

    /// The last line of the audit log.
    fn last_told(&self) -> Result<Value> {
        let log = std::fs::read_to_string(self.state().join("audit.jsonl"))?;
        Ok(serde_json::from_str(log.lines().last().context("a line")?)?)
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }
}

fn because(report: &Value) -> &str {
    report["because"].as_str().unwrap_or_default()
}

fn bytes(period: &Value) -> Result<(u64, u64)> {
    let received = &period["received"];
    let goodput = received["goodput_bytes"]["known"].as_u64();
    let goodput = goodput.with_context(|| format!("{received}"))?;
    Ok((received["bytes"].as_u64().context("bytes")?, goodput))
}

#[test]
fn a_whole_trial_leaves_all_as_before() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let _flow = bench.talk(Some(100_000_000))?;
    let before = bench.features()?;
    let observer = Observer::start(bench.lab.host(), &[])?;
    let args = [
        "--dev",
        bench.tap(),
        "--set",
        "tso=off",
        "--rounds",
        "4",
        "--seconds",
        "0.5",
        "--settle",
        "0.1",
    ];
    let (code, report) = told(&bench.run(&[&args, &ANY_LOSS[..]].concat())?)?;
    assert_eq!(
        (code, &report["conclusion"]),
        (0, &"complete".into()),
        "{report:#}"
    );
    let periods = report["periods"].as_array().context("periods")?;
    let sides: Vec<_> = periods.iter().map(|it| it["side"].as_str()).collect();
    let [a, b] = ["without", "with"].map(Some);
    assert_eq!(sides, [a, b, b, a, a, b, b, a]);
    // What arrives is nearly all payload, whatever carries it.
    let (mut all, mut goodput) = (0, 0);
    for period in periods {
        let (bytes, payload) = bytes(period)?;
        (all, goodput) = (all + bytes, goodput + payload);
        let cut = period["software_segments"]["known"].as_u64();
        ensure!(
            cut.is_some_and(|cut| (cut > 0) == (period["side"] == "with")),
            "{period:#}"
        );
        ensure!(
            period["cpu"]["host_ns"]["known"].as_u64() > Some(0),
            "{period:#}"
        );
    }
    let share = goodput as f64 / all as f64;
    ensure!((0.9..1.02).contains(&share), "{goodput} of {all} bytes");
    ensure!(bench.features()? == before, "not as before");
    // Made twice, and taken back twice.
    let told = observer.now()?;
    assert_eq!(
        number(interface(&told, bench.tap())?, "features_changed_total")?,
        4
    );
    assert_eq!(bench.last_told()?["state"], "rolled_back");
    Ok(())
}

#[test]
fn without_a_change_nothing_is_touched() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let before = bench.features()?;
    let observer = Observer::start(bench.lab.host(), &[])?;
    let args = [
        "--dev",
        bench.tap(),
        "--no-change",
        "--rounds",
        "4",
        "--seconds",
        "0.2",
        "--settle",
        "0",
    ];
    let (code, report) = told(&bench.run(&args)?)?;
    assert_eq!(
        (code, &report["conclusion"]),
        (0, &"complete".into()),
        "{report:#}"
    );
    ensure!(report["change"].is_null(), "{report:#}");
    ensure!(bench.features()? == before, "not as before");
    let told = observer.now()?;
    assert_eq!(
        number(interface(&told, bench.tap())?, "features_changed_total")?,
        0
    );
    ensure!(!bench.state().exists(), "it has no journal");
    Ok(())
}

#[test]
fn a_loss_of_goodput_takes_it_back() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let before = bench.features()?;
    let flow = bench.talk(Some(50_000_000))?;
    let report = bench.disturbed(&[], |_| {
        drop(flow);
        Ok(())
    })?;
    let told = because(&report);
    ensure!(
        told.starts_with("goodput fell by ")
            && told.contains("--max-loss 20%")
            && told.contains("did not come back"),
        "{told}"
    );
    assert_eq!(
        report["periods"].as_array().map(Vec::len),
        Some(1),
        "what was measured is told"
    );
    ensure!(bench.features()? == before, "not as before");
    let told = bench.last_told()?;
    ensure!(
        told["because"]
            .as_str()
            .is_some_and(|it| it.contains("goodput fell")),
        "{told}"
    );
    Ok(())
}

#[test]
fn a_signal_takes_it_back() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let before = bench.features()?;
    let signals = [
        (Signal::SIGINT, "it was interrupted"),
        (Signal::SIGTERM, "it was terminated"),
        (Signal::SIGHUP, "its terminal hung up"),
    ];
    for (signal, told) in signals {
        let report = bench.disturbed(&[], |trial| {
            let pid = Pid::from_raw(i32::try_from(trial.id())?);
            Ok(kill(pid, signal)?)
        })?;
        assert_eq!(because(&report), told);
        ensure!(bench.features()? == before, "not as before");
    }
    Ok(())
}

#[test]
fn a_renegotiation_takes_it_back() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let before = bench.features()?;
    let report = bench.disturbed(&[], |_| {
        // The guest's driver is loaded again.
        bench.lab.guest(1).renegotiate(Offloads::NONE)?;
        bench.lab.guest(1).renegotiate(Offloads::ALL)
    })?;
    ensure!(
        because(&report).contains("by its guest or by somebody else"),
        "{report:#}"
    );
    ensure!(bench.features()? == before, "not as before");
    Ok(())
}

#[test]
fn what_others_switch_ends_it_and_stays() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let before = bench.features()?;
    let report = bench.disturbed(&[], |_| {
        let mut command = bench.lab.host().command("ethtool");
        let done = command.args(["-K", bench.tap(), "gro", "off"]).status()?;
        ensure!(done.success(), "{done}");
        Ok(())
    })?;
    ensure!(because(&report).contains("rx-gro of "), "{report:#}");
    let mut after = bench.features()?;
    after.insert("rx-gro".into(), before["rx-gro"]);
    ensure!(after == before, "TSO is as before");
    Ok(())
}

#[test]
fn a_tap_that_vanishes_ends_it() -> Result<()> {
    skip_unless_lab!();
    let mut bench = Bench::new()?;
    let args = [&["--dev", bench.tap()], &LONG[..]].concat();
    let mut trial = bench.start(&args)?;
    bench.until(&mut trial, true)?;
    bench.lab.remove_guest(1);
    let (code, report) = told(&trial.wait_with_output()?)?;
    assert_eq!(
        (code, &report["conclusion"]),
        (4, &"aborted".into()),
        "{report:#}"
    );
    ensure!(because(&report).contains("is gone"), "{report:#}");
    Ok(())
}

#[test]
fn there_is_one_trial_at_a_time() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let before = bench.features()?;
    let report = bench.disturbed(&[], |trial| {
        let other = TempDir::new()?;
        let elsewhere = other.path().to_str().context("text")?;
        let tap = bench.lab.guest(0).tap();
        for args in [
            &["--dev", tap][..],
            &["--dev", tap, "--state-dir", elsewhere],
        ] {
            let told = refused(&bench.run(&[args, &LONG[..]].concat())?)?;
            ensure!(told.contains("another enforcer runs (pid "), "{told}");
        }
        ensure!(!bench.has_tso()?, "the first one goes on");
        let pid = Pid::from_raw(i32::try_from(trial.id())?);
        Ok(kill(pid, Signal::SIGTERM)?)
    })?;
    assert_eq!(because(&report), "it was terminated");
    ensure!(bench.features()? == before, "not as before");
    Ok(())
}

#[test]
fn what_cannot_be_tried_is_refused_in_one_line() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let before = bench.features()?;
    let observer = Observer::start(bench.lab.host(), &[])?;
    let tap = bench.tap();
    let cases: [(&[&str], &str); 5] = [
        (
            &["--dev", tap, "--set", "tx-tcp-segmentation=on"],
            "has tx-tcp-segmentation=on already",
        ),
        (&["--dev", tap, "--set", "tsoo=off"], "`tso` is"),
        (
            &["--dev", tap, "--set", "tso=off,tx-tcp-segmentation=on"],
            "is to be off, and on",
        ),
        (
            &["--dev", tap, "--set", "tx-gso-robust=on"],
            "cannot be switched",
        ),
        (
            &["--dev", "owtap9", "--set", "tso=off"],
            "matches no interface",
        ),
    ];
    for (args, expected) in cases {
        let told = refused(&bench.run(&[args, &SHORT[..]].concat())?);
        let told = told.with_context(|| format!("{args:?}"))?;
        ensure!(told.contains(expected), "{told}");
    }
    // Who may observe may not change.
    let by = [
        "setpriv",
        "--bounding-set",
        "-net_admin",
        "--inh-caps",
        "-all",
    ];
    let output = bench.start_by(&by, &["--dev", tap, "--set", "tso=off", "--rounds", "4"])?;
    let told = refused(&output.wait_with_output()?)?;
    ensure!(told.contains("CAP_NET_ADMIN"), "{told}");
    ensure!(bench.features()? == before, "not as before");
    let told = observer.now()?;
    assert_eq!(number(interface(&told, tap)?, "features_changed_total")?, 0);
    Ok(())
}
