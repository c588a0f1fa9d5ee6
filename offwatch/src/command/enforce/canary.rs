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

/// Whether one is wanted, by the command line or the policy, and how it is judged.
pub(super) fn wanted(args: &EnforceArgs, policy: Option<&Policy>) -> Option<Settings> {
    let is_wanted = args.canary || policy.is_some_and(|policy| policy.canary);
    let of_policy = policy.map(|policy| policy.canary_settings.clone());
    is_wanted.then(|| of_policy.unwrap_or_default())
}

/// Changes one interface first, then few, then all. If it did not pass, how it ended is
/// in the report. `connect` is the libvirt to ask for what VMs use.
pub(super) async fn run(
    session: &mut Session<'_>,
    settings: &Settings,
    connect: Option<String>,
    report: &mut Report<'_>,
) -> Result<(), Error> {
    let is_watched = io::stderr().is_terminal();
    let mut say = |text: &str| {
        if is_watched {
            // Nothing can be done if it is closed.
            let _ = writeln!(io::stderr(), "offwatch: {text}");
        }
    };
    let ran = canary::run(session, settings, connect, &mut say).await?;
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
