//! `offwatch enforce --apply`.

use std::{io::IsTerminal as _, time::Duration};

use super::{
    canary,
    defined::ToldDefinitions,
    print_text,
    report::{Report, Told},
};
use crate::{
    enforce::{
        apply::{self, Ending, Enforcer, Outcome, Recovered, Session},
        canary::Settings,
        plan::{Definition, Plan},
        target::Id,
    },
    error::Error,
};

/// How to apply.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Change one first, then few, then all; `None`: all at once.
    pub canary: Option<Settings>,
    /// Take it back unless it is confirmed within this time.
    pub confirm_within: Option<Duration>,
    /// Do not wait for the confirmation.
    pub detach: bool,
    /// Print JSON.
    pub json: bool,
    /// Change definitions of VMs, too.
    pub write_xml: bool,
    /// The libvirt that has them, if one is named.
    pub connect: Option<String>,
    /// The policy itself wants to be confirmed, which `--watch` looks at.
    pub wants_confirmation: bool,
}

/// Applies what is to be changed, verifies it, and waits for its confirmation; the
/// exit code. `around` are interfaces that change with it, see
/// [`crate::enforce::apply::around`].
pub(super) async fn run(
    enforcer: &mut Enforcer,
    recovered: &Recovered,
    plan: Plan,
    around: &[Id],
    options: Options,
) -> Result<u8, Error> {
    let names = enforcer.names().clone();
    let mut report = Report::new(&names, options.json, recovered);
    let Plan {
        changes,
        definitions,
        left,
        ..
    } = plan;
    report.left = left;
    if changes.iter().all(|change| change.send.is_empty()) {
        // What is not as asked for cannot be helped by asking again.
        report.verdicts = enforcer.verify(&changes)?;
        if is_to_be_confirmed(enforcer, &options)? {
            let mut session = enforcer.begin(Vec::new(), &[], options.confirm_within)?;
            report.commit = Some(session.commit().id);
            let ending = finish(&mut session, &report, &options).await?;
            let is_confirmed = matches!(ending, Told::Confirmed);
            report.ending = Some(ending);
            if !is_confirmed {
                return report.end();
            }
        }
        report.definitions = define(enforcer, definitions, &options, report.commit.is_some())?;
        return report.end();
    }
    let mut session = enforcer.begin(changes, around, options.confirm_within)?;
    report.commit = Some(session.commit().id);
    match &options.canary {
        Some(settings) => {
            let connect = options.connect.clone();
            canary::run(&mut session, settings, connect, &mut report).await?;
        }
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
        report.ending = Some(finish(&mut session, &report, &options).await?);
    }
    if matches!(report.ending, Some(Told::Confirmed)) {
        report.definitions = define(enforcer, definitions, &options, report.commit.is_some())?;
    }
    report.end()
}

/// A policy that is to be confirmed is asked for even where it changes nothing: `--watch`
/// keeps only what somebody confirmed.
fn is_to_be_confirmed(enforcer: &Enforcer, options: &Options) -> Result<bool, Error> {
    let sha256 = enforcer.policy_sha256();
    let Some(sha256) = sha256.filter(|_| options.wants_confirmation) else {
        return Ok(false);
    };
    Ok(!enforcer.confirmed_before(sha256)?)
}

/// Changes definitions, or only tells of them. They come last: of features that
/// were taken back nothing is to be left for the next cold start. If it fails, and
/// features `have_changed` before, these are told all the same.
fn define(
    enforcer: &mut Enforcer,
    plan: Vec<Definition>,
    options: &Options,
    have_changed: bool,
) -> Result<ToldDefinitions, Error> {
    let mut told = ToldDefinitions::default();
    if plan.is_empty() || !options.write_xml {
        told.only_told = plan;
        return Ok(told);
    }
    match apply::define(enforcer, &plan, options.connect.clone()) {
        Ok(defined) => told.defined = Some(defined),
        Err(error) if have_changed => told.failed = Some(error),
        Err(error) => return Err(error.into()),
    }
    Ok(told)
}

/// Sees a commit that is applied through to its end, or leaves it to the watchdog.
async fn finish(
    session: &mut Session<'_>,
    report: &Report<'_>,
    options: &Options,
) -> Result<Told, Error> {
    let Some(within) = options.confirm_within else {
        session.confirm()?;
        return Ok(Told::Confirmed);
    };
    if !options.detach {
        session.catch_signals()?;
    }
    // Before anybody is told, here or by the journal.
    apply::forget_typed();
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
        // It waits all the same: others can confirm it, or it is taken back.
        let _ = print_text(&format!(
            "{}waiting {within} s for a confirmation: {how}\n",
            report.head()
        ));
    }
    Ok(match session.await_confirmation(until).await? {
        Ending::Confirmed => Told::Confirmed,
        Ending::TakenBack(taken_back) => Told::TakenBack(taken_back),
        Ending::TakenBackElsewhere { because, failed } => {
            Told::TakenBackElsewhere { because, failed }
        }
    })
}
