//! The runner.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use offwatch::{record::Recorder, sample::Sample};
use offwatch_tests::{observer::binary, skip_unless_lab};

use super::{Expect, Replayed, Scenario, Seen, expect::told, observe::observe, scene::Names};

/// Runs a scenario from condition to proof.
pub(crate) fn run(scenario: &Scenario) -> Result<()> {
    skip_unless_lab!();
    let mut scene = (scenario.build)().context("building the scene")?;
    let seen = observe(&scene, scenario.traffic)?;
    (scenario.condition)(&scene, &seen).context("the condition is not there")?;
    let names = scene.names();
    is_said_by_its_rules(&scenario.expect, &names, &seen)?;
    if !matches!(scenario.expect, Expect::Findings(_)) {
        return Ok(());
    }
    let advice = scenario.expect.finding(&names, &seen.report)?.clone();
    let applied = scenario.fix.apply(&mut scene, &advice, &seen);
    if applied.with_context(|| format!("doing what is said: {}", told(&advice)))? {
        let seen = observe(&scene, scenario.traffic).context("after the change")?;
        Expect::check_gone(&seen.report).context("after the change")?;
    }
    Ok(())
}

/// What is expected is said, and is not without each of the rules that say it.
fn is_said_by_its_rules(expect: &Expect, names: &Names, seen: &Seen) -> Result<()> {
    expect.check(names, &seen.report)?;
    let evaluated = expect.check(names, &seen.evaluated());
    evaluated.context("evaluated in the library")?;
    for rule in expect.rules() {
        if expect.check(names, &seen.without(rule)?).is_ok() {
            bail!("all is as expected without {rule}, too");
        }
    }
    Ok(())
}

/// Evaluates a window that was written by hand: in the library, and by `offwatch
/// advise` from a recording.
pub(crate) fn replay(replayed: &Replayed) -> Result<()> {
    let samples = (replayed.window)().samples();
    let printed = of_recording(&samples).context("offwatch advise --replay")?;
    let seen = Seen {
        samples,
        report: serde_json::from_slice(&printed).context("a report")?,
        printed,
    };
    is_said_by_its_rules(&replayed.expect, &Names::default(), &seen)
}

fn of_recording(samples: &(Sample, Sample)) -> Result<Vec<u8>> {
    let directory = tempfile::tempdir().context("a temporary directory")?;
    let path = directory.path().join("window");
    let mut recorder = Recorder::create(&path, None)?;
    recorder.write(&samples.0, true)?;
    recorder.write(&samples.1, false)?;
    drop(recorder);
    let mut command = Command::new(binary()?);
    command.args(["advise", "--json", "--replay"]).arg(&path);
    let output = command.stdin(Stdio::null()).output()?;
    let says = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "offwatch failed: {says}");
    Ok(output.stdout)
}
