//! The differences of the rounds, and what they say.

use super::kind;
use crate::trial::{
    effect::{Interval, Measure, Verdict},
    stats::{self, Estimate},
};

/// A ratio to or from nothing counts as one of this much.
const TO_NOTHING: f64 = 1e9;
/// If not even so many percent would have been seen, there is nothing to tell.
const MOST_UNSEEN_PERCENT: f64 = 1_000.0;

/// The differences of one measure.
pub(super) struct Difference {
    /// What is told of each round: percentage points, or percent; empty if it cannot be
    /// told because there was nothing to take a percentage of.
    pub(super) rounds: Vec<f64>,
    /// By what they are judged: percentage points, or logarithms of ratios, for which
    /// twice as much and half as much are equally far from no change.
    judged_by: Vec<f64>,
    is_ratio: bool,
}

impl Difference {
    /// In percentage points.
    pub(super) fn of_shares(without: &[f64], with: &[f64]) -> Self {
        let points: Vec<f64> = zip(without, with)
            .map(|(without, with)| (with - without) * 100.0)
            .collect();
        Self {
            judged_by: points.clone(),
            rounds: points,
            is_ratio: false,
        }
    }

    /// In percent of what it is without the change.
    pub(super) fn of_ratios(without: &[f64], with: &[f64]) -> Self {
        let most = TO_NOTHING.ln();
        let logarithm = |(without, with): (f64, f64)| match without == with {
            // Both may be nothing.
            true => 0.0,
            false => (with / without).ln().clamp(-most, most),
        };
        let percent = |(without, with): (f64, f64)| (with / without - 1.0) * 100.0;
        Self {
            rounds: match without.contains(&0.0) {
                true => Vec::new(),
                false => zip(without, with).map(percent).collect(),
            },
            judged_by: zip(without, with).map(logarithm).collect(),
            is_ratio: true,
        }
    }

    /// The interval in percent or percentage points, if there is one, and the verdict.
    pub(super) fn judged(
        &self,
        measure: Measure,
        threshold_percent: f64,
        compared: usize,
    ) -> (Option<Interval>, Verdict) {
        let Some(estimate) = stats::estimate(&self.judged_by, compared) else {
            let because = format!("{} have a value", self.judged_by.len());
            return (None, Verdict::TooFewRounds { because });
        };
        let Estimate { value, within } = estimate;
        let (low, high) = (self.percent(value - within), self.percent(value + within));
        let interval = stats::median(&self.rounds).map(|value| Interval {
            value,
            // That of logarithms is slightly another one.
            low: low.min(value),
            high: high.max(value),
        });
        let would_have_seen = match self.is_ratio {
            true => (100.0 + threshold_percent) * within.exp() - 100.0,
            false => threshold_percent + within,
        };
        let verdict = if low > threshold_percent {
            kind::verdict(measure, true)
        } else if high < -threshold_percent {
            kind::verdict(measure, false)
        } else if would_have_seen > MOST_UNSEEN_PERCENT {
            let because = "it differs more than tenfold from round to round by itself".into();
            return (None, Verdict::NotMeasured { because });
        } else {
            Verdict::NoDifference { would_have_seen }
        };
        (interval, verdict)
    }

    fn percent(&self, judged_by: f64) -> f64 {
        match self.is_ratio {
            true => judged_by.exp_m1() * 100.0,
            false => judged_by,
        }
    }
}

fn zip<'v>(without: &'v [f64], with: &'v [f64]) -> impl Iterator<Item = (f64, f64)> + 'v {
    without.iter().copied().zip(with.iter().copied())
}
