//! Histograms as ranges and counts.

/// Both ends of a range, included; no upper end where there is none.
pub type Range = (u32, Option<u32>);

/// `[low, high, count]`: how many values lay in that range, both ends included;
/// `high` is null where there is no upper end. Empty ranges are left out.
pub type HistogramRow = (u32, Option<u32>, u64);

/// The ranges that hold something.
pub(super) fn rows(counts: &[u64], range: fn(usize) -> Range) -> Vec<HistogramRow> {
    let counts = counts.iter().enumerate().filter(|(_, count)| **count != 0);
    counts
        .map(|(bucket, count)| {
            let (low, high) = range(bucket);
            (low, high, *count)
        })
        .collect()
}

/// What was counted since `before`; `None` if a count went backwards that may not.
pub(super) fn since<const BUCKETS: usize>(
    now: &[u64; BUCKETS],
    before: &[u64; BUCKETS],
    range: fn(usize) -> Range,
    may_fall: bool,
) -> Option<Vec<HistogramRow>> {
    let mut grown = [0; BUCKETS];
    for (grown, (now, before)) in grown.iter_mut().zip(now.iter().zip(before)) {
        *grown = match now.checked_sub(*before) {
            None if may_fall => 0,
            grown => grown?,
        };
    }
    Some(rows(&grown, range))
}

/// The values of several histograms with the same ranges together.
pub fn sum<'rows>(
    histograms: impl IntoIterator<Item = &'rows [HistogramRow]>,
) -> Vec<HistogramRow> {
    let mut sum: Vec<HistogramRow> = Vec::new();
    for row in histograms.into_iter().flatten() {
        match sum.binary_search_by_key(&row.0, |known| known.0) {
            Ok(known) => sum[known].2 += row.2,
            Err(place) => sum.insert(place, *row),
        }
    }
    sum
}

/// The range in which a percentile (by nearest rank) lies: of the values,
/// `percent` of 100 are at most its upper end. `None` without values.
pub fn percentile(rows: &[HistogramRow], percent: u64) -> Option<Range> {
    let all: u64 = rows.iter().map(|row| row.2).sum();
    let rank = (u128::from(all) * u128::from(percent)).div_ceil(100).max(1);
    let mut reached = 0;
    for (low, high, count) in rows {
        reached += u128::from(*count);
        if reached >= rank {
            return Some((*low, *high));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [HistogramRow; 3] = [(0, Some(9), 50), (10, Some(99), 49), (100, None, 1)];

    #[test]
    fn a_percentile_is_the_range_of_its_rank() {
        let cases = [
            (1, (0, Some(9))),
            (50, (0, Some(9))),
            (51, (10, Some(99))),
            (99, (10, Some(99))),
            (100, (100, None)),
        ];
        for (percent, range) in cases {
            assert_eq!(percentile(&ROWS, percent), Some(range), "{percent}");
        }
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[(7, None, 1)], 50), Some((7, None)));
    }

    #[test]
    fn histograms_are_added_by_range() {
        let one: &[HistogramRow] = &[(0, Some(9), 1), (100, None, 2)];
        let other: &[HistogramRow] = &[(10, Some(99), 3), (100, None, 4)];
        let expected = [(0, Some(9), 1), (10, Some(99), 3), (100, None, 6)];
        assert_eq!(sum([one, other]), expected);
        assert_eq!(sum([other, one]), expected);
    }

    #[test]
    fn an_interval_is_what_was_added() {
        let range = |bucket| (bucket as u32, Some(bucket as u32));
        assert_eq!(
            since(&[3, 5, 5], &[1, 5, 0], range, false),
            Some(vec![(0, Some(0), 2), (2, Some(2), 5)])
        );
        assert_eq!(since(&[3, 4], &[1, 5], range, false), None);
        let taken_back = since(&[3, 4], &[1, 5], range, true);
        assert_eq!(taken_back, Some(rows(&[2, 0], range)));
    }
}
