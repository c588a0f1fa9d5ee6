//! Differences as a picture: a line for each measure.

use super::words;
use crate::trial::{
    effect::{Effect, Measure},
    judge,
    settings::Settings,
};

/// Columns of a picture, without its label.
const WIDTH: usize = 56;
/// Of a label.
const LABEL: usize = 22;
/// What lies further out is drawn at the edge, so that the rest can be seen.
const FURTHEST_PERCENT: f64 = 200.0;

const ROUND: char = '\u{2022}';
const INTERVAL: char = '\u{2500}';
const MEDIAN: char = '\u{25c6}';
const ZERO: char = '\u{2502}';
const THRESHOLD: char = '\u{250a}';
const LEGEND: &str = "\u{2022} a round, \u{25c6} median, \u{2500} 95 % interval, \u{250a} threshold, \
                      < > further out";

/// Where a value is drawn.
struct Axis {
    low: f64,
    high: f64,
}

/// What a cell shows of a value.
enum At {
    Column(usize),
    Left,
    Right,
}

/// The picture of all measures that have an interval; nothing if none has. Those in
/// percent share an axis; each share has its own, and only if it differs.
pub(super) fn of(effects: &[Effect], settings: &Settings) -> String {
    let drawn = || effects.iter().filter(|it| it.difference_percent.is_some());
    let percent: Vec<&Effect> = drawn()
        .filter(|effect| !words::is_share(effect.measure))
        .collect();
    let shares = drawn().filter(|effect| words::is_share(effect.measure));
    let shares = shares.filter(|effect| effect.verdict.is_difference());
    let mut text = String::new();
    group(&mut text, "difference, %", &percent, settings);
    for share in shares {
        group(&mut text, "difference, points", &[share], settings);
    }
    if !text.is_empty() {
        text.push_str(LEGEND);
        text.push('\n');
    }
    text
}

fn group(text: &mut String, title: &str, effects: &[&Effect], settings: &Settings) {
    let Some(first) = effects.first() else {
        return;
    };
    let axis = Axis::of(effects, settings);
    text.push_str(&line(title, &axis.ends(first.measure)));
    for effect in effects {
        let threshold = judge::threshold_percent(effect.measure, settings);
        text.push_str(&line(label(effect.measure), &axis.row(effect, threshold)));
    }
}

fn line(label: &str, picture: &str) -> String {
    format!("{label:LABEL$}  {}\n", picture.trim_end())
}

fn label(measure: Measure) -> &'static str {
    match measure {
        Measure::Goodput => "goodput",
        Measure::ReceiveGoodput => "goodput to the guest",
        Measure::SendGoodput => "goodput from the guest",
        Measure::HostCost => "CPU/byte host",
        Measure::SoftirqCost => "CPU/byte softirq",
        Measure::VmCost => "CPU/byte VM",
        Measure::VcpuCost => "CPU/byte vCPUs",
        Measure::VhostCost => "CPU/byte vhost",
        Measure::Retransmits => "retransmits",
        Measure::Drops => "drops",
        Measure::ChecksumDrops => "drops for a checksum",
        Measure::Packets => "frames",
        Measure::SoftwareSegments => "cut segments",
        Measure::ChecksumBytes => "summed bytes",
    }
}

fn is_neutral(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::Packets | Measure::SoftwareSegments | Measure::ChecksumBytes
    )
}

impl Axis {
    /// From what is lowest to what is highest, zero and thresholds included. How much
    /// there is of something leaves no room for how good it is, and may be at an edge.
    fn of(effects: &[&Effect], settings: &Settings) -> Self {
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for effect in effects {
            let beyond = 1.5 * judge::threshold_percent(effect.measure, settings);
            low = low.min(-beyond);
            high = high.max(beyond);
            if is_neutral(effect.measure) {
                continue;
            }
            let interval = effect.difference_percent.iter();
            let ends = interval.flat_map(|interval| [interval.low, interval.high]);
            for value in ends.chain(effect.rounds.iter().copied()) {
                low = low.min(value);
                high = high.max(value);
            }
        }
        Self {
            low: low.max(-FURTHEST_PERCENT),
            high: high.min(FURTHEST_PERCENT),
        }
    }

    fn at(&self, value: f64) -> At {
        let part = (value - self.low) / (self.high - self.low);
        match part {
            _ if part < 0.0 => At::Left,
            _ if part > 1.0 => At::Right,
            _ => At::Column((part * (WIDTH - 1) as f64).round() as usize),
        }
    }

    /// The column of a value, at an edge if it lies further out.
    fn column(&self, value: f64) -> usize {
        match self.at(value) {
            At::Column(column) => column,
            At::Left => 0,
            At::Right => WIDTH - 1,
        }
    }

    /// The numbers at both ends, and zero.
    fn ends(&self, measure: Measure) -> String {
        let mut cells = [' '; WIDTH];
        let (low, high) = (self.low, self.high);
        let low = words::signed(measure, low);
        let high = words::signed(measure, high);
        let right = WIDTH - high.len();
        let zero = self.column(0.0);
        write(&mut cells, 0, &low);
        write(&mut cells, right, &high);
        // Between the two, if there is room for it.
        if (low.len() + 1..right.saturating_sub(1)).contains(&zero) {
            write(&mut cells, zero, "0");
        }
        cells.iter().collect()
    }

    fn row(&self, effect: &Effect, threshold: f64) -> String {
        let mut cells = [' '; WIDTH];
        let interval = effect.difference_percent.unwrap_or_default();
        let (first, last) = (self.column(interval.low), self.column(interval.high));
        cells[first..=last].fill(INTERVAL);
        for mark in [-threshold, threshold] {
            cells[self.column(mark)] = THRESHOLD;
        }
        cells[self.column(0.0)] = ZERO;
        for round in &effect.rounds {
            self.mark(&mut cells, *round, ROUND);
        }
        self.mark(&mut cells, interval.value, MEDIAN);
        cells.iter().collect()
    }

    fn mark(&self, cells: &mut [char; WIDTH], value: f64, mark: char) {
        match self.at(value) {
            At::Column(column) => cells[column] = mark,
            At::Left => cells[0] = '<',
            At::Right => cells[WIDTH - 1] = '>',
        }
    }
}

fn write(cells: &mut [char; WIDTH], at: usize, text: &str) {
    for (cell, character) in cells[at..].iter_mut().zip(text.chars()) {
        *cell = character;
    }
}
