//! Durations from the kernel's histogram of nanoseconds.

use hdrhistogram::Histogram;
use offwatch_common::{NS_BUCKETS, ns_range};
use serde::Serialize;

use crate::sample::Unavailable;

/// `[low, high, count]`, as [`super::HistogramRow`] for nanoseconds.
pub type NsRow = (u64, Option<u64>, u64);

/// Rows of a histogram; empty ranges are left out.
pub(super) fn ns_rows(counts: &[u64; NS_BUCKETS]) -> Vec<NsRow> {
    let counts = counts.iter().enumerate().filter(|(_, count)| **count != 0);
    counts
        .map(|(bucket, count)| {
            let (low, high) = ns_range(bucket);
            (low, high, *count)
        })
        .collect()
}

/// How long calls take. Each value is an upper bound: the end of the range of
/// the histogram into which the call falls, which is less than twice its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Half of the calls take at most this, in nanoseconds.
    pub p50_at_most_ns: Option<u64>,
    /// 90 % of them.
    pub p90_at_most_ns: Option<u64>,
    /// 99 % of them.
    pub p99_at_most_ns: Option<u64>,
}

impl Percentiles {
    /// `None` if there were no calls. A value in the last, open range is none.
    pub(super) fn of(counts: &[u64; NS_BUCKETS]) -> Option<Self> {
        // Any value in the last range does: it is not shown.
        let last = ns_range(NS_BUCKETS - 1).0;
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 2 * last, 3).ok()?;
        for (bucket, count) in counts.iter().enumerate() {
            let end = ns_range(bucket).1.unwrap_or(last);
            histogram.saturating_record_n(end, *count);
        }
        if histogram.is_empty() {
            return None;
        }
        let at_most =
            |quantile| Some(histogram.value_at_quantile(quantile)).filter(|ns| *ns < last);
        Some(Self {
            p50_at_most_ns: at_most(0.5),
            p90_at_most_ns: at_most(0.9),
            p99_at_most_ns: at_most(0.99),
        })
    }

    pub(super) fn explain(&self, path: &str, unavailable: &mut Unavailable) {
        for (field, value) in [
            ("p50_at_most_ns", self.p50_at_most_ns),
            ("p90_at_most_ns", self.p90_at_most_ns),
            ("p99_at_most_ns", self.p99_at_most_ns),
        ] {
            if value.is_none() {
                let (longest, _) = ns_range(NS_BUCKETS - 1);
                unavailable.insert(
                    format!("{path}.{field}"),
                    format!("longer than the histogram tells: {longest} ns or more"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[(usize, u64)]) -> Option<Percentiles> {
        let mut buckets = [0; NS_BUCKETS];
        for (bucket, count) in counts {
            buckets[*bucket] = *count;
        }
        Percentiles::of(&buckets)
    }

    #[test]
    fn a_percentile_is_the_end_of_its_range() {
        // 512 to 1023 ns, 4096 to 8191 ns, 65,536 to 131,071 ns.
        let percentiles = of(&[(1, 50), (4, 41), (8, 9)]).expect("calls");
        assert_eq!(percentiles.p50_at_most_ns, Some(1023));
        assert_eq!(percentiles.p90_at_most_ns, Some(8191));
        assert_eq!(percentiles.p99_at_most_ns, Some(131_071));
        for bucket in 0..NS_BUCKETS - 1 {
            let only = of(&[(bucket, 1)]).expect("a call");
            assert_eq!(only.p50_at_most_ns, ns_range(bucket).1, "bucket {bucket}");
        }
    }

    #[test]
    fn the_open_range_has_no_end() {
        let percentiles = of(&[(0, 98), (NS_BUCKETS - 1, 2)]).expect("calls");
        assert_eq!(percentiles.p90_at_most_ns, Some(511));
        assert_eq!(percentiles.p99_at_most_ns, None);
        let mut unavailable = Unavailable::new();
        percentiles.explain("p", &mut unavailable);
        assert_eq!(unavailable.len(), 1);
        assert!(unavailable["p.p99_at_most_ns"].contains("2097152"));
    }

    #[test]
    fn no_calls_have_no_percentiles_and_no_rows() {
        assert_eq!(of(&[]), None);
        assert!(ns_rows(&[0; NS_BUCKETS]).is_empty());
    }

    #[test]
    fn counts_beyond_memory_are_no_panic() {
        let percentiles = of(&[(0, u64::MAX), (1, u64::MAX)]).expect("calls");
        assert_eq!(percentiles.p50_at_most_ns, Some(511));
    }
}
