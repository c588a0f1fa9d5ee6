//! One line while a trial runs.

use super::words;
use crate::trial::{
    effect::{Effect, Measure},
    period::Side,
    stats,
};

/// Columns that every terminal has.
const WIDTH: usize = 79;

/// A line that tells how far a running trial is: whole rounds, of how many, what is
/// measured now, seconds that are left, and the effects so far.
pub fn progress(done: u32, rounds: u32, side: Side, left_s: f64, effects: &[Effect]) -> String {
    let side = match side {
        Side::Without => "without",
        Side::With => "with",
    };
    let left = duration(left_s);
    let mut line = format!("{done}/{rounds} rounds, now {side}, {left} left");
    let goodput = so_far(effects, Measure::Goodput, "goodput");
    let vm = so_far(effects, Measure::VmCost, "CPU/byte");
    let host = || so_far(effects, Measure::HostCost, "host CPU/byte");
    for (told, sure) in goodput.into_iter().chain(vm.or_else(host)) {
        let room = WIDTH.saturating_sub(line.len());
        let both = format!("; {told}{sure}");
        if both.len() <= room {
            line += &both;
        } else if "; ".len() + told.len() <= room {
            line.extend(["; ", &told]);
        }
    }
    line
}

/// The median so far, and its interval if it has one.
fn so_far(effects: &[Effect], measure: Measure, name: &str) -> Option<(String, String)> {
    let effect = effects.iter().find(|effect| effect.measure == measure)?;
    let signed = |value| words::signed(measure, value);
    let median = stats::median(&effect.rounds)?;
    let sure = effect.difference_percent.map(|interval| {
        let (low, high) = (signed(interval.low), signed(interval.high));
        format!(" ({low} to {high})")
    });
    Some((
        format!("{name} {} %", signed(median)),
        sure.unwrap_or_default(),
    ))
}

/// `45 s`, `12:05`, `2:05:00`.
fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}
