//! Whether there was enough traffic to judge by.

use super::{figure::Payload, kind::Kind, rounds::Rounds};
use crate::{
    output::units,
    trial::{
        effect::Measure,
        period::{Period, Side, Way},
        settings::Settings,
        stats,
    },
};

/// A side with fewer has no share or cost worth telling.
const FEWEST_PACKETS: u64 = 100;

/// Why a measure cannot be judged for want of traffic. Of a rate, a side that carried
/// enough does: that there is none on the other may be the effect.
pub(super) fn too_little(
    measure: Measure,
    rounds: &Rounds<'_>,
    settings: &Settings,
) -> Option<String> {
    let side = |side| little(measure, rounds, side, settings.floor_bytes_per_s);
    let (without, with) = (side(Side::Without), side(Side::With));
    match Kind::of(measure) {
        Kind::Rate => without.filter(|_| with.is_some()),
        Kind::Cost | Kind::Share => without.or(with),
    }
}

fn little(measure: Measure, rounds: &Rounds<'_>, side: Side, floor: f64) -> Option<String> {
    let of_side = match side {
        Side::Without => "without the change",
        Side::With => "with the change",
    };
    let mut rates = Vec::new();
    let mut packets = 0;
    for period in rounds.side(side) {
        let ways = ways(measure, period);
        let bytes = |way| Payload::bytes(rounds.payload, way).ok();
        let bytes: Option<f64> = ways.iter().copied().map(bytes).sum();
        rates.extend(bytes.map(|bytes| bytes / period.seconds));
        packets += ways.iter().map(|way| way.packets).sum::<u64>();
    }
    let rate = stats::median(&rates)?;
    if rate < floor {
        let bits = |bytes: f64| units::rate(Some(bytes * 8.0));
        return Some(format!(
            "{}bit/s {of_side}, at least {}bit/s are needed",
            bits(rate),
            bits(floor)
        ));
    }
    let needed = format!("at least {FEWEST_PACKETS} are needed");
    (packets < FEWEST_PACKETS).then(|| format!("{packets} frames {of_side}, {needed}"))
}

/// The directions that carry what is measured.
fn ways(measure: Measure, period: &Period) -> Vec<&Way> {
    match measure {
        Measure::ReceiveGoodput => vec![&period.received],
        Measure::SendGoodput => vec![&period.sent],
        _ => vec![&period.received, &period.sent],
    }
}
