//! Measures, figures and differences in words.

use crate::{
    output::units,
    trial::effect::{Effect, Interval, Measure, Verdict},
};

/// A measure in a sentence.
pub(super) fn name(measure: Measure) -> &'static str {
    match measure {
        Measure::Goodput => "goodput",
        Measure::ReceiveGoodput => "goodput to the guest",
        Measure::SendGoodput => "goodput from the guest",
        Measure::HostCost => "CPU of the host per byte",
        Measure::SoftirqCost => "CPU of soft interrupts per byte",
        Measure::VmCost => "CPU of the VM per byte",
        Measure::VcpuCost => "CPU of its vCPUs per byte",
        Measure::VhostCost => "CPU of its vhost threads per byte",
        Measure::Drops => "dropped frames",
        Measure::Retransmits => "retransmitted segments",
        Measure::ChecksumDrops => "frames dropped for a checksum",
        Measure::Packets => "frames",
        Measure::SoftwareSegments => "segments cut by the host",
        Measure::ChecksumBytes => "bytes summed by the host",
    }
}

/// Whether its differences are percentage points.
pub(super) fn is_share(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::Drops | Measure::Retransmits | Measure::ChecksumDrops
    )
}

/// A figure without its unit: bits or a number a second, nanoseconds, or percent.
pub(super) fn figure(measure: Measure, value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".into();
    };
    match measure {
        Measure::Goodput | Measure::ReceiveGoodput | Measure::SendGoodput => {
            units::rate(Some(value * 8.0))
        }
        Measure::Packets | Measure::SoftwareSegments | Measure::ChecksumBytes => {
            units::rate(Some(value))
        }
        measure if is_share(measure) => small(value * 100.0),
        _ => small(value),
    }
}

/// Three digits, of numbers that are rarely large.
fn small(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        tiny if tiny < 0.0005 => "<0.001".into(),
        tiny if tiny < 0.0995 => format!("{value:.3}"),
        few if few < 9.995 => format!("{value:.2}"),
        some if some < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A difference with its sign, without its unit.
pub(super) fn signed(measure: Measure, value: f64) -> String {
    let size = value.abs();
    let digits = match (is_share(measure), size) {
        (true, size) if size < 0.0995 => 3,
        (true, size) if size < 9.995 => 2,
        (_, size) if size < 9.95 => 1,
        _ => 0,
    };
    let number = match size {
        huge if huge >= 1e15 => ">1000T".into(),
        large if large >= 10_000.0 => units::rate(Some(large)),
        _ => format!("{size:.digits$}"),
    };
    let is_zero = number.chars().all(|digit| matches!(digit, '0' | '.'));
    match value {
        _ if is_zero => "0".into(),
        less if less < 0.0 => format!("-{number}"),
        _ => format!("+{number}"),
    }
}

/// The unit of a difference.
pub(super) fn unit(measure: Measure) -> &'static str {
    match is_share(measure) {
        true => "points",
        false => "%",
    }
}

/// `-55 % (-58 to -51)`.
pub(super) fn difference(measure: Measure, interval: &Interval) -> String {
    in_unit(measure, interval, unit(measure))
}

/// The same for a cell, where points are `pt`.
pub(super) fn difference_cell(measure: Measure, interval: &Interval) -> String {
    let unit = if is_share(measure) { "pt" } else { "%" };
    in_unit(measure, interval, unit)
}

fn in_unit(measure: Measure, interval: &Interval, unit: &str) -> String {
    let signed = |value| signed(measure, value);
    format!(
        "{} {unit} ({} to {})",
        signed(interval.value),
        signed(interval.low),
        signed(interval.high)
    )
}

/// A verdict in a cell.
pub(super) fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::More => "more",
        Verdict::Less => "less",
        Verdict::NoDifference { .. } => "none seen",
        Verdict::TooLittleTraffic { .. } => "too little",
        Verdict::TooFewRounds { .. } => "too few rounds",
        Verdict::NotMeasured { .. } => "not measured",
    }
}

/// An effect in a part of a sentence.
pub(super) fn told(effect: &Effect) -> String {
    let measure = effect.measure;
    let name = name(measure);
    match &effect.verdict {
        Verdict::NoDifference { would_have_seen } => {
            format!(
                "{name}: no difference seen{}",
                would(effect, *would_have_seen)
            )
        }
        Verdict::TooLittleTraffic { because } => format!("{name}: too little traffic: {because}"),
        Verdict::TooFewRounds { because } => format!("{name}: too few rounds: {because}"),
        Verdict::NotMeasured { because } => format!("{name}: not measured: {because}"),
        claimed => {
            let verdict = self::verdict(claimed);
            match &effect.difference_percent {
                Some(interval) => format!("{name} {}: {verdict}", difference(measure, interval)),
                None => format!(
                    "{name} from {} to {}: {verdict}",
                    figure(measure, effect.without),
                    figure(measure, effect.with)
                ),
            }
        }
    }
}

/// The smallest difference that would have been seen; nothing where there is nothing to
/// take a percentage of.
fn would(effect: &Effect, would_have_seen: f64) -> String {
    match effect.difference_percent {
        Some(_) => format!(
            " ({} would have been)",
            least(effect.measure, would_have_seen)
        ),
        None => String::new(),
    }
}

/// `7.1 %`.
pub(super) fn least(measure: Measure, would_have_seen: f64) -> String {
    let number = signed(measure, would_have_seen);
    format!("{} {}", number.trim_start_matches('+'), unit(measure))
}
