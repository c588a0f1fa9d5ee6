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
/// seen.
pub(super) fn of(effects: &[Effect]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(effects.iter().map(row));
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
    reasons(&mut text, effects);
    text
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

/// A line for each reason.
fn reasons(text: &mut String, effects: &[Effect]) {
    let mut of_reason: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for effect in effects {
        let reason = match &effect.verdict {
            Verdict::TooLittleTraffic { because } => ("too little traffic, ", because.as_str()),
            Verdict::NotMeasured { because } => ("not measured, because ", because.as_str()),
            _ => continue,
        };
        let measures = of_reason.entry(reason).or_default();
        measures.push(words::name(effect.measure));
    }
    for ((kind, because), measures) in of_reason {
        paragraph(text, kind, &format!("{because}: {}", measures.join(", ")));
    }
}
