//! Changes that do something are told apart from those that do not, and from none.
//!
//! Not with the usual `main`: this program plays QEMU, too, so that the CPU time of
//! the VM is its own whatever else this machine does. `OFFWATCH_TRIAL_RUNS` is the
//! number of trials of each change; of none there are twice as many. Reports are
//! written to the directory `OFFWATCH_TRIAL_REPORTS`, if there is one.

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use offwatch::trial::{Measure, Trial, Verdict, recipe::TURN_IT_OFF};
use offwatch_tests::{
    skip_unless_lab,
    trials::{Bench, claims, effect, summary},
    vmm_main,
};

/// What a paced stream has, bits a second: far below what the lab can carry.
const PACE: u64 = 100_000_000;
/// Everything that lets the guest receive super-frames.
const OFF: &str = "tso=off,gso=off";
/// Inert on a tap whose guest does not ask for NAPI.
const INERT: &str = "gro=off";
/// Rounds where the load is paced.
const FEW: &str = "8";
/// Rounds where it is not: what is left for it by other work on this machine may vary
/// fourfold within a trial.
const MANY: &str = "16";

// They measure the same processors.
vmm_main!(
    one at a time: a_change_that_halves_throughput_is_told,
    a_change_that_costs_cpu_time_is_told,
    of_a_change_that_does_nothing_nothing_is_told,
    of_no_change_nothing_is_told,
    a_recipe_tells_people_of_each_change,
);

/// How many trials; `default` unless the user wants some number of times as many.
fn runs(default: u32, times: u32) -> Result<u32> {
    match env::var("OFFWATCH_TRIAL_RUNS") {
        Ok(runs) => {
            let runs: u32 = runs.parse().context("OFFWATCH_TRIAL_RUNS")?;
            Ok(runs * times)
        }
        Err(_) => Ok(default),
    }
}

/// Runs a trial, and tells what it told.
fn trial(bench: &Bench, what: &[&str], kind: &str, run: u32) -> Result<Trial> {
    let mut args = vec!["--seconds", "0.4", "--settle", "0.1"];
    // None of them is to end it.
    args.extend(["--max-loss", "99%"]);
    args.extend(what);
    let trial = bench.trial(&args)?;
    if let Some(directory) = env::var_os("OFFWATCH_TRIAL_REPORTS") {
        let path = Path::new(&directory).join(format!("{kind}-{run}.json"));
        fs::write(path, serde_json::to_vec(&trial)?)?;
    }
    eprintln!("{kind} {run}: {}", summary(&trial));
    Ok(trial)
}

fn verdict(trial: &Trial, measure: Measure) -> Result<&Verdict> {
    Ok(&effect(trial, measure)?.verdict)
}

fn a_change_that_halves_throughput_is_told() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let _load = bench.load(None)?;
    for run in 1..=runs(2, 1)? {
        let trial = trial(&bench, &["--rounds", MANY, "--set", OFF], "halves", run)?;
        let told = verdict(&trial, Measure::Goodput)?;
        ensure!(*told == Verdict::Worse, "{told:?}: {}", summary(&trial));
    }
    Ok(())
}

fn a_change_that_costs_cpu_time_is_told() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let _load = bench.load(Some(PACE))?;
    for run in 1..=runs(2, 1)? {
        let trial = trial(&bench, &["--rounds", FEW, "--set", OFF], "costs", run)?;
        let goodput = verdict(&trial, Measure::Goodput)?;
        ensure!(!goodput.is_difference(), "{goodput:?}: {}", summary(&trial));
        let cost = verdict(&trial, Measure::VmCost)?;
        ensure!(*cost == Verdict::Worse, "{cost:?}: {}", summary(&trial));
        // Other work on this machine may hide it, but not turn it.
        let host = verdict(&trial, Measure::HostCost)?;
        ensure!(*host != Verdict::Better, "{}", summary(&trial));
    }
    Ok(())
}

fn of_a_change_that_does_nothing_nothing_is_told() -> Result<()> {
    skip_unless_lab!();
    claims_nothing(&["--rounds", FEW, "--set", INERT], "nothing", runs(2, 1)?)
}

fn of_no_change_nothing_is_told() -> Result<()> {
    skip_unless_lab!();
    claims_nothing(&["--rounds", FEW, "--no-change"], "none", runs(3, 2)?)
}

fn a_recipe_tells_people_of_each_change() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new()?;
    let _load = bench.load(Some(PACE))?;
    let length = ["--rounds", "4", "--seconds", "0.4", "--settle", "0.1"];
    let mut args = vec!["--recipe", "turn-it-off", "--max-loss", "99%"];
    args.extend(length);
    let output = bench.output(&args)?;
    let told = String::from_utf8(output.stdout)?;
    let says = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {told}{says}", output.status);
    for step in TURN_IT_OFF {
        let is_row = |line: &str| line.split_whitespace().next() == Some(step.set);
        let rows = told
            .lines()
            .filter(|line| is_row(line) && !line.contains(" on "));
        ensure!(rows.count() == 1, "not a row of {}:\n{told}", step.set);
        let trying = format!("offwatch: trying {}", step.set);
        ensure!(says.lines().any(|line| line == trying), "{says}");
    }
    ensure!(told.contains("Everything is as it was before."), "{told}");
    Ok(())
}

/// Of forty trials one may claim something: that is what 95 % means here. So may one of
/// few.
fn claims_nothing(what: &[&str], kind: &str, runs: u32) -> Result<()> {
    let bench = Bench::new()?;
    let _load = bench.load(Some(PACE))?;
    let mut wrong = Vec::new();
    for run in 1..=runs {
        let trial = trial(&bench, what, kind, run)?;
        if !claims(&trial).is_empty() {
            wrong.push(summary(&trial));
        }
    }
    ensure!(wrong.len() <= 1, "of {runs}: {wrong:#?}");
    Ok(())
}
