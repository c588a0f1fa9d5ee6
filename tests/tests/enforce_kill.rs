//! Whatever is killed, and whenever: what was not confirmed is taken back.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch::enforce::journal::State;
use offwatch_tests::{
    enforce::{Bed, VETH, kill_hard, tap},
    quiet::{wait_until, wait_until_each},
    random::{self, Random},
    scaled, skip_unless_lab,
};

const RUNS: u64 = 200;
/// Hosts side by side: most of the time is waiting for deadlines.
const HOSTS: u64 = 8;
const TAPS: usize = 12;
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks for what is to be killed as soon as it is there.
const LOOK: Duration = Duration::from_micros(200);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victims {
    Enforcer,
    Watchdog,
    EnforcerFirst,
    WatchdogFirst,
}

/// From when on the time to the kill counts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Start,
    Journalled,
    Unconfirmed,
}

#[derive(Debug)]
struct Run {
    args: &'static [&'static str],
    victims: Victims,
    from: From,
    after: Duration,
    between: Duration,
    /// Somebody confirms it just before.
    confirms: bool,
    /// How the next start happens.
    by_apply: bool,
}

impl Run {
    fn at(random: &mut Random) -> Self {
        const VICTIMS: [Victims; 4] = [
            Victims::Enforcer,
            Victims::Watchdog,
            Victims::EnforcerFirst,
            Victims::WatchdogFirst,
        ];
        const ARGS: [&[&str]; 4] = [
            &["--confirm", "1s"],
            &["--confirm", "1s"],
            &["--confirm", "1s", "--detach"],
            &[],
        ];
        let from = random.of(&[
            From::Start,
            From::Journalled,
            From::Journalled,
            From::Unconfirmed,
        ]);
        let after_us = match from {
            From::Start => random.below(150_000),
            From::Journalled => random.below(60_000),
            From::Unconfirmed => random.below(1_100_000),
        };
        Self {
            args: random.of(&ARGS),
            victims: random.of(&VICTIMS),
            from,
            after: Duration::from_micros(after_us),
            between: Duration::from_micros(random.of(&[0, 100, 5_000, 50_000])),
            confirms: random.below(6) == 0,
            by_apply: random.below(2) == 0,
        }
    }
}

/// How often each of it was hit.
#[derive(Default)]
struct Hits {
    applying: AtomicU64,
    unconfirmed: AtomicU64,
    taken_back: AtomicU64,
    confirmed: AtomicU64,
}

#[test]
fn a_kill_at_any_moment_leaves_the_state_before_or_the_confirmed_one() -> Result<()> {
    skip_unless_lab!();
    let seed = random::seed()?;
    // With one run for each host it is too likely that none has to be taken back.
    let runs = scaled(RUNS).max(2 * HOSTS);
    let hits = Hits::default();
    random::side_by_side(HOSTS, seed, |seed| host_of(seed, runs / HOSTS, &hits))?;
    let [applying, unconfirmed, taken_back, confirmed] = [
        &hits.applying,
        &hits.unconfirmed,
        &hits.taken_back,
        &hits.confirmed,
    ]
    .map(|hits| hits.load(Ordering::Relaxed));
    eprintln!(
        "{runs} runs: killed while applying {applying}, unconfirmed {unconfirmed}; \
         taken back {taken_back}, confirmed {confirmed}"
    );
    // Or the test has killed nothing that mattered.
    ensure!(taken_back > 0, "no run left anything to take back");
    Ok(())
}

fn host_of(seed: u64, runs: u64, hits: &Hits) -> Result<()> {
    let mut random = Random::new(seed);
    let bed = Bed::new(TAPS)?;
    let policy = policy(&bed)?;
    let text = bed.ethtool()?;
    for run in 0..runs {
        let plan = Run::at(&mut random);
        one(&bed, &policy, &plan, hits)
            .with_context(|| format!("host {seed}, run {run}, {plan:?}, {:?}", bed.last()))?;
    }
    ensure!(bed.ethtool()? == text, "{text}\nbecame\n{}", bed.ethtool()?);
    Ok(())
}

/// All taps lose USO, with which the bridge loses it; the veth what depends on SG.
fn policy(bed: &Bed) -> Result<PathBuf> {
    let names: Vec<String> = (0..TAPS).map(tap).collect();
    let tap: &[(&str, bool)] = &[("tx-udp-segmentation", false), ("gro", false)];
    let mut rules: Vec<(&str, &[(&str, bool)])> = names.iter().map(|name| (&**name, tap)).collect();
    rules.push((VETH, &[("sg", false)]));
    bed.policy(&rules)
}

fn one(bed: &Bed, policy: &Path, run: &Run, hits: &Hits) -> Result<()> {
    let before = bed.features()?;
    let commit = bed.last()?.map_or(0, |last| last.commit.id);
    let mut enforcer = bed
        .apply(policy, run.args)?
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    until(bed, run.from, commit, &mut enforcer)?;
    thread::sleep(run.after);
    let mut may_stay = run.args.is_empty();
    if run.confirms {
        may_stay |= bed.enforce(&["confirm"])?.output()?.status.success();
    }
    let standing = standing(bed, commit)?;
    kill_all(bed, run, &mut enforcer)?;
    match standing {
        Some(State::Applying) => hits.applying.fetch_add(1, Ordering::Relaxed),
        Some(State::Unconfirmed { .. }) => hits.unconfirmed.fetch_add(1, Ordering::Relaxed),
        _ => 0,
    };
    // One that lives goes on, and ends at its deadline.
    enforcer.wait()?;
    bed.wait_until_all_ended()?;
    match run.victims {
        // There is nobody else then.
        Victims::Watchdog if run.args.contains(&"--detach") => next_start(bed, run)?,
        Victims::Watchdog => {}
        // Its watchdog was not there yet, so nothing was changed either.
        Victims::Enforcer if self::standing(bed, commit)? == Some(State::Applying) => {
            ensure!(
                bed.features()? == before,
                "nobody watches it, and it is changed"
            );
            next_start(bed, run)?;
        }
        Victims::Enforcer => {}
        Victims::EnforcerFirst | Victims::WatchdogFirst => next_start(bed, run)?,
    }
    let after = bed.features()?;
    match self::standing(bed, commit)? {
        None => ensure!(after == before, "nothing was journalled, and it is changed"),
        Some(State::RolledBack { failed, .. }) => {
            ensure!(failed.is_empty(), "{failed:?}");
            ensure!(after == before, "{before:?}\nbecame\n{after:?}");
            hits.taken_back.fetch_add(1, Ordering::Relaxed);
        }
        Some(State::Confirmed) => {
            ensure!(may_stay, "nobody confirmed it");
            hits.confirmed.fetch_add(1, Ordering::Relaxed);
            let told = bed.ends_with(0, bed.apply(policy, &[])?)?;
            ensure!(
                bed.features()? == after,
                "it was not all that was asked: {told:?}"
            );
            bed.ends_with(0, bed.enforce(&["undo"])?)?;
            let after = bed.features()?;
            ensure!(after == before, "{before:?}\nbecame\n{after:?}");
        }
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
fn until(bed: &Bed, from: From, before: u64, enforcer: &mut Child) -> Result<()> {
    wait_until_each(LOOK, "something to kill", PATIENCE, || {
        let standing = standing(bed, before)?;
        let is_there = match from {
            From::Start => true,
            From::Journalled => standing.is_some(),
            From::Unconfirmed => standing.is_some_and(|state| state != State::Applying),
        };
        Ok(is_there || enforcer.try_wait()?.is_some())
    })
}

fn kill_all(bed: &Bed, run: &Run, enforcer: &mut Child) -> Result<()> {
    let own = enforcer.id();
    let kill_watchdogs = || -> Result<()> {
        for pid in bed.processes()? {
            if pid != own {
                kill_hard(pid)?;
            }
        }
        Ok(())
    };
    match run.victims {
        Victims::Enforcer => kill_hard(enforcer.id()),
        Victims::Watchdog => kill_watchdogs(),
        Victims::EnforcerFirst => {
            kill_hard(enforcer.id())?;
            thread::sleep(run.between);
            kill_watchdogs()
        }
        Victims::WatchdogFirst => {
            kill_watchdogs()?;
            thread::sleep(run.between);
            kill_hard(enforcer.id())?;
            // The one that was started in between.
            enforcer.wait()?;
            kill_watchdogs()
        }
    }
}

fn next_start(bed: &Bed, run: &Run) -> Result<()> {
    if run.by_apply {
        let nothing = bed.path("nothing.toml");
        std::fs::write(&nothing, "version = 1\n")?;
        bed.ends_with(0, bed.apply(&nothing, &[])?)?;
    } else {
        bed.ends_with(0, bed.enforce(&["rollback"])?)?;
    }
    Ok(())
}

#[test]
fn a_watchdog_that_dies_is_replaced() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(1)?;
    let before = bed.features()?;
    let policy = bed.policy(&[("tap0", &[("gro", false)])])?;
    let mut enforcer = bed.apply(&policy, &["--confirm", "60s"])?.spawn()?;
    let watchdogs = || -> Result<Vec<u32>> {
        let all = bed.processes()?.into_iter();
        Ok(all.filter(|pid| *pid != enforcer.id()).collect())
    };
    let is_unconfirmed = || {
        Ok(matches!(
            standing(&bed, 0)?,
            Some(State::Unconfirmed { .. })
        ))
    };
    wait_until("the deadline to begin", PATIENCE, is_unconfirmed)?;
    let first = watchdogs()?;
    ensure!(first.len() == 1, "{first:?}");
    kill_hard(first[0])?;
    wait_until("another watchdog", PATIENCE, || {
        let now = watchdogs()?;
        Ok(now.len() == 1 && now != first)
    })?;
    kill(
        Pid::from_raw(i32::try_from(enforcer.id())?),
        Signal::SIGTERM,
    )?;
    let status = enforcer.wait()?;
    ensure!(status.code() == Some(4), "{status}");
    ensure!(bed.features()? == before, "not as before");
    bed.wait_until_all_ended()
}
