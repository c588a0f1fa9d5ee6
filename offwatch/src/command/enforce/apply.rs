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
    /// The plan is of all that the policy speaks of: no part of the host was chosen, and
    /// all VMs are known.
    pub is_whole: bool,
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
        report.is_confirmed_as_is = confirm_as_is(enforcer, &options)?;
        report.definitions = define(enforcer, definitions, &options)?;
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
        report.definitions = define(enforcer, definitions, &options)?;
    }
    report.end()
}

/// A policy that wants to be confirmed, and has nothing to be changed, can be confirmed
/// only so; `--watch` asks for that. Whether it was.
fn confirm_as_is(enforcer: &mut Enforcer, options: &Options) -> Result<bool, Error> {
    let is_wanted = options.is_whole && options.confirm_within.is_some();
    let sha256 = enforcer.policy_sha256().map(ToOwned::to_owned);
    let Some(sha256) = sha256.filter(|_| is_wanted) else {
        return Ok(false);
    };
    let is_new = !enforcer.confirmed_before(&sha256)?;
    if is_new {
        enforcer.confirm_as_is()?;
    }
    Ok(is_new)
}

/// Changes definitions, or only tells of them. They come last: of features that
/// were taken back nothing is to be left for the next cold start.
fn define(
    enforcer: &mut Enforcer,
    plan: Vec<Definition>,
    options: &Options,
) -> Result<ToldDefinitions, Error> {
    let mut told = ToldDefinitions::default();
    match plan.is_empty() || !options.write_xml {
        true => told.only_told = plan,
        false => told.defined = Some(apply::define(enforcer, &plan, options.connect.clone())?),
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
    let until = session.wait_for_confirmation(within)?;
    if options.detach {
        return Ok(Told::Waits(within));
    }
    apply::forget_typed();
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
