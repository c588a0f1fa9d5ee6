//! Whatever is killed of a trial, and whenever: in the end every feature is as before.

use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use offwatch::enforce::journal::State;
use offwatch_tests::{
    enforce::{Bed, kill_hard, tap},
    observer,
    quiet::wait_until_each,
    random::{self, Random},
    scaled, skip_unless_lab,
};

const RUNS: u64 = 104;
/// Hosts side by side: most of the time is waiting.
const HOSTS: u64 = 8;
const TAPS: usize = 2;
/// TSO has dependants and changes the bridge; GRO does neither.
const SET: &str = "tso=off,gro=off";
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks for what is to be killed as soon as it is there.
const LOOK: Duration = Duration::from_micros(500);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victims {
    Trial,
    Watchdog,
    TrialFirst,
    WatchdogFirst,
}

/// From when on the time to the kill counts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Start,
    Journalled,
    Changed,
}

/// Who comes after both were killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Trial,
    Apply,
    Rollback,
}

#[derive(Debug)]
struct Run {
    victims: Victims,
    from: From,
    after: Duration,
    between: Duration,
    next: Next,
}

impl Run {
    fn at(random: &mut Random) -> Self {
        const VICTIMS: [Victims; 5] = [
            Victims::Trial,
            Victims::Trial,
            Victims::Watchdog,
            Victims::TrialFirst,
            Victims::WatchdogFirst,
        ];
        let from = random.of(&[
            From::Start,
            From::Journalled,
            From::Journalled,
            From::Changed,
        ]);
        let after_us = match from {
            From::Start => random.below(1_000_000),
            From::Journalled => random.below(1_800_000),
            // The first way back comes after 200 ms.
            From::Changed => random.below(250_000),
        };
        Self {
            victims: random.of(&VICTIMS),
            from,
            after: Duration::from_micros(after_us),
            between: Duration::from_micros(random.of(&[0, 100, 5_000, 50_000])),
            next: random.of(&[Next::Trial, Next::Apply, Next::Rollback]),
        }
    }
}

/// How often each of it was hit.
#[derive(Default)]
struct Hits {
    /// Killed before anything was journalled, or after the end.
    outside: AtomicU64,
    /// Killed within the trial.
    within: AtomicU64,
    /// Both were killed, and the change was left.
    left: AtomicU64,
}

#[test]
fn a_kill_at_any_moment_leaves_the_features_before() -> Result<()> {
    skip_unless_lab!();
    let seed = random::seed()?;
    let runs = scaled(RUNS).max(HOSTS);
    let hits = Hits::default();
    random::side_by_side(HOSTS, seed, |seed| host_of(seed, runs / HOSTS, &hits))?;
    let [outside, within, left] =
        [&hits.outside, &hits.within, &hits.left].map(|hits| hits.load(Ordering::Relaxed));
    eprintln!("{runs} runs: killed outside {outside}, within {within}; left changed {left}");
    // Or the test has killed nothing that mattered.
    ensure!(within > 0, "no trial was killed within");
    ensure!(
        left > 0 || runs < RUNS,
        "nothing was ever left to the next start"
    );
    Ok(())
}

fn host_of(seed: u64, runs: u64, hits: &Hits) -> Result<()> {
    let mut random = Random::new(seed);
    let bed = Bed::new(TAPS)?;
    let text = bed.ethtool()?;
    for run in 0..runs {
        let plan = Run::at(&mut random);
        one(&bed, &plan, hits)
            .with_context(|| format!("host {seed}, run {run}, {plan:?}, {:?}", bed.last()))?;
    }
    ensure!(bed.ethtool()? == text, "{text}\nbecame\n{}", bed.ethtool()?);
    Ok(())
}

/// A trial as short as it can be.
fn trial(bed: &Bed) -> Result<Command> {
    let mut command = observer::offwatch(bed.ns(), &["trial", "--dev", &tap(0), "--set", SET])?;
    command
        .args(["--rounds", "4", "--seconds", "0.2", "--settle", "0"])
        .arg("--state-dir")
        .arg(bed.state_dir())
        .env("LIBVIRT_DEFAULT_URI", "test:///nonexistent")
        .stdout(Stdio::null());
    Ok(command)
}

fn one(bed: &Bed, run: &Run, hits: &Hits) -> Result<()> {
    let before = bed.features()?;
    let commit = bed.last()?.map_or(0, |last| last.commit.id);
    let mut trial = trial(bed)?.stderr(Stdio::null()).spawn()?;
    until(bed, run.from, commit, &mut trial, || {
        Ok(bed.features()? != before)
    })?;
    thread::sleep(run.after);
    let hit = match standing(bed, commit)? {
        Some(State::Applying) => &hits.within,
        _ => &hits.outside,
    };
    hit.fetch_add(1, Ordering::Relaxed);
    kill_all(bed, run, &mut trial)?;
    // A trial whose watchdog is killed goes on, and ends as ever.
    let ended = trial.wait()?;
    bed.wait_until_all_ended()?;
    let is_left = standing(bed, commit)? == Some(State::Applying);
    match run.victims {
        Victims::Watchdog => ensure!(ended.code() == Some(0), "{ended}"),
        // Its watchdog was not there yet, so nothing was changed either.
        Victims::Trial if is_left => {
            ensure!(bed.features()? == before, "nobody watched it");
            next_start(bed, run)?;
        }
        Victims::Trial => {}
        Victims::TrialFirst | Victims::WatchdogFirst => {
            if bed.features()? != before {
                ensure!(is_left, "changed, and not journalled as such");
                hits.left.fetch_add(1, Ordering::Relaxed);
            }
            next_start(bed, run)?;
        }
    }
    let after = bed.features()?;
    ensure!(after == before, "{before:?}\nbecame\n{after:?}");
    match standing(bed, commit)? {
        None => {}
        Some(State::RolledBack { failed, .. }) => ensure!(failed.is_empty(), "{failed:?}"),
        Some(other) => bail!("it is {other:?}"),
    }
    Ok(())
}

/// How the commit of this run stands.
fn standing(bed: &Bed, before: u64) -> Result<Option<State>> {
    let last = bed.last()?.filter(|last| last.commit.id > before);
    Ok(last.map(|last| last.state))
}

/// Waits until there is something to kill.
fn until(
    bed: &Bed,
    from: From,
    before: u64,
    trial: &mut Child,
    is_changed: impl Fn() -> Result<bool>,
) -> Result<()> {
    wait_until_each(LOOK, "something to kill", PATIENCE, || {
        let is_there = match from {
            From::Start => true,
            From::Journalled => standing(bed, before)?.is_some(),
            From::Changed => is_changed()?,
        };
        Ok(is_there || trial.try_wait()?.is_some())
    })
}

fn kill_all(bed: &Bed, run: &Run, trial: &mut Child) -> Result<()> {
    let own = trial.id();
    let kill_watchdogs = || -> Result<()> {
        for pid in bed.processes()? {
            if pid != own {
                kill_hard(pid)?;
            }
        }
        Ok(())
    };
    match run.victims {
        Victims::Trial => kill_hard(own),
        Victims::Watchdog => kill_watchdogs(),
        Victims::TrialFirst => {
            kill_hard(own)?;
            thread::sleep(run.between);
            kill_watchdogs()
        }
        Victims::WatchdogFirst => {
            kill_watchdogs()?;
            thread::sleep(run.between);
            kill_hard(own)?;
            // The one that was started in between.
            trial.wait()?;
            kill_watchdogs()
        }
    }
}

/// It takes back what was left before it does anything else.
fn next_start(bed: &Bed, run: &Run) -> Result<()> {
    match run.next {
        Next::Trial => {
            let output = trial(bed)?.output()?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{}: {error}", output.status);
        }
        Next::Apply => {
            let nothing = bed.path("nothing.toml");
            std::fs::write(&nothing, "version = 1\n")?;
            bed.ends_with(0, bed.apply(&nothing, &[])?)?;
        }
        Next::Rollback => {
            bed.ends_with(0, bed.enforce(&["rollback"])?)?;
        }
    }
    Ok(())
}
