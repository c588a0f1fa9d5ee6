//! What the cost model says of a change that is tried.

use std::fmt::{self, Display};

use super::{
    effect::Measure,
    outcome::{Forecast, Trial},
};
use crate::advise::price::{Price, Range};

impl Forecast {
    /// Of a price, at so many bytes of goodput a second; `None` without any.
    pub fn new(price: Price, goodput_bytes_per_s: f64) -> Option<Self> {
        Some(Self {
            added_ns_per_byte: price.added_ns_per_byte(goodput_bytes_per_s)?,
            price,
        })
    }

    /// The one in the middle: of those of several periods, each is as good.
    pub fn median(mut of: Vec<Self>) -> Option<Self> {
        of.sort_by(|one, other| {
            let value = |forecast: &Self| forecast.added_ns_per_byte.value;
            value(one).total_cmp(&value(other))
        });
        let middle = of.len() / 2;
        of.into_iter().nth(middle)
    }
}

/// What was forecast beside what was measured: CPU time per byte of goodput with the
/// change, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// What it is without the change, measured.
    pub without: f64,
    /// The same, and what the model adds.
    pub forecast: Range,
    /// What it is with the change, measured.
    pub measured: f64,
    /// Whether a difference was claimed of it.
    pub is_difference: bool,
}

impl Comparison {
    /// Of a trial and what was forecast in it, by the CPU time of the host; `None` if
    /// one of both is missing.
    pub fn of(trial: &Trial) -> Option<Self> {
        Self::with(trial.forecast.as_ref()?, trial, Measure::HostCost)
    }

    /// Of a trial and a forecast of the same change, by one of the costs.
    pub fn with(forecast: &Forecast, trial: &Trial, cost: Measure) -> Option<Self> {
        let mut effects = trial.effects.iter();
        let cost = effects.find(|effect| effect.measure == cost)?;
        let without = cost.without?;
        let Range { value, low, high } = forecast.added_ns_per_byte;
        Some(Self {
            without,
            forecast: Range {
                value: without + value,
                low: without + low,
                high: without + high,
            },
            measured: cost.with?,
            is_difference: cost.verdict.is_difference(),
        })
    }

    /// How far the forecast is off, percent of what was measured; `None` if what was
    /// measured may be noise.
    pub fn off_percent(&self) -> Option<f64> {
        let off = (self.forecast.value / self.measured - 1.0) * 100.0;
        self.is_difference.then_some(off)
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CPU time per byte {:.2} ns; with the change forecast {:.2} ns ({:.2} to {:.2}), \
             measured {:.2} ns: ",
            self.without, self.forecast.value, self.forecast.low, self.forecast.high, self.measured,
        )?;
        match self.off_percent() {
            Some(off) => write!(f, "the forecast is off by {off:+.0} %"),
            None => write!(f, "the difference was too uncertain to compare"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advise::{price::Effect, testing::trial},
        trial::effect::Verdict,
    };

    #[test]
    fn the_one_in_the_middle_is_taken() {
        let price = |cores| {
            let mut price = Price::new("all", Effect::Costs);
            price.cores = Range {
                value: cores,
                low: cores / 2.0,
                high: cores * 2.0,
            };
            Forecast::new(price, 1e8).expect("traffic")
        };
        let median = Forecast::median([0.1, 9.0, 0.2].map(price).to_vec()).expect("three");
        assert!((median.added_ns_per_byte.value - 2.0).abs() < 1e-9);
        assert!((median.added_ns_per_byte.low - 1.0).abs() < 1e-9);
        assert_eq!(Forecast::median(Vec::new()), None);
        assert_eq!(Forecast::new(Price::new("all", Effect::Costs), 0.0), None);
    }

    #[test]
    fn a_forecast_is_held_against_what_was_measured() {
        let mut trial = trial(300.0);
        assert_eq!(Comparison::of(&trial), None, "nothing was forecast");
        let mut price = Price::new("all", Effect::Costs);
        price.cores = Range {
            value: 0.4,
            low: 0.2,
            high: 0.8,
        };
        trial.forecast = Forecast::new(price, 1e8);
        let found = Comparison::of(&trial).expect("both are there");
        assert_eq!(
            found.to_string(),
            "CPU time per byte 2.00 ns; with the change forecast 6.00 ns (4.00 to 10.00), \
             measured 8.00 ns: the forecast is off by -25 %"
        );
        for effect in &mut trial.effects {
            effect.verdict = Verdict::NoDifference {
                would_have_seen: 400.0,
            };
        }
        let noise = Comparison::of(&trial).expect("both are there");
        assert_eq!(noise.off_percent(), None);
        let told = noise.to_string();
        let end = "measured 8.00 ns: the difference was too uncertain to compare";
        assert!(told.ends_with(end), "{told}");
    }
}
