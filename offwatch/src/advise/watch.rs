//! Evaluates samples as they come, now and then.

use std::{sync::Arc, time::Duration};

use super::{Findings, Rule, Window, catalogue};
use crate::sample::Sample;

/// The shortest window, and so the time between two evaluations.
pub const SHORTEST_WINDOW: Duration = Duration::from_secs(10);
/// After an evaluation, in multiples of the time it took: a thousandth of the time at
/// most goes to it.
const PAUSE: u32 = 1_000;

/// Evaluates all rules over the samples of a run, in windows that follow each
/// other. Facts are not used: few samples have any, and what depends on them
/// would come and go.
pub struct Watch {
    rules: Vec<&'static Rule>,
    /// Where the window begins.
    first: Option<Arc<Sample>>,
    shortest: Duration,
    findings: Option<Arc<Findings>>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            rules: catalogue::rules(),
            first: None,
            shortest: SHORTEST_WINDOW,
            findings: None,
        }
    }
}

impl Watch {
    /// Forgets what was found and begins at a sample.
    pub fn begin(&mut self, first: &Arc<Sample>) {
        self.first = Some(Arc::clone(first));
        self.findings = None;
    }

    /// Takes the next sample of the run; whether there was an evaluation.
    pub fn advance(&mut self, sample: &Arc<Sample>) -> bool {
        let Some(first) = &self.first else {
            self.begin(sample);
            return false;
        };
        if sample.since(first) < self.shortest {
            return false;
        }
        let (earlier, later) = (without_facts(first), without_facts(sample));
        let window = Window::new(&earlier, &later);
        self.findings = Some(Arc::new(Findings::of(&window, &self.rules)));
        self.first = Some(Arc::clone(sample));
        true
    }

    /// Tells how long an evaluation took, so that it is done the less often.
    pub fn took(&mut self, time: Duration) {
        self.shortest = SHORTEST_WINDOW.max(time * PAUSE);
    }

    /// What was found last; `None` until the first evaluation.
    pub fn findings(&self) -> Option<&Arc<Findings>> {
        self.findings.as_ref()
    }
}

fn without_facts(sample: &Arc<Sample>) -> Arc<Sample> {
    let mut sample = Arc::clone(sample);
    if sample.facts.is_some() {
        // Interfaces are shared; this copies the list of them.
        Arc::make_mut(&mut sample).facts = None;
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::Scene;

    fn scene(seconds: u64) -> (Arc<Sample>, Arc<Sample>) {
        let (before, after) = Scene::of_three(seconds).samples();
        (Arc::new(before), Arc::new(after))
    }

    /// A sample so long after another one, with nothing new.
    fn later(sample: &Sample, ms: u64) -> Arc<Sample> {
        let mut later = sample.clone();
        later.monotonic_ns += ms * 1_000_000;
        Arc::new(later)
    }

    #[test]
    fn what_needs_a_change_is_found_and_the_healthy_is_not() {
        let (before, after) = scene(12);
        let mut watch = Watch::default();
        assert!(!watch.advance(&before), "one sample is no window");
        assert!(watch.findings().is_none());
        assert!(watch.advance(&after));
        let findings = watch.findings().expect("evaluated");
        let of = |vm| findings.of_vm(vm).map(|advice| &*advice.rule);
        assert_eq!(of("legacy").collect::<Vec<_>>(), ["tap-no-tso"]);
        assert_eq!(of("web").count(), 0);
        assert_eq!(findings.of_interface(10).count(), 1);
        assert_eq!(findings.of_interface(11).count(), 0);
        assert!(findings.has_counted(11) && !findings.has_counted(12));
        assert_eq!(findings.seconds, 12.0);
    }

    #[test]
    fn ten_seconds_of_samples_are_between_two_evaluations() {
        let (before, _) = scene(10);
        let mut watch = Watch::default();
        watch.begin(&before);
        let at = [3000, 6000, 9000, 12_000, 15_000, 18_000, 21_999, 22_000];
        let evaluated = at.map(|ms| watch.advance(&later(&before, ms)));
        let expected = [false, false, false, true, false, false, false, true];
        assert_eq!(evaluated, expected);
        watch.took(Duration::from_millis(1));
        assert!(watch.advance(&later(&before, 32_000)), "it took little");
        watch.took(Duration::from_millis(100));
        assert!(!watch.advance(&later(&before, 131_999)), "it took much");
        assert!(watch.advance(&later(&before, 132_000)));
    }

    #[test]
    fn another_beginning_forgets() {
        let (before, after) = scene(10);
        let mut watch = Watch::default();
        watch.begin(&before);
        watch.advance(&after);
        assert!(watch.findings().is_some());
        watch.begin(&after);
        assert!(watch.findings().is_none());
    }

    #[test]
    fn facts_make_no_difference() {
        let (before, after) = scene(10);
        assert!(after.facts.is_some());
        let found = |later: &Arc<Sample>| {
            let mut watch = Watch::default();
            watch.begin(&before);
            watch.advance(later);
            let findings = watch.findings().expect("evaluated").clone();
            let list = findings.of_vm("legacy").cloned();
            list.collect::<Vec<_>>()
        };
        assert_eq!(found(&after), found(&without_facts(&after)));
        assert!(after.facts.is_some(), "the sample itself keeps them");
    }
}
