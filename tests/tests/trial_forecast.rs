//! What advice says that a change does is what a trial of it measures: as many segments
//! cut and frames more, and, if `OFFWATCH_TRIAL_COSTS` is set, within 30 % of the CPU
//! time per byte, by its tables, and by what a trial of another case told.
//!
//! Times are another machine's elsewhere, so they are only judged when somebody asks.
//! Tables tell of the whole host, which must be calm for that; what a trial told is
//! held against the VM's process where the host is not. Not with the usual `main`: this
//! program plays QEMU, too.

use std::{env, fs, path::Path, thread::sleep, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use offwatch::{
    advise::{
        Report,
        price::{Basis, Part, Range},
    },
    trial::{Comparison, Conclusion, Forecast, Measure, Period, Side, Trial, read},
};
use offwatch_tests::{
    Backend, GuestConfig, Lab,
    guest::Family,
    observer::offwatch,
    skip_unless_lab,
    traffic::{TcpFlow, TcpOptions},
    vmm::Vmm,
    vmm_main,
};

/// The aim.
const OFF_PERCENT: f64 = 30.0;
/// If the middle half of the rounds differs by more than this share of what is forecast
/// to be added, something else runs.
const NOISE: f64 = 0.6;
/// CPUs that are busy for more than this share are full.
const FULL: f64 = 0.85;
/// How far counts may be off: what a paced stream sends differs a little.
const COUNTS_PERCENT: f64 = 10.0;
/// The part of a price that a trial tells.
const FRAMES: &str = "frames more to carry";
/// Another one.
const SEGMENTS: &str = "segments to cut";

vmm_main!(the_forecast_is_what_a_trial_measures);

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
        counts(case, &trial)?;
        let is_asked = env::var_os("OFFWATCH_TRIAL_COSTS").is_some();
        let is_calm = is_calm(&trial);
        match (is_asked, is_calm) {
            (true, true) => is_near(case, &by_table)?,
            (true, false) => println!("{}, by table: not judged: other programs run", case.name),
            (false, _) => {}
        }
        if let Some(frame) = frame {
            let (forecast, of) = calibrated(&trial, &frame)?;
            let by_trial = Comparison::with(&forecast, &trial, of).context("measured")?;
            println!("{}, calibrated, {of:?}: {by_trial}", case.name);
            if is_asked && (of == Measure::VmCost || is_calm) {
                is_near(case, &by_trial)?;
            }
        }
        if case.name == CASES[0].name {
            fs::write(&first, serde_json::to_string(&trial)?)?;
        }
    }
    Ok(())
}

/// Segments that were to be cut were cut, and frames that were to be more are.
fn counts(case: &Case, trial: &Trial) -> Result<()> {
    let forecast = trial.forecast.as_ref().context("a forecast")?;
    let per_s = |side: Side, of: fn(&Period) -> Option<u64>| -> Result<f64> {
        let periods = trial.periods.iter().filter(|period| period.side == side);
        let (mut count, mut seconds) = (0, 0.0);
        for period in periods {
            count += of(period).context("counted")?;
            seconds += period.seconds;
        }
        Ok(count as f64 / seconds)
    };
    let cut = per_s(Side::With, |period| {
        period.software_segments.known().copied()
    })?;
    let frames = |side| per_s(side, |period| Some(period.received.packets));
    let more = frames(Side::With)? - frames(Side::Without)?;
    for (what, counted) in [(SEGMENTS, cut), (FRAMES, more)] {
        let mut parts = forecast.price.parts.iter();
        let part = parts.find(|part| part.what == what).context(what)?;
        let off = (part.per_s / counted - 1.0) * 100.0;
        ensure!(
            off.abs() <= COUNTS_PERCENT,
            "{}: {what}: forecast {:.0}/s, counted {counted:.0}/s",
            case.name,
            part.per_s
        );
    }
    Ok(())
}

fn is_near(case: &Case, comparison: &Comparison) -> Result<()> {
    let off_percent = (comparison.forecast.value / comparison.measured - 1.0) * 100.0;
    let is_near = off_percent.abs() <= OFF_PERCENT;
    ensure!(is_near, "{}: {comparison}", case.name);
    Ok(())
}

/// A trial of TSO off.
fn tried(lab: &Lab, vm: &str) -> Result<Trial> {
    let directory = tempfile::tempdir()?;
    let state = directory.path().join("state");
    let output = offwatch(lab.host(), &["trial", "--json", "--vm", vm])?
        .args(["--set", "tso=off", "--rounds", "6", "--seconds", "1"])
        .args(["--settle", "0.2", "--max-loss", "90%", "--state-dir"])
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

/// Whether the host's cost is that of this traffic: its CPUs are not full, which hides a
/// cost, and what others take does not make the rounds differ by much of what is forecast.
fn is_calm(trial: &Trial) -> bool {
    let cpus = f64::from(trial.host.online_cpus);
    let is_full = trial.periods.iter().any(|period| {
        let busy = period.cpu.host_ns.known().map(|ns| *ns as f64 / 1e9);
        busy.is_none_or(|busy| busy > period.seconds * cpus * FULL)
    });
    let mut effects = trial.effects.iter();
    let cost = effects.find(|effect| effect.measure == Measure::HostCost);
    let (Some(cost), Some(forecast)) = (cost, &trial.forecast) else {
        return false;
    };
    let mut rounds = cost.rounds.clone();
    rounds.sort_by(f64::total_cmp);
    let (low, high) = (rounds.len() / 4, rounds.len() * 3 / 4);
    let middle_half = rounds.get(high).zip(rounds.get(low));
    let (Some((high, low)), Some(without)) = (middle_half, cost.without) else {
        return false;
    };
    let spread_ns = (high - low) / 100.0 * without;
    !is_full && spread_ns <= forecast.added_ns_per_byte.value * NOISE
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split(' ').next().unwrap_or_default();
    format!("load {load}")
}
