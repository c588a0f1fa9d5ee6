//! Medians, and how sure they are.

use std::f64::consts::FRAC_PI_2;

use statrs::{
    distribution::{ContinuousCDF as _, StudentsT},
    function::beta::beta_reg,
};

/// What may be wrong of all intervals of a trial together.
const ERROR: f64 = 0.05;

/// A median and what it is surely within.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    /// The median.
    pub(super) value: f64,
    /// It is right within this, on either side.
    pub(super) within: f64,
}

/// The median; of an even number of values the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => Some((sorted.get(middle.checked_sub(1)?)? + sorted.get(middle)?) / 2.0),
        _ => sorted.get(middle).copied(),
    }
}

/// The median of `values` and what it is within, with 95 % certainty for all of so many
/// measures together; `None` of fewer than two values.
///
/// That is its standard error times Student's quantile for so few values, at the level
/// that is left to each of the measures. The error is the bootstrap's, which a few values
/// far off hardly change; but where values happen to leave a gap in the middle it is
/// larger than that of a normal distribution, and then it is the latter.
pub(super) fn estimate(values: &[f64], measures: usize) -> Option<Estimate> {
    let value = median(values)?;
    let error = bootstrap_error(values, value).min(normal_error(values)?);
    Some(Estimate {
        value,
        within: quantile(values.len(), measures)? * error,
    })
}

/// What medians of resamples differ by, as infinitely many of them would tell
/// (J. Maritz, R. Jarrett, 1978).
fn bootstrap_error(values: &[f64], median: f64) -> f64 {
    let sorted = sorted(values).into_iter().zip(weights(values.len()));
    let squares = sorted.map(|(value, weight)| weight * (value - median).powi(2));
    squares.sum::<f64>().sqrt()
}

/// What medians of as many values of a normal distribution differ by.
fn normal_error(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    let variance = squares.sum::<f64>() / (count - 1.0);
    let of_mean = (variance / count).sqrt();
    (count > 1.0).then_some(of_mean * FRAC_PI_2.sqrt())
}

/// How likely each of so many sorted values is to be the median of a resample; of an
/// even number, where the median lies between two, as F. Harrell and C. Davis (1982)
/// continue it.
fn weights(count: usize) -> Vec<f64> {
    let middle = (count as f64 + 1.0) / 2.0;
    let up_to = |rank: usize| beta_reg(middle, middle, rank as f64 / count as f64);
    (0..count)
        .map(|rank| up_to(rank + 1) - up_to(rank))
        .collect()
}

/// Student's quantile, if 95 % are to hold of so many measures.
fn quantile(count: usize, measures: usize) -> Option<f64> {
    let each = ERROR / measures.max(1) as f64;
    let freedom = count.checked_sub(1)? as f64;
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some(student.inverse_cdf(1.0 - each / 2.0))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    /// Student's quantiles as tables have them.
    #[test]
    fn fewer_values_and_more_measures_widen_it() {
        for (count, measures, expected) in [(10, 1, 2.262), (10, 10, 3.690), (5, 1, 2.776)] {
            let found = quantile(count, measures).expect("a quantile");
            assert!((found - expected).abs() < 0.001, "{count}: {found}");
        }
        assert_eq!(quantile(1, 1), None);
    }

    /// By what medians of 300,000 resamples differed, drawn by a program of its own.
    #[test]
    fn the_error_is_that_of_the_bootstrap() {
        let nine = [0.0, 8.0, 9.0, 10.0, 10.5, 11.0, 14.0, 15.0, 90.0];
        let ten = [&nine[..], &[17.0]].concat();
        let five = [5.0, 4.0, 1.0, 2.0, 3.0];
        for (values, value, error) in [
            (&nine[..], 10.5, 3.599),
            (&ten, 10.75, 2.639),
            (&five, 3.0, 0.992),
        ] {
            assert_eq!(median(values), Some(value));
            let found = bootstrap_error(values, value);
            assert!((found / error - 1.0).abs() < 0.05, "{found}, not {error}");
        }
    }

    #[test]
    fn the_smaller_error_counts() {
        let within = |values: &[f64], error: f64| {
            let found = estimate(values, 3).expect("an estimate").within;
            let expected = error * quantile(values.len(), 3).expect("a quantile");
            assert!((found / expected - 1.0).abs() < 0.01, "{found}");
        };
        // The standard deviation is the square root of 2.5.
        within(&[5.0, 4.0, 1.0, 2.0, 3.0], 1.2533 * 0.5_f64.sqrt());
        let far_off = [9.0, 10.0, 10.0, 10.5, 11.0, 12.0, 90.0];
        within(&far_off, bootstrap_error(&far_off, 10.5));
    }

    #[test]
    fn what_never_differs_is_certain() {
        assert_eq!(estimate(&[1.0], 1), None);
        let same = estimate(&[4.0; 4], 14).expect("an estimate");
        assert_eq!((same.value, same.within), (4.0, 0.0));
    }
}
