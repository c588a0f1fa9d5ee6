//! Rounds that have both periods.

use super::{
    FEWEST_ROUNDS,
    figure::{self, Payload, Reason},
};
use crate::trial::{
    effect::Measure,
    period::{Period, Side},
};

/// Of so many rounds, fewer than one may lack a value.
const ONE_OF: usize = 4;

/// Rounds that have both periods, in order.
pub(super) struct Rounds<'p> {
    whole: Vec<(&'p Period, &'p Period)>,
    /// What stands for the payload in all of them.
    pub(super) payload: Payload,
    /// Why it is not the goodput.
    no_goodput: Option<Reason>,
}

/// A measure's values, round by round.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) without: Vec<f64>,
    pub(super) with: Vec<f64>,
    /// Why some rounds are left out.
    pub(super) left_out: Option<Reason>,
}

impl<'p> Rounds<'p> {
    pub(super) fn of(periods: &'p [Period]) -> Self {
        let lasted = || periods.iter().filter(|period| period.seconds > 0.0);
        let without = lasted().filter(|period| period.side == Side::Without);
        let whole = without.filter_map(|without| {
            let is_other =
                |period: &&Period| period.side == Side::With && period.round == without.round;
            Some((without, lasted().find(is_other)?))
        });
        let mut rounds = Self {
            whole: whole.collect(),
            payload: Payload::Goodput,
            no_goodput: None,
        };
        if let Err(because) = rounds.pairs(Measure::Goodput) {
            rounds.payload = Payload::Frames;
            rounds.no_goodput = Some(because);
        }
        rounds
    }

    pub(super) fn count(&self) -> usize {
        self.whole.len()
    }

    /// All periods of a side.
    pub(super) fn side(&self, side: Side) -> impl Iterator<Item = &'p Period> {
        self.whole.iter().map(move |(without, with)| match side {
            Side::Without => *without,
            Side::With => *with,
        })
    }

    /// What stands for the goodput, if something else does.
    pub(super) fn note(&self) -> Option<String> {
        let because = self.no_goodput.as_ref()?;
        Some(format!(
            "the bytes of frames, less the usual headers, stand for goodput, so what is sent \
             again counts, too; goodput: {because}"
        ))
    }

    /// The values of a measure; the first reason if too many rounds lack one.
    pub(super) fn pairs(&self, measure: Measure) -> Result<Pairs, Reason> {
        let mut pairs = Pairs {
            without: Vec::new(),
            with: Vec::new(),
            left_out: None,
        };
        for (without, with) in &self.whole {
            let value = |period| figure::value(measure, period, self.payload);
            match (value(without), value(with)) {
                (Ok(without), Ok(with)) => {
                    pairs.without.push(without);
                    pairs.with.push(with);
                }
                (Err(because), _) | (_, Err(because)) => {
                    pairs.left_out.get_or_insert(because);
                }
            }
        }
        let remain = pairs.without.len();
        let lack = self.count() - remain;
        match &pairs.left_out {
            Some(because) if lack * ONE_OF >= self.count() || remain < FEWEST_ROUNDS => {
                Err(because.clone())
            }
            _ => Ok(pairs),
        }
    }
}
