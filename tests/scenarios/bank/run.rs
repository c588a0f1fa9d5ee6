//! The runner.

use anyhow::{Context, Result, bail};
use offwatch_tests::skip_unless_lab;

use super::{Expect, Scenario, expect::told, observe::observe};

/// Runs a scenario from condition to proof.
pub(crate) fn run(scenario: &Scenario) -> Result<()> {
    skip_unless_lab!();
    let mut scene = (scenario.build)().context("building the scene")?;
    let seen = observe(&scene, scenario.traffic)?;
    let report = &seen.report;
    for advice in &report.advice {
        eprintln!("{}", told(advice));
    }
    (scenario.condition)(&scene, &seen).context("the condition is not there")?;
    scenario.expect.check(&scene, report)?;
    for rule in scenario.expect.rules() {
        if scenario.expect.check(&scene, &seen.without(rule)?).is_ok() {
            bail!("all is as expected without {rule}, too");
        }
    }
    if let Expect::Keep(_) = scenario.expect {
        return Ok(());
    }
    let advice = scenario.expect.finding(&scene, report)?.clone();
    let applied = scenario.fix.apply(&mut scene, &advice);
    if applied.with_context(|| format!("doing what is said: {}", told(&advice)))? {
        let seen = observe(&scene, scenario.traffic).context("after the change")?;
        Expect::check_gone(&seen.report).context("after the change")?;
    }
    Ok(())
}
