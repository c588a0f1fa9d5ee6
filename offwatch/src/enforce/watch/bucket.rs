//! How often an interface is changed again before that counts as a fight.

use std::time::Duration;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many times in a row; at least 1.
    pub burst: u32,
    /// So many times a minute in the long run; with 0 the burst is all there is.
    pub per_minute: u32,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            burst: 10,
            per_minute: 1,
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// A token bucket. Times are those of one clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    limit: Limit,
    tokens: u32,
    /// Since then no token has been added.
    since: Duration,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(limit: Limit, now: Duration) -> Self {
        Self {
            limit,
            tokens: limit.burst,
            since: now,
        }
    }

    /// Takes a token; whether there was one.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        self.fill(now);
        let taken = self.tokens.checked_sub(1);
        self.tokens = taken.unwrap_or(0);
        taken.is_some()
    }

    fn fill(&mut self, now: Duration) {
        let Some(pause) = MINUTE.checked_div(self.limit.per_minute) else {
            return;
        };
        let passed = now.saturating_sub(self.since);
        let grown = passed.as_nanos() / pause.as_nanos();
        let missing = self.limit.burst - self.tokens;
        match u32::try_from(grown) {
            Ok(grown) if grown < missing => {
                self.tokens += grown;
                self.since += pause * grown;
            }
            _ => {
                self.tokens = self.limit.burst;
                self.since = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn taken(bucket: &mut Bucket, now: Duration) -> usize {
        (0..100).take_while(|_| bucket.take(now)).count()
    }

    #[test]
    fn a_burst_and_then_so_many_a_minute() {
        let limit = Limit {
            burst: 3,
            per_minute: 2,
        };
        let mut bucket = Bucket::new(limit, seconds(100));
        assert_eq!(taken(&mut bucket, seconds(100)), 3);
        assert_eq!(taken(&mut bucket, seconds(129)), 0);
        assert_eq!(taken(&mut bucket, seconds(130)), 1);
        // Half of the pause has passed already.
        assert_eq!(taken(&mut bucket, seconds(145)), 0);
        assert_eq!(taken(&mut bucket, seconds(160)), 1);
        assert_eq!(taken(&mut bucket, seconds(100_000)), 3, "never more");
    }

    #[test]
    fn time_without_use_is_not_saved_up() {
        let limit = Limit {
            burst: 1,
            per_minute: 1,
        };
        let mut bucket = Bucket::new(limit, seconds(0));
        assert!(bucket.take(seconds(119)));
        assert!(!bucket.take(seconds(121)), "not yet a minute");
        assert!(bucket.take(seconds(179)));
    }

    #[test]
    fn without_a_rate_the_burst_is_all() {
        let limit = Limit {
            burst: 1,
            per_minute: 0,
        };
        let mut bucket = Bucket::new(limit, seconds(0));
        assert_eq!(taken(&mut bucket, seconds(0)), 1);
        assert_eq!(taken(&mut bucket, seconds(1_000_000)), 0);
    }
}
