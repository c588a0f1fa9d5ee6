//! `offwatch enforce --apply`.

use std::{io::IsTerminal as _, time::Duration};

use super::{
    canary::{self, Canary},
    print,
    report::{Report, Told},
};
use crate::{
    enforce::{
        apply::{Ending, Enforcer, Outcome, Recovered, Session},
        plan::Change,
        target::Id,
    },
    error::Error,
};

/// How to apply.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Change one first, then few, then all; `None`: all at once.
    pub canary: Option<Canary>,
    /// Take it back unless it is confirmed within this time.
    pub confirm_within: Option<Duration>,
    /// Do not wait for the confirmation.
    pub detach: bool,
    /// Print JSON.
    pub json: bool,
}

/// Applies what is to be changed, verifies it, and waits for its confirmation; the
/// exit code. `around` are interfaces that change with it, see
/// [`crate::enforce::apply::around`].
pub async fn run(
    enforcer: &mut Enforcer,
    recovered: &Recovered,
    changes: Vec<Change>,
    around: &[Id],
    options: Options,
) -> Result<u8, Error> {
    let names = enforcer.names().clone();
    let mut report = Report::new(&names, options.json, recovered);
    if changes.iter().all(|change| change.send.is_empty()) {
        // What is not as asked for cannot be helped by asking again.
        report.verdicts = enforcer.verify(&changes)?;
        report.print()?;
        return Ok(report.code());
    }
    let mut session = enforcer.begin(changes, around, options.confirm_within)?;
    report.commit = Some(session.commit().id);
    match &options.canary {
        Some(how) => canary::run(&mut session, how, &mut report).await?,
        None => match session.apply_all()? {
            Outcome::TakenBack {
                verdicts,
                taken_back,
            } => {
                report.verdicts = verdicts;
                report.ending = Some(Told::TakenBack(taken_back));
            }
            Outcome::Applied(verdicts) => report.verdicts = verdicts,
        },
    }
    if report.ending.is_none() {
        report.ending = Some(finish(&mut session, &report, options).await?);
    }
    report.print()?;
    Ok(report.code())
}

/// Sees a commit that is applied through to its end, or leaves it to the watchdog.
async fn finish(
    session: &mut Session<'_>,
    report: &Report<'_>,
    options: Options,
) -> Result<Told, Error> {
    let Some(within) = options.confirm_within else {
        session.confirm()?;
        return Ok(Told::Confirmed);
    };
    let until = session.wait_for_confirmation(within)?;
    if options.detach {
        return Ok(Told::Waits(within));
    }
    if !options.json {
        let how = match std::io::stdin().is_terminal() {
            true => "press Enter, or run `offwatch enforce confirm`, to keep it; ^C takes it back",
            false => "run `offwatch enforce confirm` to keep it",
        };
        let within = within.as_secs();
        print(&format!(
            "{}waiting {within} s for a confirmation: {how}\n",
            report.head()
        ))?;
    }
    Ok(match session.await_confirmation(until).await? {
        Ending::Confirmed => Told::Confirmed,
        Ending::TakenBack(taken_back) => Told::TakenBack(taken_back),
        Ending::TakenBackElsewhere { because, failed } => {
            Told::TakenBackElsewhere { because, failed }
        }
    })
}
