//! What advice says that a change costs is what a trial of it measures: within 30 % of
//! the CPU time per byte, by its tables, and by what a trial of another case told.
//!
//! Tables tell of the whole host, which must be calm for that; what a trial told is
//! held against the VM's process where the host is not. Not with the usual `main`: this
//! program plays QEMU, too.

use std::{fs, path::Path, process::ExitCode, thread::sleep, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use libtest_mimic::{Arguments, ColorSetting, Trial as Test};
use offwatch::{
    advise::{
        Report,
        price::{Basis, Part, Range},
    },
    trial::{Comparison, Conclusion, Forecast, Measure, Trial, read},
};
use offwatch_tests::{
    Backend, GuestConfig, Lab,
    guest::Family,
    observer::offwatch,
    skip_unless_lab,
    traffic::{TcpFlow, TcpOptions},
    vmm::{self, Vmm},
};

/// The aim.
const OFF_PERCENT: f64 = 30.0;
/// An interval of the host's cost that is wider than this share of what is forecast to
/// be added, to either side, tells of what else runs.
const NOISE: f64 = 0.25;
/// The part of a price that a trial tells.
const FRAMES: &str = "frames more to carry";

fn main() -> ExitCode {
    if let Some(code) = vmm::run_if_asked() {
        return code;
    }
    let test = Test::test("the_forecast_is_what_a_trial_measures", || {
        the_forecast_is_what_a_trial_measures().map_err(|error| format!("{error:?}").into())
    });
    let mut arguments = Arguments::from_args();
    // The kernel matrix reads results from a terminal.
    arguments.color.get_or_insert(ColorSetting::Never);
    libtest_mimic::run(&arguments, vec![test]).exit_code()
}

/// TCP to a VM, at a rate that leaves the host room.
struct Case {
    name: &'static str,
    to: &'static str,
    bits_per_second: u64,
    max_segment_bytes: Option<u16>,
}

/// The first one calibrates the others: another rate, another VM, another MSS.
const CASES: [Case; 4] = [
    Case {
        name: "100 Mbit/s",
        to: "db",
        bits_per_second: 100_000_000,
        max_segment_bytes: None,
    },
    Case {
        name: "250 Mbit/s",
        to: "db",
        bits_per_second: 250_000_000,
        max_segment_bytes: None,
    },
    Case {
        name: "100 Mbit/s to another VM",
        to: "web",
        bits_per_second: 100_000_000,
        max_segment_bytes: None,
    },
    Case {
        name: "60 Mbit/s with an MSS of 700 bytes",
        to: "web",
        bits_per_second: 60_000_000,
        max_segment_bytes: Some(700),
    },
];

fn the_forecast_is_what_a_trial_measures() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let host = lab.host_endpoint()?;
    let start = |name, index| {
        let config = GuestConfig {
            backend: Backend::Relay,
            ..GuestConfig::new(name, index)
        };
        Vmm::start(&lab, config)
    };
    let vms = [start("db", 1)?, start("web", 2)?];
    let directory = tempfile::tempdir()?;
    let first = directory.path().join("first.json");
    for case in &CASES {
        let index = usize::from(case.to == "web");
        let options = TcpOptions {
            bits_per_second: Some(case.bits_per_second),
            max_segment_bytes: case.max_segment_bytes,
            ..TcpOptions::new(Family::V4, 0)
        };
        let flow = TcpFlow::start(&host, &vms[index].endpoint(), options)?;
        sleep(Duration::from_millis(500));
        let frame = match case.name == CASES[0].name {
            true => None,
            false => Some(advised(&lab, case.to, &first)?),
        };
        let trial = tried(&lab, case.to)?;
        flow.stop()?;
        let by_table = Comparison::of(&trial).context("a forecast")?;
        println!("{}, by table: {by_table} ({})", case.name, load());
        let is_calm = is_calm(&trial);
        if is_calm {
            is_near(case, &by_table)?;
        } else {
            eprintln!("{}, by table: skipped: other programs run", case.name);
        }
        if let Some(frame) = frame {
            let (forecast, of) = calibrated(&trial, &frame)?;
            let by_trial = Comparison::with(&forecast, &trial, of).context("measured")?;
            println!("{}, calibrated, {of:?}: {by_trial}", case.name);
            if of == Measure::VmCost || is_calm {
                is_near(case, &by_trial)?;
            }
        }
        if case.name == CASES[0].name {
            fs::write(&first, serde_json::to_string(&trial)?)?;
        }
    }
    Ok(())
}

fn is_near(case: &Case, comparison: &Comparison) -> Result<()> {
    let is_near = comparison.off_percent().abs() <= OFF_PERCENT;
    ensure!(is_near, "{}: {comparison}", case.name);
    Ok(())
}

/// A trial of TSO off.
fn tried(lab: &Lab, vm: &str) -> Result<Trial> {
    let directory = tempfile::tempdir()?;
    let state = directory.path().join("state");
    let output = offwatch(lab.host(), &["trial", "--json", "--vm", vm])?
        .args(["--set", "tso=off", "--rounds", "8", "--seconds", "1.5"])
        .args(["--settle", "0.3", "--max-loss", "90%", "--state-dir"])
        .arg(state)
        .output()?;
    let says = || String::from_utf8_lossy(&output.stderr).into_owned();
    let trials = read::parse(&output.stdout).map_err(|error| anyhow!("{error}: {}", says()))?;
    let [trial] = &trials[..] else {
        return Err(anyhow!("not one trial: {}", says()));
    };
    ensure!(
        trial.conclusion == Conclusion::Complete,
        "{:?}",
        trial.conclusion
    );
    Ok(trial.clone())
}

/// What a frame costs, as advice for a VM has it, given a trial.
fn advised(lab: &Lab, vm: &str, trial: &Path) -> Result<Part> {
    let output = offwatch(
        lab.host(),
        &["advise", "--json", "--window", "2s", "--trial"],
    )?
    .arg(trial)
    .output()?;
    let says = String::from_utf8_lossy(&output.stderr);
    let report: Report = serde_json::from_slice(&output.stdout).context(says.into_owned())?;
    let mut advice = report.advice.into_iter();
    let of_vm = advice
        .find(|advice| advice.rule == "keep-on" && advice.subject.vm.as_deref() == Some(vm))
        .with_context(|| format!("nothing is said of {vm}"))?;
    let mut parts = of_vm.price.context("a price")?.parts.into_iter();
    parts.find(|part| part.what == FRAMES).context("frames")
}

/// The forecast of a trial, with what a frame costs from elsewhere; and which cost it is
/// then.
fn calibrated(trial: &Trial, frame: &Part) -> Result<(Forecast, Measure)> {
    let Basis::Trial { vm_alone, .. } = frame.basis else {
        bail!("not by the trial: {frame:?}");
    };
    let made = trial.forecast.as_ref().context("a forecast")?;
    let mut forecast = made.clone();
    let added = &mut forecast.added_ns_per_byte;
    // Whoever sends cuts.
    let parts = made
        .price
        .parts
        .iter()
        .filter(|part| part.what == FRAMES || !vm_alone);
    let per_core = made.added_ns_per_byte.value / made.price.cores.value;
    *added = Range::default();
    for part in parts {
        let each = if part.what == FRAMES { frame } else { part }.ns_each;
        let ns_per_byte = |ns: f64| ns * part.per_s / 1e9 * per_core;
        added.value += ns_per_byte(each.value);
        added.low += ns_per_byte(each.low);
        added.high += ns_per_byte(each.high);
    }
    let of = if vm_alone {
        Measure::VmCost
    } else {
        Measure::HostCost
    };
    Ok((forecast, of))
}

/// Whether the host's cost is that of this traffic: its interval is narrow beside what is
/// forecast to be added.
fn is_calm(trial: &Trial) -> bool {
    let mut effects = trial.effects.iter();
    let cost = effects.find(|effect| effect.measure == Measure::HostCost);
    let half_ns = cost.and_then(|cost| {
        let interval = cost.difference_percent?;
        Some((interval.high - interval.low) / 2.0 / 100.0 * cost.without?)
    });
    let forecast = trial.forecast.as_ref();
    let added = forecast.map(|forecast| forecast.added_ns_per_byte.value);
    half_ns
        .zip(added)
        .is_some_and(|(half, added)| half <= added * NOISE)
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split(' ').next().unwrap_or_default();
    format!("load {load}")
}
