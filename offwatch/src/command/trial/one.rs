//! One trial, from its first change to the end of its last.

use std::collections::BTreeMap;

use super::{
    host::{Bench, Hands, kernel},
    told::Progress,
};
use crate::{
    cli::trial::TrialArgs,
    clock,
    enforce::apply::{Session, TakenBack},
    error::Error,
    trial::{
        Conclusion, Forecast, Settings, Trial, judge,
        outcome::{SCHEMA, SCHEMA_VERSION, Tried},
        plan::{Planned, features_with},
        run::{Foretold, Ran, Run},
        saturation,
        switch::{Stop, Switch, Way},
    },
};

/// Why it is taken back in the end.
const OVER: &str = "the trial is over";

/// Runs it. In the end, everything is as before.
pub(super) async fn one(
    args: &TrialArgs,
    hands: &mut Hands,
    bench: &mut Bench,
    plan: Option<Planned>,
) -> Result<Trial, Error> {
    let settings = settings(args);
    let start_unix_ms = clock::wall_clock_ms();
    let foretold = plan.as_ref().and_then(|plan| foretold(plan, hands));
    let mut notes = bench.notes.clone();
    let (ran, change, not_as_before) = match (plan, &mut hands.enforcer) {
        (Some(mut plan), Some(enforcer)) => {
            notes.append(&mut plan.left);
            let mut session = enforcer.begin(plan.changes, &plan.around, None)?;
            let way = Way::Session(&mut session);
            let names = hands.targets.names.clone();
            let switch = Switch::new(way, names, hands.ids.clone());
            let (mut ran, also) = match switch {
                Ok(switch) => rounds(&settings, bench, switch, foretold).await,
                Err(stop) => (stopped(stop), Tried::default().also),
            };
            let left = take_back(&mut session, &mut ran)?;
            plan.tried.also.extend(also);
            (ran, Some(plan.tried), left)
        }
        _ => {
            let names = hands.targets.names.clone();
            let switch = Switch::new(Way::Nothing(kernel()?), names, hands.ids.clone());
            let ran = match switch {
                Ok(switch) => rounds(&settings, bench, switch, None).await.0,
                Err(stop) => stopped(stop),
            };
            (ran, None, Vec::new())
        }
    };
    let conclusion = match ran.stopped {
        None => Conclusion::Complete,
        Some(Stop::Aborted(because) | Stop::TakenBack(because)) => Conclusion::Aborted { because },
        Some(Stop::Refused(error)) => return Err(error.into()),
    };
    notes.extend(judge::notes(&ran.periods));
    notes.extend(saturation::note(&ran.periods, bench.host.online_cpus));
    Ok(Trial {
        schema: SCHEMA.into(),
        version: SCHEMA_VERSION,
        host: bench.host.clone(),
        start_unix_ms,
        end_unix_ms: clock::wall_clock_ms(),
        subject: hands.subject.clone(),
        change,
        effects: judge::effects(&ran.periods, &settings),
        settings,
        periods: ran.periods,
        conclusion,
        not_as_before,
        forecast: Forecast::median(ran.forecasts),
        notes,
    })
}

/// Measures; and features that changed with those that were asked for.
async fn rounds(
    settings: &Settings,
    bench: &mut Bench,
    switch: Switch<'_, '_>,
    foretold: Option<Foretold>,
) -> (Ran, BTreeMap<String, bool>) {
    let mut progress = Progress::new();
    let run = Run {
        settings,
        gauge: &mut bench.gauge,
        switch,
        signals: &mut bench.signals,
        load: bench.load.as_ref(),
        log: bench.log.as_mut(),
        foretold,
        progress: &mut |line| progress.show(line),
    };
    run.all().await
}

fn stopped(stop: Stop) -> Ran {
    Ran {
        stopped: Some(stop),
        ..Ran::default()
    }
}

/// Takes back what is made; what is not as before.
fn take_back(session: &mut Session<'_>, ran: &mut Ran) -> Result<Vec<String>, Error> {
    let because = match &ran.stopped {
        None => OVER.to_owned(),
        Some(Stop::Aborted(because)) => format!("the trial was ended: {because}"),
        Some(Stop::TakenBack(_) | Stop::Refused(_)) => return Ok(Vec::new()),
    };
    match session.roll_back(&because)? {
        Some(taken_back) => return Ok(left(&taken_back)),
        None => {
            if ran.stopped.is_none() {
                ran.stopped = Some(Stop::TakenBack("somebody else took it back".into()));
            }
        }
    }
    Ok(Vec::new())
}

/// What is not as before.
fn left(taken_back: &TakenBack) -> Vec<String> {
    let wrong = taken_back.interfaces.iter().filter_map(|interface| {
        let failure = interface.failure(&taken_back.names)?;
        Some(format!("{}: {failure}", interface.id.dev))
    });
    let untold = taken_back.untold.as_ref();
    let untold = untold.map(|error| format!("the journal does not tell that it is over: {error}"));
    wrong.chain(untold).collect()
}

fn settings(args: &TrialArgs) -> Settings {
    Settings {
        rounds: args.rounds,
        seconds: args.seconds,
        settle_seconds: args.settle,
        max_loss_percent: args.max_loss,
        threshold_percent: args.threshold,
        ..Settings::default()
    }
}

/// What the cost model is asked: it takes interfaces with the same features.
fn foretold(plan: &Planned, hands: &Hands) -> Option<Foretold> {
    let first = plan.changes.first()?;
    let (before, after) = (first.before, features_with(first));
    let mut others = plan.changes.iter();
    let alike = others.all(|other| other.before == before && features_with(other) == after);
    alike.then(|| Foretold {
        ifindexes: plan
            .changes
            .iter()
            .map(|change| change.id.ifindex)
            .collect(),
        before,
        after,
        names: hands.targets.names.clone(),
    })
}
