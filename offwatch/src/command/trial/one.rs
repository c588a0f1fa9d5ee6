//! One trial, from its first change to the end of its last.

use std::{collections::BTreeMap, time::Duration};

use super::{
    host::{Bench, Hands, kernel},
    told::Progress,
};
use crate::{
    cli::trial::TrialArgs,
    clock,
    enforce::apply::Session,
    error::Error,
    trial::{
        Conclusion, Forecast, Period, Settings, Trial,
        guard::Loss,
        judge,
        outcome::{SCHEMA, SCHEMA_VERSION, Tried},
        plan::{Planned, features_with},
        run::{Foretold, Ran, Run},
        saturation,
        switch::{Stop, Switch, Way, left},
    },
};

/// Why it is taken back in the end.
const OVER: &str = "the trial is over";

/// Runs it, and whether it was ended for what was lost. In the end, everything is as before.
pub(super) async fn one(
    args: &TrialArgs,
    hands: &mut Hands,
    bench: &mut Bench,
    plan: Option<Planned>,
) -> Result<(Trial, bool), Error> {
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
            if let Some(Stop::Lost(loss)) = &mut ran.stopped {
                loss.told += aftermath(&settings, bench, loss).await;
            }
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
    let lost = matches!(ran.stopped, Some(Stop::Lost(_)));
    let conclusion = match ran.stopped {
        None => Conclusion::Complete,
        Some(
            Stop::Aborted(because)
            | Stop::TakenBack { because, .. }
            | Stop::Lost(Loss { told: because, .. }),
        ) => Conclusion::Aborted { because },
        Some(Stop::Refused(error)) => return Err(error.into()),
    };
    if change.is_some() {
        notes.extend(other_way(&ran.periods, &settings));
    }
    notes.extend(judge::notes(&ran.periods));
    notes.extend(saturation::note(&ran.periods, bench.host.online_cpus));
    let trial = Trial {
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
    };
    Ok((trial, lost))
}

/// That the traffic goes the way that the change does not concern.
fn other_way(periods: &[Period], settings: &Settings) -> Option<String> {
    let seconds: f64 = periods.iter().map(|period| period.seconds).sum();
    let enough = |of: fn(&Period) -> u64| {
        let bytes: u64 = periods.iter().map(of).sum();
        seconds > 0.0 && bytes as f64 / seconds >= settings.floor_bytes_per_s
    };
    let is_other = enough(|it| it.sent.bytes) && !enough(|it| it.received.bytes);
    is_other.then(|| {
        "hardly anything went to the guest: features of an interface of the host concern what \
         the host sends by it, to the guest"
            .to_owned()
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
        Some(Stop::Aborted(because) | Stop::Lost(Loss { told: because, .. })) => {
            format!("the trial was ended: {because}")
        }
        Some(Stop::TakenBack { left, .. }) => return Ok(left.clone()),
        Some(Stop::Refused(_)) => return Ok(Vec::new()),
    };
    match session.roll_back(&because)? {
        Some(taken_back) => return Ok(left(&taken_back)),
        None => {
            if ran.stopped.is_none() {
                ran.stopped = Some(Stop::taken_back("somebody else took it back"));
            }
        }
    }
    Ok(Vec::new())
}

/// Whether what was lost comes back when the change is taken back. If it does not, it may
/// not have been the change.
async fn aftermath(settings: &Settings, bench: &mut Bench, loss: &Loss) -> &'static str {
    const LONGEST_SECONDS: f64 = 5.0;
    let settle = Duration::from_secs_f64(settings.settle_seconds);
    let length = Duration::from_secs_f64(settings.seconds.clamp(1.0, LONGEST_SECONDS));
    let rate = tokio::select! {
        biased;
        _ = bench.signals.any() => None,
        rate = bench.gauge.rate(settle, length) => rate,
    };
    match rate {
        Some(rate) if loss.is_back(rate) => "; it came back with the way back",
        Some(_) => {
            "; it did not come back when the change was taken back: something else may have \
             lowered it"
        }
        None => "",
    }
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
