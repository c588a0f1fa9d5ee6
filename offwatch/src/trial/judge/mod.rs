//! What a change does, from the periods with and without it. Pure.
//!
//! Each round gives one difference of each measure. A verdict needs the whole interval
//! of their median to lie beyond the threshold.

mod difference;
mod figure;
mod kind;
mod rounds;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
mod traffic;

use self::{difference::Difference, kind::Kind, rounds::Rounds};
use super::{
    effect::{Effect, Measure, Verdict},
    period::Period,
    settings::Settings,
    stats,
};

/// With fewer rounds nothing is judged.
pub(super) const FEWEST_ROUNDS: usize = 4;

/// What the change does to each measure, from rounds that have both periods.
pub fn effects(periods: &[Period], settings: &Settings) -> Vec<Effect> {
    let rounds = Rounds::of(periods);
    let begun: Vec<Begun> = kind::ALL
        .iter()
        .map(|measure| Begun::of(*measure, &rounds, settings))
        .collect();
    // Of many measures, one differs by chance sooner than one alone.
    let compared = begun.iter().filter(|begun| begun.unfit.is_none()).count();
    let ended = begun.into_iter();
    let ended = ended.map(|begun| begun.end(settings, compared));
    ended.collect()
}

/// What the user should know about how the effects were told: what stands for the
/// goodput if it is not known, and which rounds were left out.
pub fn notes(periods: &[Period]) -> Vec<String> {
    let rounds = Rounds::of(periods);
    let mut notes: Vec<String> = rounds.note().into_iter().collect();
    for measure in kind::ALL {
        let Ok(pairs) = rounds.pairs(measure) else {
            continue;
        };
        let Some(because) = pairs.left_out else {
            continue;
        };
        let note = format!(
            "of some measures, {} of {} rounds were left out: {because}",
            rounds.count() - pairs.without.len(),
            rounds.count(),
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

/// A measure whose values are known, or not, before it is compared.
struct Begun {
    measure: Measure,
    without: Vec<f64>,
    with: Vec<f64>,
    /// Why it is not compared.
    unfit: Option<Verdict>,
}

impl Begun {
    fn of(measure: Measure, rounds: &Rounds<'_>, settings: &Settings) -> Self {
        let mut begun = Self {
            measure,
            without: Vec::new(),
            with: Vec::new(),
            unfit: None,
        };
        match rounds.pairs(measure) {
            Ok(pairs) => (begun.without, begun.with) = (pairs.without, pairs.with),
            Err(because) => {
                let because = because.into_owned();
                begun.unfit = Some(Verdict::NotMeasured { because });
            }
        }
        let little = traffic::too_little(measure, rounds, settings);
        if begun.unfit.is_none() && rounds.count() < FEWEST_ROUNDS {
            let because = format!(
                "{} whole, at least {FEWEST_ROUNDS} are needed",
                rounds.count()
            );
            begun.unfit = Some(Verdict::TooFewRounds { because });
        } else if let Some(because) = little {
            begun.unfit = Some(Verdict::TooLittleTraffic { because });
        }
        begun
    }

    fn end(self, settings: &Settings, compared: usize) -> Effect {
        let threshold = threshold_percent(self.measure, settings);
        let difference = match Kind::of(self.measure) {
            Kind::Share => Difference::of_shares(&self.without, &self.with),
            Kind::Rate | Kind::Cost => Difference::of_ratios(&self.without, &self.with),
        };
        let (interval, verdict) = match self.unfit {
            Some(verdict) => (None, verdict),
            None => difference.judged(self.measure, threshold, compared),
        };
        Effect {
            measure: self.measure,
            unit: kind::unit(self.measure).into(),
            without: stats::median(&self.without),
            with: stats::median(&self.with),
            difference_percent: interval,
            rounds: difference.rounds,
            verdict,
        }
    }
}

/// Differences of no more than this are not told: percentage points of shares, of
/// everything else percent.
pub(super) fn threshold_percent(measure: Measure, settings: &Settings) -> f64 {
    match measure {
        Measure::Drops => 0.1,
        Measure::Retransmits => 1.0,
        Measure::ChecksumDrops => 0.01,
        _ => settings.threshold_percent,
    }
}
