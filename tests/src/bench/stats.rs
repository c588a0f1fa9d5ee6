//! Medians, and intervals that assume nothing about the noise.

use std::fmt;

use serde::Serialize;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

/// An estimate with its 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Estimate {
    /// The estimate, made of medians.
    pub(super) median: f64,
    /// Lower end of the interval.
    pub(super) low: f64,
    /// Upper end of the interval.
    pub(super) high: f64,
}

impl Estimate {
    /// Applies `statistic` to the rounds and to resamples of them. The same
    /// rounds give the same interval.
    pub(super) fn of<Round: Copy>(rounds: &[Round], statistic: impl Fn(&[Round]) -> f64) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            // xorshift64: any generator will do.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut resampled: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let resample: Vec<Round> = (0..rounds.len())
                    .map(|_| rounds[random(rounds.len())])
                    .collect();
                statistic(&resample)
            })
            .collect();
        resampled.sort_by(f64::total_cmp);
        Self {
            median: statistic(rounds),
            low: resampled[RESAMPLES / 40],
            high: resampled[RESAMPLES - 1 - RESAMPLES / 40],
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = f.precision().unwrap_or(2);
        write!(
            f,
            "{:.precision$} ({:.precision$}..{:.precision$})",
            self.median, self.low, self.high
        )
    }
}

/// The median; 0 of nothing. Sorts `values`.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn an_outlier_moves_neither_estimate_nor_interval() {
        let mut rounds = [1.0; 11];
        rounds[7] = 100.0;
        let estimate = Estimate::of(&rounds, |rounds| median(&mut rounds.to_vec()));
        assert_eq!(
            estimate,
            Estimate {
                median: 1.0,
                low: 1.0,
                high: 1.0
            }
        );
    }

    #[test]
    fn the_interval_encloses_the_estimate() {
        let rounds: Vec<f64> = (0..12).map(f64::from).collect();
        let estimate = Estimate::of(&rounds, |rounds| median(&mut rounds.to_vec()));
        assert!(estimate.low < estimate.median && estimate.median < estimate.high);
    }
}
