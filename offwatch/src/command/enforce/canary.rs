//! `--canary`.

use std::io::{self, IsTerminal as _, Write as _};

use super::report::{Report, Told};
use crate::{
    cli::enforce::EnforceArgs,
    enforce::{
        apply::Session,
        canary::{self, Fate, Settings},
        journal::State,
        policy::Policy,
    },
    error::Error,
};

/// How a canary is done.
#[derive(Clone, Debug, Default)]
pub struct Canary {
    /// How it is judged.
    pub settings: Settings,
    /// libvirt to ask for what VMs use.
    pub connect: Option<String>,
}

/// Whether one is wanted, by the command line or the policy, and how.
pub(super) fn wanted(args: &EnforceArgs, policy: Option<&Policy>) -> Option<Canary> {
    let is_wanted = args.canary || policy.is_some_and(|policy| policy.canary);
    is_wanted.then(|| Canary {
        settings: policy
            .map(|policy| policy.canary_settings.clone())
            .unwrap_or_default(),
        connect: args.connect.clone(),
    })
}

/// Changes one interface first, then few, then all. If it did not pass, how it ended is
/// in the report.
pub(super) async fn run(
    session: &mut Session<'_>,
    how: &Canary,
    report: &mut Report<'_>,
) -> Result<(), Error> {
    let is_watched = io::stderr().is_terminal();
    let mut say = |text: &str| {
        if is_watched {
            // Nothing can be done if it is closed.
            let _ = writeln!(io::stderr(), "offwatch: {text}");
        }
    };
    let ran = canary::run(session, &how.settings, how.connect.clone(), &mut say).await?;
    report.verdicts = ran.verdicts;
    report.canary = Some(ran.report);
    report.ending = match ran.outcome {
        Fate::Stands => None,
        Fate::TakenBack(taken_back) => Some(Told::TakenBack(taken_back)),
        Fate::Settled(State::RolledBack { because, failed }) => {
            Some(Told::TakenBackElsewhere { because, failed })
        }
        Fate::Settled(state) => Some(Told::TakenBackElsewhere {
            because: format!("it is {}", state.word()),
            failed: Vec::new(),
        }),
    };
    Ok(())
}
