//! Which figure of software work to show: the exact one where all calls of the
//! functions in question are counted, else the derived one.

use std::time::Duration;

use offwatch_common::{Checksumming, ExactSlot, ExactWork, Slot};

use super::{
    duration::{Percentiles, ns_rows},
    exact::{Derived, DerivedTotals, Exact, ExactTotals, Means, WorkSources},
    rates::WorkNs,
    side::rate,
    work::SoftwareWork,
};
use crate::sample::{ExactHooks, Exactness};

/// What an interface's figures are made of, at one moment.
#[derive(Clone, Copy)]
pub(super) struct Sight<'sample> {
    pub(super) slot: &'sample Slot,
    pub(super) exact: Option<&'sample ExactSlot>,
    pub(super) hooks: &'sample ExactHooks,
}

/// The figures of work in one role at one moment, from whatever there is.
#[derive(Clone, Copy)]
pub(super) struct Figures<'sample> {
    pub(super) derived: Option<SoftwareWork>,
    pub(super) exact: Option<&'sample ExactWork>,
    pub(super) hooks: &'sample ExactHooks,
}

/// The figures to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) segments: Option<u64>,
    pub(crate) checksum_bytes: Option<u64>,
    pub(crate) approximate: bool,
}

impl<'sample> Figures<'sample> {
    fn segments_by(&self) -> Option<Means> {
        let exact = self.exact.and(Means::exact(&self.hooks.segmentation));
        exact.or(self.derived.map(|_| Means::Derived))
    }

    fn checksum_bytes_by(&self) -> Option<Means> {
        let exact = self.exact.and(Means::checksums(self.hooks));
        exact.or(self.derived.map(|_| Means::Derived))
    }

    /// The best figure of each kind.
    pub(super) fn shown(&self) -> Shown {
        let derived = self.derived;
        let mut shown = Shown {
            segments: derived.map(|work| work.segments),
            checksum_bytes: derived.map(|work| work.checksum_bytes),
            approximate: false,
        };
        let (segments_by, bytes_by) = (self.segments_by(), self.checksum_bytes_by());
        if let Some(work) = self.exact.filter(|_| is_exact(segments_by)) {
            shown.segments = Some(work.segmentation.segments);
        }
        if let Some(work) = self.exact.filter(|_| is_exact(bytes_by)) {
            let outside = work.checksum.bytes + work.crc32c.bytes;
            shown.checksum_bytes = Some(work.segmentation.checksum_bytes + outside);
        }
        let by = [segments_by, bytes_by];
        let derived_is_shown = by.contains(&Some(Means::Derived));
        shown.approximate = derived_is_shown && derived.is_some_and(|work| work.approximate)
            || by.into_iter().any(is_exact) && self.hooks.missed_calls != 0;
        shown
    }

    /// Everything that is known, with rates since `before`.
    pub(super) fn sources(
        &self,
        before: Option<Figures<'_>>,
        interval: Option<Duration>,
    ) -> WorkSources {
        let derived = self.derived.map(|now| {
            let before = before.and_then(|before| before.derived).map(derived_totals);
            let mut derived = Derived::measure(derived_totals(now), before, interval, false);
            derived.software_work_approximate = now.approximate;
            derived
        });
        let exact = self.exact().map(|now| {
            let before = before.and_then(|before| before.exact().map(|work| before.totals(work)));
            let mut exact = Exact::measure(self.totals(now), before, interval, false);
            if self.hooks.segmentation.method().is_ok() {
                let histogram = &now.segmentation.ns_histogram;
                exact.segmentation_ns_histogram = Some(ns_rows(histogram));
                exact.segmentation_ns_percentiles = Percentiles::of(histogram);
            }
            Box::new(exact)
        });
        WorkSources {
            segments_by: self.segments_by(),
            checksum_bytes_by: self.checksum_bytes_by(),
            derived,
            exact,
        }
    }

    /// The time that the work took, without the rest.
    pub(super) fn work_ns(
        &self,
        before: Option<Figures<'_>>,
        interval: Option<Duration>,
    ) -> Option<WorkNs> {
        let work = self.exact()?;
        let before = before.and_then(|before| Some((before, before.exact()?)));
        let ns = |hook: fn(&ExactHooks) -> &Exactness, ns: fn(&ExactWork) -> u64| {
            let total = |hooks, work| hook(hooks).method().is_ok().then(|| ns(work));
            let before = before.and_then(|(before, work)| total(before.hooks, work));
            rate(total(self.hooks, work), before, interval, false)
        };
        Some(WorkNs {
            segmentation: ns(|hooks| &hooks.segmentation, |work| work.segmentation.ns),
            checksum: ns(|hooks| &hooks.checksum, |work| work.checksum.ns),
            crc32c: ns(|hooks| &hooks.crc32c, |work| work.crc32c.ns),
        })
    }

    /// The nanoseconds that segmentation and checksums took, where all calls are
    /// timed.
    pub(super) fn total_ns(&self) -> (Option<u64>, Option<u64>) {
        let Some(work) = self.exact() else {
            return (None, None);
        };
        let is_timed = |hook: &Exactness| hook.method().is_ok();
        let segmentation = is_timed(&self.hooks.segmentation);
        let checksum = is_timed(&self.hooks.checksum) && is_timed(&self.hooks.crc32c);
        (
            segmentation.then_some(work.segmentation.ns),
            checksum.then_some(work.checksum.ns + work.crc32c.ns),
        )
    }

    /// The exact counters, if any of them means anything.
    fn exact(&self) -> Option<&'sample ExactWork> {
        let hooks = [
            &self.hooks.segmentation,
            &self.hooks.checksum,
            &self.hooks.crc32c,
        ];
        self.exact
            .filter(|_| hooks.iter().any(|hook| hook.method().is_ok()))
    }

    fn totals(&self, work: &ExactWork) -> ExactTotals {
        let of = |hook: &Exactness, value: u64| hook.method().is_ok().then_some(value);
        let cut = |value| of(&self.hooks.segmentation, value);
        let sum = |value| of(&self.hooks.checksum, value);
        let crc = |value| of(&self.hooks.crc32c, value);
        let segmentation = &work.segmentation;
        let Checksumming {
            calls,
            bytes,
            ns,
            failures,
        } = work.checksum;
        ExactTotals {
            segmentation_calls_total: cut(segmentation.calls),
            header_checks_total: cut(segmentation.header_checks),
            segmentation_failures_total: cut(segmentation.failures),
            partial_segmentations_total: cut(segmentation.partial_calls),
            segments_total: cut(segmentation.segments),
            segmentation_payload_bytes_total: cut(segmentation.payload_bytes),
            segmentation_ns_total: cut(segmentation.ns),
            segmentation_checksum_bytes_total: cut(segmentation.checksum_bytes),
            checksum_calls_total: sum(calls),
            checksum_bytes_total: sum(bytes),
            checksum_ns_total: sum(ns),
            checksum_failures_total: sum(failures),
            crc32c_calls_total: crc(work.crc32c.calls),
            crc32c_bytes_total: crc(work.crc32c.bytes),
            crc32c_ns_total: crc(work.crc32c.ns),
            crc32c_failures_total: crc(work.crc32c.failures),
        }
    }
}

fn is_exact(means: Option<Means>) -> bool {
    matches!(means, Some(Means::Fexit | Means::Kprobe))
}

fn derived_totals(work: SoftwareWork) -> DerivedTotals {
    DerivedTotals {
        software_segments_total: Some(work.segments),
        software_checksum_bytes_total: Some(work.checksum_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Method;

    const FEXIT: Exactness = Exactness::Exact(Method::Fexit);
    const KPROBE: Exactness = Exactness::Exact(Method::Kprobe);
    const DERIVED: SoftwareWork = SoftwareWork {
        segments: 90,
        checksum_bytes: 9_000,
        approximate: true,
    };

    fn hooks(functions: [Exactness; 3]) -> ExactHooks {
        let [segmentation, checksum, crc32c] = functions;
        ExactHooks {
            segmentation,
            checksum,
            crc32c,
            ..ExactHooks::default()
        }
    }

    fn exact() -> ExactWork {
        let mut work = ExactWork::default();
        work.segmentation.segments = 100;
        work.segmentation.checksum_bytes = 8_000;
        work.checksum.bytes = 1_500;
        work.crc32c.bytes = 500;
        work
    }

    fn shown(hooks: &ExactHooks, derived: Option<SoftwareWork>) -> (Shown, WorkSources) {
        let work = exact();
        let figures = Figures {
            derived,
            exact: Some(&work),
            hooks,
        };
        (figures.shown(), figures.sources(None, None))
    }

    #[test]
    fn exact_figures_are_shown_where_there_are_any() {
        let (shown, sources) = shown(&hooks([FEXIT, FEXIT, FEXIT]), Some(DERIVED));
        let expected = Shown {
            segments: Some(100),
            checksum_bytes: Some(10_000),
            approximate: false,
        };
        assert_eq!(shown, expected);
        assert_eq!(sources.segments_by, Some(Means::Fexit));
        assert_eq!(sources.checksum_bytes_by, Some(Means::Fexit));
        let derived = sources.derived.expect("beside the exact figures");
        assert_eq!(derived.software_segments_total, Some(90));
        assert!(derived.software_work_approximate);
    }

    #[test]
    fn checksums_are_exact_only_if_all_of_them_are() {
        let none = Exactness::default();
        let (partly, sources) = shown(&hooks([FEXIT, FEXIT, none.clone()]), Some(DERIVED));
        assert_eq!(partly.segments, Some(100));
        assert_eq!(partly.checksum_bytes, Some(9_000), "SCTP would be missing");
        assert!(partly.approximate, "as the derived figure is");
        assert_eq!(sources.checksum_bytes_by, Some(Means::Derived));
        let exact = sources.exact.expect("some functions are counted");
        assert_eq!(exact.checksum_bytes_total, Some(1_500));
        assert_eq!(exact.crc32c_bytes_total, None);

        let (_, sources) = shown(&hooks([FEXIT, KPROBE, FEXIT]), Some(DERIVED));
        assert_eq!(sources.checksum_bytes_by, Some(Means::Kprobe));

        // With hook tc nothing is derived.
        let (blind, sources) = shown(&hooks([FEXIT, FEXIT, none]), None);
        assert_eq!((blind.segments, blind.checksum_bytes), (Some(100), None));
        assert_eq!(sources.checksum_bytes_by, None);
    }

    #[test]
    fn missed_calls_make_exact_figures_lower_bounds() {
        let mut hooks = hooks([FEXIT, FEXIT, FEXIT]);
        hooks.missed_calls = 1;
        assert!(shown(&hooks, Some(DERIVED)).0.approximate);
        let sure = SoftwareWork {
            approximate: false,
            ..DERIVED
        };
        let hooks = ExactHooks {
            missed_calls: 1,
            ..ExactHooks::default()
        };
        assert!(
            !shown(&hooks, Some(sure)).0.approximate,
            "nothing exact is shown"
        );
    }

    #[test]
    fn without_hooks_the_figures_are_derived() {
        let (shown, sources) = shown(&ExactHooks::default(), Some(DERIVED));
        assert_eq!(
            (shown.segments, shown.checksum_bytes),
            (Some(90), Some(9_000))
        );
        assert!(shown.approximate);
        assert_eq!(sources.segments_by, Some(Means::Derived));
        assert_eq!(sources.exact, None);
    }
}
