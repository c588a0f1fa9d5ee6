//! A trial as text.

use super::{headline, plot, table};
use crate::{
    text::paragraph,
    trial::{
        effect::{Effect, Measure, Verdict},
        forecast::Comparison,
        outcome::{Conclusion, Trial},
    },
};

/// The whole trial: the answer, a table, a plot, what was forecast, how it ended.
pub fn text(trial: &Trial) -> String {
    let mut text = String::new();
    paragraph(&mut text, "", &answer(trial));
    text.push('\n');
    text.push_str(&table::of(&trial.effects));
    let plot = plot::of(&trial.effects, &trial.settings);
    if !plot.is_empty() {
        text.push('\n');
        text.push_str(&plot);
    }
    text.push('\n');
    if let Some(forecast) = forecast(trial) {
        paragraph(&mut text, "forecast: ", &forecast);
    }
    if let Some(also) = also(trial) {
        paragraph(&mut text, "note: ", &also);
    }
    if is_coarse(trial) {
        let more = "more or longer rounds (--rounds, --seconds) see smaller differences";
        paragraph(&mut text, "note: ", more);
    }
    for note in &trial.notes {
        paragraph(&mut text, "note: ", note);
    }
    paragraph(&mut text, "", &ended(trial));
    text
}

/// What was tried on what, how it ended if not well, and what it does.
pub(super) fn answer(trial: &Trial) -> String {
    let what = match &trial.change {
        Some(change) => change.set.as_str(),
        None => "no change",
    };
    let devs: Vec<&str> = trial.subject.devs.keys().map(String::as_str).collect();
    let devs = devs.join(", ");
    let vm = trial.subject.vm.as_ref();
    let vm = vm.map_or_else(String::new, |vm| format!(" ({vm})"));
    let effects = headline(&trial.effects);
    let is_told = |effect: &Effect| effect.verdict.because().is_none();
    match &trial.conclusion {
        Conclusion::Complete => format!("{what} on {devs}{vm}: {effects}"),
        Conclusion::Aborted { because } if !trial.effects.iter().any(is_told) => {
            format!("{what} on {devs}{vm}: ended early: {because}")
        }
        Conclusion::Aborted { because } => {
            format!("{what} on {devs}{vm}: ended early: {because}; until then: {effects}")
        }
    }
}

/// What was forecast, beside what was measured; nothing without a forecast.
fn forecast(trial: &Trial) -> Option<String> {
    if let Some(comparison) = Comparison::of(trial) {
        return Some(comparison.to_string());
    }
    let added = trial.forecast.as_ref()?.added_ns_per_byte;
    Some(format!(
        "{:+.2} ns of the host's CPU per byte ({:+.2} to {:+.2}); that was not measured",
        added.value, added.low, added.high
    ))
}

/// What changed with the change.
fn also(trial: &Trial) -> Option<String> {
    let also = &trial.change.as_ref()?.also;
    if also.is_empty() {
        return None;
    }
    let state = |on: &bool| if *on { "on" } else { "off" };
    let each = also
        .iter()
        .map(|(name, on)| format!("{name} {}", state(on)));
    let each: Vec<String> = each.collect();
    Some(format!("changed with it: {}", each.join(", ")))
}

/// Whether goodput or cost may well differ by more than the user asked about.
fn is_coarse(trial: &Trial) -> bool {
    const COARSE: f64 = 3.0;
    let limit = COARSE * trial.settings.threshold_percent;
    trial.effects.iter().any(|effect| {
        let is_asked = matches!(
            effect.measure,
            Measure::Goodput | Measure::VmCost | Measure::HostCost
        );
        let is_limited = matches!(effect.verdict, Verdict::NoDifference { would_have_seen }
            if would_have_seen > limit);
        is_asked && is_limited
    })
}

/// How it was run, and that nothing of it is left.
fn ended(trial: &Trial) -> String {
    let settings = &trial.settings;
    let run = format!(
        "{} of {} periods of {} s, Linux {}, threshold {} %",
        trial.periods.len(),
        u64::from(settings.rounds) * 2,
        settings.seconds,
        trial.host.kernel,
        settings.threshold_percent
    );
    match trial.change {
        Some(_) if !trial.not_as_before.is_empty() => {
            format!("{run}; not as before: {}", trial.not_as_before.join("; "))
        }
        Some(_) => format!("{run}. Everything is as it was before."),
        None => format!("{run}. Nothing was changed."),
    }
}
