//! Doing what advice says.

use anyhow::{Context, Result, bail};
use offwatch::advise::{Advice, advice::Action};
use offwatch_tests::command::run;

use super::{Scene, Seen, enforce::enforced};

/// What removes the evidence.
pub(crate) enum Fix {
    /// There is nothing to be done, or nothing that can be done here.
    None,
    /// The first change that is printed, as it is printed.
    Printed,
    /// The first change that is printed, by `offwatch enforce`, which is given all of
    /// what `offwatch advise` has printed.
    Enforced,
    /// Somebody does what is printed where no command of the host can: in the
    /// guest, or to how it is started.
    Played(fn(&mut Scene) -> Result<()>),
}

impl Fix {
    /// Does it; whether there was something to do.
    pub(super) fn apply(&self, scene: &mut Scene, advice: &Advice, seen: &Seen) -> Result<bool> {
        match self {
            Self::None => return Ok(false),
            Self::Printed => {
                let fix = advice.fixes.first().context("no change is printed")?;
                let command = match &fix.action {
                    Action::SetFeatures { command, .. } | Action::Command { command } => command,
                    other => bail!("this is no command: {other:?}"),
                };
                run(
                    scene.lab.host(),
                    &command.split_whitespace().collect::<Vec<_>>(),
                )?;
            }
            Self::Enforced => {
                let fix = advice.fixes.first().context("no change is printed")?;
                enforced(scene, fix, &seen.printed)?;
            }
            Self::Played(play) => play(scene)?,
        }
        Ok(true)
    }
}
