//! When facts are gathered for a sample.

use std::time::Duration;

use tokio::time::Instant;

/// After gathering, in multiples of the time it took: a hundredth of the time
/// at most goes to it.
const PAUSE: u32 = 100;

/// When facts are gathered.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Somebody asked for them.
    pub(super) wanted: bool,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    /// How often interfaces had changed.
    changes: u64,
    not_before: Instant,
}

impl Gathering {
    /// Whether to gather now: somebody asked, or interfaces have changed since
    /// the last time while a recording is made.
    pub(super) fn is_due(&mut self, is_recorded: bool, changes: u64, now: Instant) -> bool {
        let is_stale = |last: &Last| last.changes != changes && now >= last.not_before;
        let is_again = is_recorded && self.last.as_ref().is_some_and(is_stale);
        std::mem::take(&mut self.wanted) || is_again
    }

    /// They were gathered.
    pub(super) fn done(&mut self, changes: u64, took: Duration, now: Instant) {
        self.last = Some(Last {
            changes,
            not_before: now + took * PAUSE,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_gathered_when_asked_for_and_after_a_change() {
        let mut gathering = Gathering::default();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert!(!gathering.is_due(true, 5, start), "nobody asked");
        gathering.wanted = true;
        assert!(gathering.is_due(false, 5, start));
        assert!(!gathering.is_due(false, 5, start), "once");
        gathering.done(5, Duration::from_millis(10), start);
        assert!(!gathering.is_due(true, 5, after(5000)), "no change");
        assert!(!gathering.is_due(true, 6, after(999)), "too early");
        assert!(gathering.is_due(true, 6, after(1000)));
        assert!(!gathering.is_due(false, 6, after(1000)), "not recorded");
        gathering.wanted = true;
        assert!(gathering.is_due(false, 6, start), "asked for");
    }
}
