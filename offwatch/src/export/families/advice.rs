//! Metrics of advice and of what is enforced.

use super::{Family, Kind, Values, series};
use crate::export::{
    advice::{Entry, Told},
    enforcement::Enforced,
    snapshot::Snapshot,
    value::Value,
};

const SECONDS: Option<&str> = Some("seconds");

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "offwatch_advice",
        kind: Kind::Gauge,
        unit: None,
        help: "What a rule of `offwatch advise` says of a VM, an interface or the host; always 1. \
               Verdicts: change, fix_in_guest, upgrade, needs_trial, keep, cannot_see.",
        labels: &["rule", "vm", "dev", "verdict"],
        values: Values::OfHost(|snapshot, to| {
            for entry in shown(snapshot) {
                to.series(&entry.labels, None, Value::Count(1));
            }
        }),
    },
    Family {
        name: "offwatch_advice_cpus",
        kind: Kind::Gauge,
        unit: None,
        help: "CPUs that following the advice likely saves or, where it says to keep something, \
               that it keeps from being spent; only where it is priced.",
        labels: &["rule", "vm", "dev"],
        values: Values::OfHost(|snapshot, to| {
            for entry in shown(snapshot) {
                if let Some(cpus) = entry.cpus {
                    to.series(entry.subject(), None, Value::Number(cpus));
                }
            }
        }),
    },
    Family {
        name: "offwatch_advice_window_seconds",
        kind: Kind::Gauge,
        unit: SECONDS,
        help: "Length of the time that the last evaluation looked at.",
        labels: &[],
        values: Values::Host(|snapshot| Some(Value::Number(evaluated(snapshot)?.window_seconds))),
    },
    Family {
        name: "offwatch_advice_last_evaluation_timestamp_seconds",
        kind: Kind::Gauge,
        unit: SECONDS,
        help: "When that time ended, since the Unix epoch.",
        labels: &[],
        values: Values::Host(|snapshot| {
            Some(Value::unix_ms(evaluated(snapshot)?.evaluated_unix_ms))
        }),
    },
    Family {
        name: "offwatch_advice_evaluations",
        kind: Kind::Counter,
        unit: None,
        help: "Evaluations of all rules: 0 before the first one, whose window is 30 seconds or more; \
               absent with --no-advice.",
        labels: &[],
        values: Values::Host(|snapshot| Some(Value::Count(told(snapshot)?.evaluations))),
    },
    Family {
        name: "offwatch_enforcement_commits",
        kind: Kind::Gauge,
        unit: None,
        help: "Commits in the journal of `offwatch enforce`, by state.",
        labels: &["state"],
        values: Values::OfHost(|snapshot, to| {
            if let Some(enforced) = enforced(snapshot) {
                series(&enforced.commits, to);
            }
        }),
    },
    Family {
        name: "offwatch_enforcement_as_set",
        kind: Kind::Gauge,
        unit: None,
        help: "Whether the features that a commit set are still as it set them; of commits of \
               this network namespace that are not taken back.",
        labels: &["dev", "commit"],
        values: Values::OfHost(|snapshot, to| {
            if let Some(enforced) = enforced(snapshot) {
                series(&enforced.as_set, to);
            }
        }),
    },
    Family {
        name: "offwatch_enforcement_last_verified_timestamp_seconds",
        kind: Kind::Gauge,
        unit: SECONDS,
        help: "When that was looked at last, since the Unix epoch.",
        labels: &["dev", "commit"],
        values: Values::OfHost(|snapshot, to| {
            let Some(enforced) = enforced(snapshot) else {
                return;
            };
            for one in &enforced.as_set {
                to.series(&one.labels, None, Value::Number(enforced.verified_seconds));
            }
        }),
    },
    Family {
        name: "offwatch_enforcement_unconfirmed_deadline_timestamp_seconds",
        kind: Kind::Gauge,
        unit: SECONDS,
        help: "When the next commit that is not confirmed is taken back, since the Unix epoch.",
        labels: &[],
        values: Values::Host(|snapshot| {
            let deadline = enforced(snapshot)?.deadline_seconds;
            deadline.map(Value::Number)
        }),
    },
];

fn told(snapshot: &Snapshot) -> Option<&Told> {
    snapshot.advice.as_ref().map(|(told, _)| &**told)
}

/// What the last evaluation said, if there was one.
fn evaluated(snapshot: &Snapshot) -> Option<&Told> {
    told(snapshot).filter(|told| told.evaluations > 0)
}

/// Advice about what is shown.
fn shown(snapshot: &Snapshot) -> impl Iterator<Item = &Entry> {
    let advice = snapshot.advice.iter();
    advice.flat_map(|(told, shown)| shown.iter().map(|place| &told.entries[*place as usize]))
}

fn enforced(snapshot: &Snapshot) -> Option<&Enforced> {
    snapshot.enforced.as_ref()
}
