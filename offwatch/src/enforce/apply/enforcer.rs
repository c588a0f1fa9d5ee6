//! The one process that changes features.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    change::{Job, awaited, changed, entries, unexpected},
    recover::{Recovered, recover},
    session::{Outcome, Session},
    take_back::{TakenBack, take_back},
    verdict::Verdict,
};
use serde::Serialize;

use crate::{
    clock,
    enforce::{
        audit::{Action, Audit, Who},
        definition::Card,
        error::EnforceError,
        here::{Here, Whose},
        journal::{Awaited, Commit, Definitions, Journalled, State, Store},
        kernel::Kernel,
        lock::EnforcerLock,
        plan::Change,
        target::Id,
        watchdog::{self, Prepared, Watchdog},
    },
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

/// How an enforcer works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the journal and the audit log are.
    pub state_dir: PathBuf,
    /// SHA-256 of the policy or advice.
    pub policy_sha256: Option<String>,
    /// What to start as a watchdog: this program.
    pub watchdog: PathBuf,
}

impl Settings {
    /// With a state directory.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            policy_sha256: None,
            watchdog: watchdog::PROGRAM.into(),
        }
    }
}

/// What became of changes that need no confirmation.
#[derive(Debug)]
pub struct Kept {
    /// The commit that has the state before of those not journalled before.
    pub commit: Option<u64>,
    /// What became of each, in the order of the changes.
    pub verdicts: Vec<Verdict>,
    /// The new commit was taken back: something else changed with it.
    pub taken_back: Option<TakenBack>,
}

/// The enforcer of a network namespace and a state directory; there is one as long
/// as this lives.
pub struct Enforcer {
    pub(super) kernel: Box<dyn Kernel>,
    pub(super) names: FeatureNames,
    pub(super) store: Store,
    pub(super) audit: Audit,
    pub(super) here: Here,
    pub(super) settings: Settings,
    /// A process that is to be the next watchdog.
    pub(super) prepared: Option<Prepared>,
    /// Of each interface, which commits have the state before of which features.
    covered: HashMap<Id, Vec<(u64, FeatureSet)>>,
    _lock: EnforcerLock,
}

impl Enforcer {
    /// Takes the locks, makes the state directory where it is missing, and settles
    /// what an enforcer before left. Must run in the network namespace of `kernel`.
    pub fn open(
        mut kernel: Box<dyn Kernel>,
        settings: Settings,
    ) -> Result<(Self, Recovered), EnforceError> {
        let here = Here::now()?;
        let store = Store::create(&settings.state_dir)?;
        let lock = EnforcerLock::take(&settings.state_dir)?;
        let mut audit = Audit::open(&settings.state_dir, &here)?;
        let because = "its enforcer and its watchdog had ended";
        let recovered = recover(&mut *kernel, &store, &mut audit, &here, true, because)?;
        let names = kernel.names().map_err(EnforceError::Features)?;
        let mut covered: HashMap<Id, Vec<_>> = HashMap::new();
        for journalled in store.list()? {
            let commit = journalled.commit;
            if journalled.state == State::Confirmed && here.whose(&commit) == Whose::Ours {
                for entry in commit.entries {
                    let of = covered.entry(entry.id).or_default();
                    of.push((commit.id, entry.set.mask));
                }
            }
        }
        let enforcer = Self {
            kernel,
            names,
            store,
            audit,
            here,
            settings,
            prepared: None,
            covered,
            _lock: lock,
        };
        Ok((enforcer, recovered))
    }

    /// Starts the process that will be the watchdog of the next commit, to have it
    /// when it is needed.
    pub fn prepare_watchdog(&mut self) {
        let settings = &self.settings;
        // If that fails, it fails again when it is needed.
        self.prepared = Watchdog::prepare(&settings.watchdog, &settings.state_dir).ok();
    }

    /// Journals a commit, durably, and starts its watchdog. Nothing is changed
    /// yet. `around` are interfaces whose features the kernel computes anew from
    /// those that change, see [`super::around`]. Without `confirm_within` the
    /// commit needs no confirmation.
    pub fn begin(
        &mut self,
        changes: Vec<Change>,
        around: &[Id],
        confirm_within: Option<Duration>,
    ) -> Result<Session<'_>, EnforceError> {
        let before = self.features()?;
        let commit = self.journal(&changes, around, &before, confirm_within, &State::Applying)?;
        Session::start(self, commit, changes)
    }

    /// Changes interfaces that need no confirmation, and no watchdog. Features
    /// whose state before an earlier commit has are changed without a new one. If
    /// something else changes with the new ones, these are taken back.
    pub fn keep(&mut self, changes: &[Change]) -> Result<Kept, EnforceError> {
        let (covered, new): (Vec<_>, Vec<_>) = changes
            .iter()
            .partition(|change| self.commit_of(change).is_some());
        let mut kept = Kept {
            commit: None,
            verdicts: Vec::with_capacity(changes.len()),
            taken_back: None,
        };
        if !new.is_empty() {
            let before = self.features()?;
            let new: Vec<Change> = new.into_iter().cloned().collect();
            let commit = self.journal(&new, &[], &before, None, &State::Confirmed)?;
            kept.commit = Some(commit.id);
            for entry in &commit.entries {
                let of = self.covered.entry(entry.id.clone()).or_default();
                of.push((commit.id, entry.set.mask));
            }
            let jobs: Vec<Job<'_>> = new
                .iter()
                .map(|change| Job {
                    commit: commit.id,
                    change,
                    may: change.asked.mask,
                    is_first: true,
                })
                .collect();
            let verdicts = match changed(self, Action::Apply, &jobs) {
                Ok(verdicts) => verdicts,
                Err(error) => {
                    // What cannot be read back, or told, does not stay.
                    let because = error.to_string();
                    self.take_back(&commit, &because)?;
                    let commit = commit.id;
                    return Err(EnforceError::TakenBack { commit, because });
                }
            };
            if let Some(because) = unexpected(&self.names, &verdicts) {
                kept.taken_back = self.take_back(&commit, &because)?;
            }
            // Where it cannot be written they are taken back like all others.
            let awaited = awaited(&self.names, &commit, &jobs, &verdicts);
            let _ = self.journal_awaited(commit.id, &awaited);
            kept.verdicts = verdicts;
        }
        let jobs: Vec<Job<'_>> = covered
            .into_iter()
            .map(|change| Job {
                commit: self.commit_of(change).unwrap_or_default(),
                change,
                may: change.send.mask,
                is_first: false,
            })
            .collect();
        if !jobs.is_empty() {
            kept.verdicts.extend(changed(self, Action::Reapply, &jobs)?);
        }
        Ok(kept)
    }

    /// Adds to a confirmed commit what is up to guests.
    fn journal_awaited(&self, id: u64, awaited: &[Awaited]) -> Result<(), EnforceError> {
        if awaited.is_empty() {
            return Ok(());
        }
        let locked = self.store.lock()?;
        match locked.state(id)? {
            State::Confirmed => locked.append_with(id, &State::Confirmed, awaited),
            _ => Ok(()),
        }
    }

    /// The last commit that has the state before of all that a change may send.
    fn commit_of(&self, change: &Change) -> Option<u64> {
        let of = self.covered.get(&change.id)?;
        let mut left = change.send.mask;
        for (_, mask) in of {
            left = left - *mask;
        }
        left.is_empty().then(|| of.last().map(|(id, _)| *id))?
    }

    /// Takes a confirmed commit back.
    pub fn take_back(
        &mut self,
        commit: &Commit,
        because: &str,
    ) -> Result<Option<TakenBack>, EnforceError> {
        for of in self.covered.values_mut() {
            of.retain(|(id, _)| *id != commit.id);
        }
        take_back(
            &mut *self.kernel,
            &self.store,
            &mut self.audit,
            commit,
            because,
            Action::RollBack,
            |state| *state == State::Confirmed,
        )
    }

    /// How changes stand, without making them.
    pub fn verify(&mut self, changes: &[Change]) -> Result<Vec<Verdict>, EnforceError> {
        let jobs: Vec<Job<'_>> = changes
            .iter()
            .map(|change| Job {
                commit: 0,
                change,
                may: FeatureSet::default(),
                is_first: false,
            })
            .collect();
        changed(self, Action::Apply, &jobs)
    }

    /// Adds a line to the audit log, of what is neither a change nor a state.
    pub fn tell(
        &mut self,
        commit: Option<u64>,
        action: &'static str,
        body: &impl Serialize,
    ) -> Result<(), EnforceError> {
        self.audit.tell(commit, action, body)
    }

    /// Whether a policy or an advice with this SHA-256 was confirmed, in this
    /// boot or an earlier one.
    pub fn confirmed_before(&self, sha256: &str) -> Result<bool, EnforceError> {
        for Journalled { commit, state } in self.store.list()? {
            let is_confirmed = match state {
                State::Confirmed => true,
                // A boot may be how a change ended that cut the host off.
                State::EndedByBoot => self.store.was_confirmed(commit.id)?,
                _ => false,
            };
            if is_confirmed && commit.policy_sha256.as_deref() == Some(sha256) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// SHA-256 of the policy or advice whose changes are made.
    pub fn policy_sha256(&self) -> Option<&str> {
        self.settings.policy_sha256.as_deref()
    }

    /// From now on changes are those of a policy or an advice with this SHA-256.
    pub fn set_policy(&mut self, sha256: Option<String>) {
        self.settings.policy_sha256 = sha256;
    }

    /// How the kernel calls its features.
    pub fn names(&self) -> &FeatureNames {
        &self.names
    }

    /// What the kernel tells of interfaces, for whoever plans.
    pub fn kernel(&mut self) -> &mut dyn Kernel {
        &mut *self.kernel
    }

    /// Its journal.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn features(&mut self) -> Result<HashMap<u32, Features>, EnforceError> {
        let listed = self.kernel.list().map_err(EnforceError::Features)?;
        Ok(listed.into_iter().collect())
    }

    fn journal(
        &mut self,
        changes: &[Change],
        around: &[Id],
        before: &HashMap<u32, Features>,
        confirm_within: Option<Duration>,
        state: &State,
    ) -> Result<Commit, EnforceError> {
        let commit = Commit {
            confirm_within_s: confirm_within.map(|time| time.as_secs()),
            entries: entries(changes, around, before),
            ..self.commit()
        };
        self.write(commit, state)
    }

    /// Journals what is to be changed of definitions, and starts its watchdog.
    pub(super) fn begin_definitions(
        &mut self,
        uri: &str,
        cards: Vec<Card>,
    ) -> Result<Session<'_>, EnforceError> {
        let commit = Commit {
            definitions: Some(Definitions {
                uri: uri.to_owned(),
                cards,
            }),
            ..self.commit()
        };
        let commit = self.write(commit, &State::Applying)?;
        Session::start(self, commit, Vec::new())
    }

    /// One of this process that changes nothing yet.
    fn commit(&self) -> Commit {
        let who = Who::this();
        Commit {
            id: 0,
            boot_id: self.here.boot_id.clone(),
            netns_cookie: self.here.netns_cookie,
            wall_clock_ms: clock::wall_clock_ms(),
            uid: who.uid,
            sudo_uid: who.sudo_uid,
            policy_sha256: self.settings.policy_sha256.clone(),
            confirm_within_s: None,
            names: self.names.clone(),
            entries: Vec::new(),
            definitions: None,
        }
    }

    /// Forgets interfaces that are not `there` any more, by ifindex.
    pub fn retain(&mut self, there: &HashSet<u32>) {
        self.covered.retain(|id, _| there.contains(&id.ifindex));
    }

    fn write(&mut self, mut commit: Commit, state: &State) -> Result<Commit, EnforceError> {
        let locked = self.store.lock()?;
        let (kernel, here) = (&mut self.kernel, &self.here);
        // Only asked if there are far too many.
        let mut there: Option<HashSet<u32>> = None;
        locked.begin(&mut commit, state, |old| {
            let there = there.get_or_insert_with(|| {
                let listed = kernel.list().unwrap_or_default();
                listed.into_iter().map(|(ifindex, _)| ifindex).collect()
            });
            let mut entries = old.entries.iter();
            // There is always one, lo.
            !there.is_empty()
                && old.definitions.is_none()
                && here.whose(old) == Whose::Ours
                && entries.all(|entry| !there.contains(&entry.id.ifindex))
        })?;
        let told = self
            .audit
            .begins(commit.id, commit.policy_sha256.as_deref());
        if let Err(error) = told {
            // Who must not tell must not change.
            let because = "the audit log could not be written".to_owned();
            let failed = Vec::new();
            locked.append(commit.id, &State::RolledBack { because, failed })?;
            return Err(error);
        }
        Ok(commit)
    }
}

impl Outcome {
    /// What became of each change.
    pub fn verdicts(&self) -> &[Verdict] {
        match self {
            Self::Applied(verdicts) | Self::TakenBack { verdicts, .. } => verdicts,
        }
    }
}
