//! Software work by who caused it.

use offwatch_common::Work;
use serde::Serialize;

use super::{
    Joined,
    exact::{Reasons, WorkSources},
    figures::{Figures, Shown},
    side::metrics,
    work::SoftwareWork,
};
use crate::sample::{Host, Unavailable};

metrics! {
    /// Software work charged to the interface its frames came from.
    Caused, CausedTotals {
        /// Segments cut in software.
        software_segments_total / software_segments_per_s,
        /// Bytes checksummed in software.
        software_checksum_bytes_total / software_checksum_bytes_per_s,
    }
    /// The figures are lower bounds.
    software_work_approximate: bool,
    /// Where the figures come from.
    software_work: WorkSources,
}

impl CausedTotals {
    fn of(work: Shown) -> Self {
        Self {
            software_segments_total: work.segments,
            software_checksum_bytes_total: work.checksum_bytes,
        }
    }
}

impl Joined {
    /// `None` if there is no figure at all.
    pub(super) fn caused(&self, now: Figures<'_>, before: Option<Figures<'_>>) -> Option<Caused> {
        let shown = now.shown();
        shown.segments.or(shown.checksum_bytes)?;
        let totals = before.map(|before| CausedTotals::of(before.shown()));
        let mut caused = Caused::measure(CausedTotals::of(shown), totals, self.interval, false);
        caused.software_work_approximate = shown.approximate;
        caused.software_work = now.sources(before, self.interval);
        Some(caused)
    }

    /// Tells for each value that is missing why.
    pub(super) fn explain_caused(
        &self,
        path: &str,
        caused: Option<&Caused>,
        reasons: &Reasons<'_>,
        unavailable: &mut Unavailable,
    ) {
        let Some(caused) = caused else {
            unavailable.insert(path.into(), reasons.derived.into());
            return;
        };
        let derived = |_: &str| reasons.derived.to_owned();
        caused.explain(path, derived, reasons.no_rate, unavailable);
        let sources = format!("{path}.software_work");
        caused
            .software_work
            .explain(&sources, self.hooks(), reasons, unavailable);
    }

    /// Work whose source is not known.
    pub(super) fn unattributed(&self, now: &Host, before: Option<&Host>) -> Option<Caused> {
        let figures = |host| self.unattributed_figures(host);
        self.caused(figures(now), before.map(figures))
    }

    pub(super) fn unattributed_figures<'host>(&self, host: &'host Host) -> Figures<'host> {
        Figures {
            derived: host
                .unattributed
                .as_ref()
                .and_then(|work| self.derive(work, 0)),
            exact: Some(&host.exact.unattributed),
            hooks: &host.exact,
        }
    }

    /// Work derived from what entered and left, where that is seen. `drops` are
    /// the frames dropped at the device, as far as that is known.
    pub(super) fn derive(&self, work: &Work, drops: u64) -> Option<SoftwareWork> {
        let seen = self.blind.work.is_none();
        seen.then(|| SoftwareWork::derive(work, drops))
    }
}
