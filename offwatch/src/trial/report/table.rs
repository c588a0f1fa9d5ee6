//! All measures in a table.

use std::collections::BTreeMap;

use super::{grid, words};
use crate::{
    text::paragraph,
    trial::effect::{Effect, Measure, Verdict},
};

const HEADINGS: [&str; 5] = [
    "",
    "without",
    "with",
    "difference (95 % interval)",
    "verdict",
];

/// The table, and below it what has no place in it: reasons, and what would have been
/// seen. A sentence if there is nothing for a table.
pub(super) fn of(effects: &[Effect]) -> String {
    let told = || effects.iter().filter(|effect| !is_void(effect));
    let reasons_of = reasons_of(effects);
    if let ([reason], 0) = (&reasons_of[..], told().count()) {
        let mut text = String::new();
        let (kind, because, _) = reason;
        paragraph(
            &mut text,
            "",
            &format!("No measure was judged: {kind}{because}."),
        );
        return text;
    }
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(told().map(row));
    let mut text = grid::lines(&rows, 1..3);
    let unseen = effects.iter().filter_map(unseen);
    let unseen: Vec<String> = unseen.collect();
    if !unseen.is_empty() {
        text.push('\n');
        paragraph(
            &mut text,
            "smallest difference that would have been seen: ",
            &unseen.join(", "),
        );
    }
    for (kind, because, measures) in reasons_of {
        paragraph(
            &mut text,
            kind,
            &format!("{because}: {}", measures.join(", ")),
        );
    }
    text
}

/// Whether there is nothing to show of it but the reason.
fn is_void(effect: &Effect) -> bool {
    let is_idle = matches!(effect.verdict, Verdict::TooLittleTraffic { .. });
    let is_nothing = |value: Option<f64>| value.is_none_or(|value| is_idle && value == 0.0);
    effect.verdict.because().is_some() && is_nothing(effect.without) && is_nothing(effect.with)
}

fn row(effect: &Effect) -> [String; 5] {
    let measure = effect.measure;
    let difference = effect.difference_percent.as_ref();
    [
        label(measure).into(),
        words::figure(measure, effect.without),
        words::figure(measure, effect.with),
        difference.map_or_else(|| "-".into(), |it| words::difference_cell(measure, it)),
        words::verdict(&effect.verdict).into(),
    ]
}

/// A measure with its unit; what is part of the one above is indented.
fn label(measure: Measure) -> &'static str {
    match measure {
        Measure::Goodput => "goodput, bit/s",
        Measure::ReceiveGoodput => "  to the guest",
        Measure::SendGoodput => "  from the guest",
        Measure::HostCost => "CPU, ns/byte: host",
        Measure::SoftirqCost => "  soft interrupts",
        Measure::VmCost => "  the VM",
        Measure::VcpuCost => "    its vCPUs",
        Measure::VhostCost => "    its vhost",
        Measure::Retransmits => "retransmits, %",
        Measure::Drops => "drops, %",
        Measure::ChecksumDrops => "  for a checksum",
        Measure::Packets => "frames/s",
        Measure::SoftwareSegments => "cut segments/s",
        Measure::ChecksumBytes => "summed bytes/s",
    }
}

fn unseen(effect: &Effect) -> Option<String> {
    let Verdict::NoDifference { would_have_seen } = effect.verdict else {
        return None;
    };
    effect.difference_percent?;
    let least = words::least(effect.measure, would_have_seen);
    Some(format!("{} {least}", words::name(effect.measure)))
}

/// Each kind of reason and reason once, with the measures that have it.
fn reasons_of(effects: &[Effect]) -> Vec<(&str, &str, Vec<&str>)> {
    let mut of_reason: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for effect in effects {
        let Some(because) = effect.verdict.because() else {
            continue;
        };
        let kind = match effect.verdict {
            Verdict::TooLittleTraffic { .. } => "too little traffic, ",
            Verdict::TooFewRounds { .. } => "too few rounds, ",
            _ => "not measured, because ",
        };
        let measures = of_reason.entry((kind, because)).or_default();
        measures.push(words::name(effect.measure));
    }
    let each = of_reason.into_iter();
    each.map(|((kind, because), measures)| (kind, because, measures))
        .collect()
}
