//! Several changes in one table.

use super::{grid, text, words};
use crate::{
    text::{paragraph, plain},
    trial::{
        effect::{Effect, Measure, Verdict},
        outcome::{Conclusion, Trial},
    },
};

/// What each change is told of.
const COLUMNS: [(Measure, &str); 4] = [
    (Measure::Goodput, "goodput"),
    (Measure::HostCost, "host CPU/byte"),
    (Measure::VmCost, "VM CPU/byte"),
    (Measure::Retransmits, "retransmits"),
];

/// Several changes, after what is said of each: a row each.
pub fn recipe_text(trials: &[(String, Trial)]) -> String {
    let mut out = String::new();
    for (_, trial) in trials {
        paragraph(&mut out, "", &text::answer(trial));
    }
    out.push('\n');
    let [goodput, host, vm, again] = COLUMNS.map(|(_, heading)| heading.to_owned());
    let mut rows = vec![["change".to_owned(), goodput, host, vm, again]];
    for (label, trial) in trials {
        let [goodput, host, vm, again] = COLUMNS.map(|(measure, _)| short(trial, measure));
        rows.push([plain(label), goodput, host, vm, again]);
    }
    out.push_str(&grid::lines(&rows, 0..0));
    let notes = trials.iter().flat_map(|(_, trial)| &trial.notes);
    let mut told: Vec<&String> = Vec::new();
    for note in notes {
        if !told.contains(&note) {
            told.push(note);
            paragraph(&mut out, "note: ", note);
        }
    }
    let mut left = trials.iter().flat_map(|(_, trial)| &trial.not_as_before);
    match left.next() {
        None => out.push_str("Everything is as it was before.\n"),
        Some(first) => {
            for left in std::iter::once(first).chain(left) {
                paragraph(&mut out, "not as before: ", left);
            }
        }
    }
    out
}

/// The same table in Markdown, with intervals.
pub fn recipe_markdown(trials: &[(String, Trial)]) -> String {
    let headings = COLUMNS.map(|(_, heading)| heading).join(" | ");
    let mut out = format!(
        "| change | {headings} | segments cut/s |\n|{}\n",
        " --- |".repeat(COLUMNS.len() + 2)
    );
    for (label, trial) in trials {
        let cells = COLUMNS.map(|(measure, _)| full(trial, measure)).join(" | ");
        let cut = effect(trial, Measure::SoftwareSegments).map_or_else(|| "-".into(), values);
        let early = match &trial.conclusion {
            Conclusion::Complete => String::new(),
            Conclusion::Aborted { because } => format!(" (ended early: {})", cell(because)),
        };
        out += &format!("| `{}`{early} | {cells} | {cut} |\n", cell(label));
    }
    out
}

fn effect(trial: &Trial, measure: Measure) -> Option<&Effect> {
    let mut effects = trial.effects.iter();
    effects.find(|effect| effect.measure == measure)
}

/// What a trial showed of goodput and cost, in half a line.
pub fn brief(trial: &Trial) -> String {
    let told = COLUMNS[..3].iter().filter_map(|(measure, heading)| {
        let verdict = &effect(trial, *measure)?.verdict;
        match verdict {
            Verdict::NoDifference { .. } => Some(format!("no difference seen in {heading}")),
            other if other.because().is_some() => None,
            _ => Some(format!("{heading} {}", short(trial, *measure))),
        }
    });
    let told: Vec<String> = told.collect();
    match told.is_empty() {
        true => "nothing could be judged".into(),
        false => told.join(", "),
    }
}

/// `-55 % worse`.
fn short(trial: &Trial, measure: Measure) -> String {
    let Some(effect) = effect(trial, measure) else {
        return "-".into();
    };
    let verdict = words::verdict(&effect.verdict);
    match &effect.difference_percent {
        Some(interval) if effect.verdict.is_difference() => {
            let unit = if words::is_share(measure) { "pt" } else { "%" };
            format!(
                "{} {unit} {verdict}",
                words::signed(measure, interval.value)
            )
        }
        _ => verdict.into(),
    }
}

/// Both sides, the difference and the verdict.
fn full(trial: &Trial, measure: Measure) -> String {
    let Some(effect) = effect(trial, measure) else {
        return "-".into();
    };
    let unit = match measure {
        Measure::Goodput => "bit/s",
        measure if words::is_share(measure) => " %",
        _ => " ns",
    };
    let verdict = match &effect.verdict {
        Verdict::NoDifference { would_have_seen } => {
            let least = words::least(measure, *would_have_seen);
            format!("no difference seen (one of {least} would have been)")
        }
        Verdict::TooFewRounds { because } => return format!("too few rounds: {}", cell(because)),
        Verdict::NotMeasured { because } => return format!("not measured: {}", cell(because)),
        Verdict::TooLittleTraffic { because } => {
            return format!("too little traffic: {}", cell(because));
        }
        claimed => format!("**{}**", words::verdict(claimed)),
    };
    let difference = effect.difference_percent.as_ref();
    let difference = difference.map_or_else(String::new, |interval| {
        format!("{}, ", words::difference(measure, interval))
    });
    format!("{}{unit}: {difference}{verdict}", values(effect))
}

/// `941M to 423M`.
fn values(effect: &Effect) -> String {
    let value = |value| words::figure(effect.measure, value);
    format!("{} to {}", value(effect.without), value(effect.with))
}

/// Text that breaks no table.
fn cell(text: &str) -> String {
    plain(text).replace('|', "\\|")
}
