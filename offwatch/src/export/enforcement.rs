//! What `enforce` has changed on this host, and whether it is still so: its journal is
//! read, and nothing else.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use super::{labels, snapshot::Series, value::Value};
use crate::{
    clock,
    enforce::{
        error::EnforceError,
        here::{Here, Whose},
        journal::{Commit, State, Store},
    },
    filter::Filter,
    sample::Sample,
};

/// The journal is read again after so long.
const PAUSE_NS: u64 = 15_000_000_000;

/// Reads the journal now and then.
pub struct Enforcement {
    state_dir: PathBuf,
    /// Where this process runs.
    here: Option<Here>,
    /// Commits do not change; only those that are live are kept.
    live: BTreeMap<u64, Commit>,
    states: BTreeMap<u64, State>,
    read_ns: Option<u64>,
    unavailable: Option<String>,
}

/// What is enforced, as series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Enforced {
    /// By `state`.
    pub(super) commits: Vec<Series>,
    /// By `dev` and `commit`: whether the features are as they were set.
    pub(super) as_set: Vec<Series>,
    /// Why it is not known of others that stand.
    pub(super) unseen: Option<String>,
    /// When that was looked at, seconds since the Unix epoch.
    pub(super) verified_seconds: f64,
    /// When the next commit that is not confirmed is taken back, likewise.
    pub(super) deadline_seconds: Option<f64>,
}

impl Enforcement {
    /// Of the journal in a directory.
    pub fn new(state_dir: PathBuf) -> Self {
        Self {
            state_dir,
            here: None,
            live: BTreeMap::new(),
            states: BTreeMap::new(),
            read_ns: None,
            unavailable: None,
        }
    }

    /// What is enforced, as of a sample; none where that is not known.
    pub(super) fn read(&mut self, sample: &Sample, filter: &Filter) -> Option<Enforced> {
        let now = sample.monotonic_ns;
        let is_due = self
            .read_ns
            .is_none_or(|read| now.saturating_sub(read) >= PAUSE_NS);
        if is_due {
            self.read_ns = Some(now);
            self.unavailable = match self.read_journal() {
                Ok(true) => None,
                Ok(false) => Some(format!(
                    "there is no journal in {}",
                    self.state_dir.display()
                )),
                Err(error) => Some(error.to_string()),
            };
        }
        match self.unavailable {
            Some(_) => None,
            None => Some(self.enforced(sample, filter)),
        }
    }

    /// Why it is not known, if so.
    pub(super) fn unavailable(&self) -> Option<String> {
        self.unavailable.clone()
    }

    /// Whether there is a journal.
    fn read_journal(&mut self) -> Result<bool, EnforceError> {
        let store = Store::open(&self.state_dir);
        if !store.directory().exists() {
            return Ok(false);
        }
        if self.here.is_none() {
            self.here = Some(Here::now()?);
        }
        let mut states = BTreeMap::new();
        for id in store.numbers()? {
            match store.state(id) {
                Ok(state) => states.insert(id, state),
                // An old one that was removed since.
                Err(EnforceError::NoCommit(_)) => None,
                Err(error) => return Err(error),
            };
        }
        self.live
            .retain(|id, _| states.get(id).is_some_and(is_live));
        for (id, _) in states.iter().filter(|(_, state)| is_live(state)) {
            if !self.live.contains_key(id) {
                self.live.insert(*id, store.get(*id)?.commit);
            }
        }
        self.states = states;
        Ok(true)
    }

    fn enforced(&self, sample: &Sample, filter: &Filter) -> Enforced {
        let mut counts: BTreeMap<&str, u64> = STATES.map(|state| (state, 0)).into();
        for state in self.states.values() {
            *counts.entry(word(state)).or_default() += 1;
        }
        let commits = counts.into_iter().map(|(state, count)| Series {
            labels: labels::of(&[("state", state)]).into(),
            value: Value::Count(count),
        });
        let (as_set, unseen) = self.as_set(sample, filter);
        Enforced {
            commits: commits.collect(),
            as_set,
            unseen: unseen.told(),
            verified_seconds: sample.time_unix_ms as f64 / 1e3,
            deadline_seconds: self.deadline_seconds(sample),
        }
    }

    fn as_set(&self, sample: &Sample, filter: &Filter) -> (Vec<Series>, Unseen) {
        let (mut series, mut unseen) = (Vec::new(), Unseen::default());
        let Some(here) = &self.here else {
            return (series, unseen);
        };
        let of_hosts = self.live.values();
        let mut of_hosts = of_hosts
            .filter(|commit| commit.definitions.is_none())
            .peekable();
        if of_hosts.peek().is_none() {
            return (series, unseen);
        }
        let found = sample.interfaces.iter();
        let found: HashMap<u32, _> = found.map(|found| (found.ifindex, found)).collect();
        for commit in of_hosts {
            match here.whose(commit) {
                Whose::Ours => {}
                Whose::OtherBoot => {
                    unseen.earlier_boot.add(commit.id, "");
                    continue;
                }
                // Told by whoever exports that one.
                Whose::OtherNamespace => continue,
            }
            for entry in commit.entries.iter().filter(|entry| !entry.set.is_empty()) {
                let found = found.get(&entry.id.ifindex);
                let vm = entry.owner.as_ref().map(|owner| &*owner.vm);
                if !filter.shows(vm, Some(&entry.id.dev)) {
                    continue;
                }
                let Some(found) = found.filter(|found| *found.dev == *entry.id.dev) else {
                    unseen.gone.add(commit.id, &entry.id.dev);
                    continue;
                };
                let Some(features) = found.offloads.features.known() else {
                    unseen.unknown.add(commit.id, &found.dev);
                    continue;
                };
                let wrong = (features.active ^ entry.set.on) & entry.set.mask;
                let commit = commit.id.to_string();
                series.push(Series {
                    labels: labels::of(&[("dev", &found.dev), ("commit", &commit)]).into(),
                    value: Value::of(wrong.is_empty()),
                });
            }
        }
        (series, unseen)
    }

    fn deadline_seconds(&self, sample: &Sample) -> Option<f64> {
        let here = self.here.as_ref()?;
        let deadlines = self.live.iter().filter_map(|(id, commit)| {
            let State::Unconfirmed { until_boottime_ns } = self.states.get(id)? else {
                return None;
            };
            (here.whose(commit) == Whose::Ours).then_some(*until_boottime_ns)
        });
        let left = deadlines.min()?.saturating_sub(clock::boottime_ns());
        Some(sample.time_unix_ms as f64 / 1e3 + left as f64 / 1e9)
    }
}

/// Of what it is not known whether it is as it was set.
#[derive(Default)]
struct Unseen {
    earlier_boot: Few,
    gone: Few,
    unknown: Few,
}

/// The first of some, and how many there are.
#[derive(Default)]
struct Few {
    first: Option<(u64, String)>,
    count: usize,
}

impl Few {
    fn add(&mut self, commit: u64, dev: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| (commit, dev.to_owned()));
    }

    fn told(&self, text: impl Fn(u64, &str) -> String) -> Option<String> {
        let (commit, dev) = self.first.as_ref()?;
        let text = text(*commit, dev);
        Some(match self.count - 1 {
            0 => text,
            others => format!("{text}, and {others} more"),
        })
    }
}

impl Unseen {
    /// Why; none where everything is known.
    fn told(&self) -> Option<String> {
        let reasons = [
            self.gone.told(|commit, dev| {
                format!("{dev} of commit {commit} is gone or has another name")
            }),
            self.unknown.told(|commit, dev| {
                format!("the features of {dev} (commit {commit}) cannot be read")
            }),
            self.earlier_boot
                .told(|commit, _| format!("commit {commit} is of an earlier boot")),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

/// All states, by the words of the journal.
const STATES: [&str; 6] = [
    "applying",
    "unconfirmed",
    "confirmed",
    "rolled_back",
    "undone",
    "ended_by_boot",
];

fn word(state: &State) -> &'static str {
    match state {
        State::Applying => STATES[0],
        State::Unconfirmed { .. } => STATES[1],
        State::Confirmed => STATES[2],
        State::RolledBack { .. } => STATES[3],
        State::Undone { .. } => STATES[4],
        State::EndedByBoot => STATES[5],
    }
}

/// What it changed is to be as it set it.
fn is_live(state: &State) -> bool {
    matches!(
        state,
        State::Applying | State::Unconfirmed { .. } | State::Confirmed
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        enforce::{journal::Entry, kernel::Request, plan::Why, target::Id},
        sample::{
            Interface,
            offloads::{Fact, FeatureNames, Features, Offloads},
        },
    };

    /// A host where only feature 3 of `tap1` is on.
    fn sample(second: u64) -> Sample {
        let features = Features {
            active: [3].into_iter().collect(),
            ..Features::default()
        };
        let tap = Interface {
            dev: "tap1".into(),
            ifindex: 7,
            offloads: Arc::new(Offloads {
                features: Fact::Known(features),
                ..Offloads::default()
            }),
            ..Interface::default()
        };
        Sample {
            monotonic_ns: second * 1_000_000_000,
            time_unix_ms: second * 1000,
            interfaces: vec![tap.into()],
            ..Sample::default()
        }
    }

    fn entry(here: &Here, dev: &str, feature: usize) -> Entry {
        let mut set = Request::default();
        set.switch(feature, true);
        Entry {
            id: Id {
                netns: here.netns,
                ifindex: 7,
                dev: dev.to_owned(),
            },
            owner: None,
            before: Features::default(),
            set,
            why: Why::default(),
        }
    }

    fn commit(here: &Here, entries: Vec<Entry>) -> Commit {
        Commit {
            id: 0,
            boot_id: here.boot_id.clone(),
            netns_cookie: here.netns_cookie,
            wall_clock_ms: 0,
            uid: 0,
            sudo_uid: None,
            policy_sha256: None,
            confirm_within_s: None,
            names: FeatureNames::default(),
            entries,
            definitions: None,
        }
    }

    fn labels(series: &[Series]) -> Vec<(&str, Value)> {
        let pairs = series.iter().map(|one| (&*one.labels, one.value));
        pairs.collect()
    }

    #[test]
    fn commits_that_stand_are_looked_at() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let here = Here::now().expect("here");
        let store = Store::create(directory.path()).expect("a journal");
        let add = |entries, state: State| {
            let locked = store.lock().expect("a lock");
            let begun = locked.begin(&mut commit(&here, entries), &state, |_| false);
            begun.expect("begun");
        };
        add(vec![entry(&here, "tap1", 3)], State::Confirmed);
        add(vec![entry(&here, "tap1", 4)], State::Confirmed);
        let failed = Vec::new();
        add(vec![entry(&here, "tap1", 4)], State::Undone { failed });
        add(vec![entry(&here, "gone", 3)], State::Confirmed);
        let filter = Filter::new(&[], &[]).expect("no pattern");
        let mut enforcement = Enforcement::new(directory.path().to_owned());
        let enforced = enforcement.read(&sample(1), &filter).expect("known");
        let expected = [
            ("dev=\"tap1\",commit=\"1\"", Value::Count(1)),
            ("dev=\"tap1\",commit=\"2\"", Value::Count(0)),
        ];
        assert_eq!(labels(&enforced.as_set), expected);
        let unseen = enforced.unseen.as_deref();
        assert_eq!(unseen, Some("gone of commit 4 is gone or has another name"));
        let commits = labels(&enforced.commits);
        assert_eq!(commits.len(), STATES.len());
        assert!(commits.contains(&("state=\"confirmed\"", Value::Count(3))));
        assert!(commits.contains(&("state=\"undone\"", Value::Count(1))));
        assert_eq!(enforced.deadline_seconds, None);

        // A commit of an earlier boot, whose interfaces went with it.
        let mut earlier = commit(&here, vec![entry(&here, "tap1", 3)]);
        earlier.boot_id = "another".into();
        let locked = store.lock().expect("a lock");
        let begun = locked.begin(&mut earlier, &State::Confirmed, |_| false);
        begun.expect("begun");
        drop(locked);

        // It is read again after a while alone.
        let until_boottime_ns = clock::boottime_ns() + 60_000_000_000;
        add(Vec::new(), State::Unconfirmed { until_boottime_ns });
        let soon = enforcement.read(&sample(15), &filter).expect("known");
        assert_eq!(soon.deadline_seconds, None);
        let later = enforcement.read(&sample(16), &filter).expect("known");
        let deadline = later.deadline_seconds.expect("one waits");
        assert!(deadline > 16.0 && deadline <= 76.0, "{deadline}");
        assert_eq!(enforcement.unavailable(), None);
        assert_eq!(labels(&later.as_set), expected);
        let unseen = later.unseen.expect("two");
        assert!(
            unseen.ends_with("; commit 5 is of an earlier boot"),
            "{unseen}"
        );
    }

    #[test]
    fn without_a_journal_nothing_is_known() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let filter = Filter::new(&[], &[]).expect("no pattern");
        let mut enforcement = Enforcement::new(directory.path().join("none"));
        assert_eq!(enforcement.read(&sample(1), &filter), None);
        let reason = enforcement.unavailable().expect("a reason");
        assert!(reason.starts_with("there is no journal in "), "{reason}");
    }
}
