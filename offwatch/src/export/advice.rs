//! Advice as series: what an evaluation said, until the next one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{labels::Labels, names};
use crate::{
    advise::{
        Advice, Report, Verdict, Window, catalogue, evaluate,
        price::{Effect, Price},
    },
    sample::Sample,
};

/// What an evaluation said; nothing before the first one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    pub(super) entries: Vec<Entry>,
    pub(super) window_seconds: f64,
    /// When its window ended, milliseconds since the Unix epoch.
    pub(super) evaluated_unix_ms: u64,
    /// How many evaluations there were, this one included; 0 before the first one.
    pub(super) evaluations: u64,
}

/// A piece of advice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// The VM it is about, as labels call it.
    vm: Option<Arc<str>>,
    /// The interface it is about, and its index.
    dev: Option<(String, Option<u32>)>,
    /// `rule`, `vm`, `dev` and `verdict`.
    pub(super) labels: Box<str>,
    /// How much of `labels` is `rule`, `vm` and `dev`.
    subject: usize,
    /// CPUs that following it saves, or keeps from being spent.
    pub(super) cpus: Option<f64>,
}

impl Entry {
    /// `rule`, `vm` and `dev`.
    pub(super) fn subject(&self) -> &str {
        &self.labels[..self.subject]
    }
}

impl Told {
    /// Asks all rules about the time between two samples; `evaluations` came before.
    pub fn evaluate(first: &Arc<Sample>, last: &Arc<Sample>, evaluations: u64) -> Self {
        let report = evaluate(&Window::new(first, last), &catalogue::rules());
        Self::of(&report, last, evaluations + 1)
    }

    fn of(report: &Report, sample: &Sample, evaluations: u64) -> Self {
        let names = names::names(&sample.vms);
        let by_identity = names::by_identity(&sample.vms, &names);
        let mut seen = HashSet::new();
        // By their text: no two are one series.
        let mut entries: BTreeMap<Box<str>, Entry> = BTreeMap::new();
        for advice in &report.advice {
            let subject = &advice.subject;
            let vm = subject.vm.as_deref().map(|name| {
                let known = by_identity.get(&(name, subject.vm_uuid.as_deref()));
                known.map_or_else(|| name.into(), Arc::clone)
            });
            let mut entry = entry(advice, vm);
            if !seen.insert(entry.subject().to_owned()) {
                entry.cpus = None;
            }
            entries.entry(entry.labels.clone()).or_insert(entry);
        }
        Self {
            entries: entries.into_values().collect(),
            window_seconds: report.window.seconds,
            evaluated_unix_ms: report.window.end_unix_ms,
            evaluations,
        }
    }

    /// Places of those that are about something that is there and shown, or about
    /// the host. `devs` has the interfaces with their indexes, `vms` the VMs.
    pub(super) fn shown(&self, devs: &HashMap<&str, u32>, vms: &HashSet<&str>) -> Vec<u32> {
        let is_shown = |entry: &Entry| match (&entry.dev, &entry.vm) {
            (Some((dev, ifindex)), _) => devs
                .get(&**dev)
                .is_some_and(|now| ifindex.is_none_or(|then| then == *now)),
            (None, Some(vm)) => vms.contains(&**vm),
            (None, None) => true,
        };
        let entries = (0..).zip(&self.entries);
        entries
            .filter(|(_, entry)| is_shown(entry))
            .map(|(place, _)| place)
            .collect()
    }
}

fn entry(advice: &Advice, vm: Option<Arc<str>>) -> Entry {
    let dev = advice.subject.dev.clone();
    let mut labels = Labels::default();
    labels.push("rule", &advice.rule);
    labels.push("vm", vm.as_deref().unwrap_or_default());
    labels.push("dev", dev.as_deref().unwrap_or_default());
    let subject = labels.as_str().len();
    labels.push("verdict", word(advice.verdict));
    Entry {
        vm,
        dev: dev.map(|dev| (dev, advice.subject.ifindex)),
        subject,
        labels: labels.into(),
        cpus: advice.price.as_ref().and_then(cpus),
    }
}

/// What following it costs is not told: nothing is saved.
fn cpus(price: &Price) -> Option<f64> {
    match price.effect {
        Effect::Saves | Effect::Avoids => Some(price.cores.value),
        Effect::Costs => None,
    }
}

/// As in the JSON of `advise`.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Change => "change",
        Verdict::FixInGuest => "fix_in_guest",
        Verdict::Upgrade => "upgrade",
        Verdict::NeedsTrial => "needs_trial",
        Verdict::Keep => "keep",
        Verdict::CannotSee => "cannot_see",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::Scene;

    #[test]
    fn advice_is_told_of_what_is_there() {
        let (first, last) = Scene::of_three(30).samples();
        let (first, last) = (Arc::new(first), Arc::new(last));
        let told = Told::evaluate(&first, &last, 4);
        assert_eq!((told.window_seconds, told.evaluations), (30.0, 5));
        let find = |text: &str| {
            let mut places = (0..).zip(&told.entries);
            let found = places.find(|(_, entry)| entry.labels.contains(text));
            found.unwrap_or_else(|| panic!("no {text} in {:?}", told.entries))
        };
        let (place, entry) = find("rule=\"tap-no-tso\",vm=\"legacy\"");
        assert!(entry.subject().ends_with('"') && !entry.subject().contains("verdict"));
        let (dev, ifindex) = entry.dev.clone().expect("about a tap");
        let ifindex = ifindex.expect("known");
        let vms = HashSet::new();
        let shown = |ifindex| told.shown(&HashMap::from([(&*dev, ifindex)]), &vms);
        assert!(shown(ifindex).contains(&place));
        assert!(
            !shown(ifindex + 1).contains(&place),
            "another interface has its name"
        );
        assert!(!told.shown(&HashMap::new(), &vms).contains(&place));
    }

    #[test]
    fn verdicts_are_those_of_the_json() {
        for verdict in [
            Verdict::Change,
            Verdict::FixInGuest,
            Verdict::Upgrade,
            Verdict::NeedsTrial,
            Verdict::Keep,
            Verdict::CannotSee,
        ] {
            assert_eq!(serde_json::json!(verdict), word(verdict));
        }
    }
}
