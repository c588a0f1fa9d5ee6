//! One commit, from its journal to its end.

use std::{collections::HashSet, time::Duration};

use super::{
    change::{Job, awaited, changed, journalled, unexpected},
    enforcer::Enforcer,
    restore::{Restored, restore},
    take_back::{TakenBack, take_back, take_back_unread},
    verdict::Verdict,
    wait::Signals,
};
use crate::{
    clock,
    enforce::{
        audit::Action,
        error::EnforceError,
        here::seconds_until,
        journal::{Awaited, Commit, State},
        kernel::Refusal,
        plan::Change,
        watchdog::Watchdog,
    },
    sample::offloads::{FeatureSet, Features},
};

/// What became of changes.
#[derive(Debug)]
pub enum Outcome {
    /// They were made, as their verdicts tell.
    Applied(Vec<Verdict>),
    /// Something else changed with them: the whole commit was taken back.
    TakenBack {
        /// What became of the changes before.
        verdicts: Vec<Verdict>,
        /// The way back.
        taken_back: TakenBack,
    },
}

/// A commit that is journalled and watched. If it is dropped before its end the
/// watchdog takes it back once this process ends.
pub struct Session<'e> {
    pub(super) enforcer: &'e mut Enforcer,
    pub(super) commit: Commit,
    changes: Vec<Change>,
    /// Interfaces that were changed, for now or not.
    applied: HashSet<u32>,
    /// What is up to guests of what was applied.
    awaits_guest: Vec<Awaited>,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) signals: Option<Signals>,
}

impl<'e> Session<'e> {
    pub(super) fn start(
        enforcer: &'e mut Enforcer,
        commit: Commit,
        changes: Vec<Change>,
    ) -> Result<Self, EnforceError> {
        let mut session = Self {
            enforcer,
            commit,
            changes,
            applied: HashSet::new(),
            awaits_guest: Vec::new(),
            watchdog: None,
            signals: None,
        };
        match session.watch() {
            Ok(()) => Ok(session),
            Err(error) => {
                session.roll_back("its watchdog could not be started")?;
                Err(error)
            }
        }
    }

    /// What is journalled.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// What is to be changed.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The enforcer, to ask its kernel.
    pub fn enforcer(&mut self) -> &mut Enforcer {
        self.enforcer
    }

    /// Makes the changes of which these are the numbers in [`Self::changes`], the
    /// first time or once more, and reads them back. What is so already is not
    /// sent. If something else changes with them everything is taken back at once.
    pub fn apply(&mut self, which: &[usize]) -> Result<Outcome, EnforceError> {
        self.stay_watched()?;
        let jobs: Vec<Job<'_>> = which
            .iter()
            .filter_map(|index| self.changes.get(*index))
            .map(|change| Job {
                commit: self.commit.id,
                change,
                may: journalled(&self.commit, change),
                is_first: self.applied.insert(change.id.ifindex),
            })
            .collect();
        let locked = self.enforcer.store.clone();
        let locked = locked.lock()?;
        match locked.state(self.commit.id)? {
            State::Applying | State::Unconfirmed { .. } => {}
            other => return Err(self.not_mine(other)),
        }
        let id = self.commit.id;
        let verdicts = changed(self.enforcer, Action::Apply, &jobs);
        drop(locked);
        let made = verdicts.as_deref().unwrap_or_default();
        let awaited = awaited(&self.enforcer.names, &self.commit, &jobs, made);
        self.awaits_guest.extend(awaited);
        let verdicts = verdicts.or_else(|error| {
            // What cannot be read back, or told, does not stay.
            let because = error.to_string();
            self.roll_back(&because)?;
            let commit = self.commit.id;
            Err(EnforceError::TakenBack { commit, because })
        })?;
        if verdicts.iter().any(Verdict::is_not_permitted) {
            self.roll_back("it was not permitted")?;
            return Err(EnforceError::Refused(Refusal::NotPermitted));
        }
        match unexpected(&self.enforcer.names, &verdicts) {
            None => Ok(Outcome::Applied(verdicts)),
            Some(because) => match self.roll_back(&because)? {
                Some(taken_back) => Ok(Outcome::TakenBack {
                    verdicts,
                    taken_back,
                }),
                None => Err(self.not_mine(self.enforcer.store.state(id)?)),
            },
        }
    }

    /// All of them.
    pub fn apply_all(&mut self) -> Result<Outcome, EnforceError> {
        self.apply(&(0..self.changes.len()).collect::<Vec<_>>())
    }

    /// Takes all of it back for now: it can be made again. What became of each
    /// interface, last one first.
    pub fn suspend(&mut self) -> Result<Vec<Restored>, EnforceError> {
        self.stay_watched()?;
        let locked = self.enforcer.store.clone();
        let locked = locked.lock()?;
        match locked.state(self.commit.id)? {
            State::Applying | State::Unconfirmed { .. } => {}
            other => return Err(self.not_mine(other)),
        }
        let enforcer = &mut *self.enforcer;
        let (kernel, audit) = (&mut *enforcer.kernel, &mut enforcer.audit);
        let restored = restore(kernel, audit, &self.commit, Action::Suspend, &[]);
        drop(locked);
        restored.map_err(|error| self.give_up(error))
    }

    /// What the kernel tells of one of the changes' interfaces now.
    pub fn features(&mut self, index: usize) -> Result<Features, Refusal> {
        let id = &self.changes[index].id;
        self.enforcer.kernel.of(id)
    }

    /// Features of one of the changes' interfaces that it may switch.
    pub fn journalled(&self, index: usize) -> FeatureSet {
        journalled(&self.commit, &self.changes[index])
    }

    /// Sees to it that the commit is watched, and tells how it stands: somebody
    /// else may have settled it.
    pub fn tend(&mut self) -> Result<State, EnforceError> {
        let read = self.enforcer.store.state(self.commit.id);
        let tended = read.and_then(|state| {
            if !state.is_settled() {
                self.watch()?;
            }
            Ok(state)
        });
        tended.map_err(|error| self.give_up(error))
    }

    /// It stays.
    pub fn confirm(&mut self) -> Result<(), EnforceError> {
        let id = self.commit.id;
        let confirmed = confirm(self.enforcer, id, &self.awaits_guest, |state| match state {
            State::Applying => Ok(()),
            other => confirmable(id, other),
        });
        confirmed.map_err(|error| self.give_up(error))?;
        self.end();
        Ok(())
    }

    /// Begins the time in which it is to be confirmed.
    pub fn wait_for_confirmation(&mut self, within: Duration) -> Result<u64, EnforceError> {
        let until = self.begin_to_wait(within);
        until.map_err(|error| self.give_up(error))
    }

    fn begin_to_wait(&mut self, within: Duration) -> Result<u64, EnforceError> {
        self.watch()?;
        let id = self.commit.id;
        let within = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        let until_boottime_ns = clock::boottime_ns().saturating_add(within);
        let locked = self.enforcer.store.lock()?;
        match locked.state(id)? {
            State::Applying => {}
            other => {
                drop(locked);
                return Err(self.not_mine(other));
            }
        }
        let state = State::Unconfirmed { until_boottime_ns };
        locked.append_with(id, &state, &self.awaits_guest)?;
        drop(locked);
        let _ = self.enforcer.audit.stands(id, &state);
        let _ = self.enforcer.audit.sync();
        Ok(until_boottime_ns)
    }

    /// Takes all of it back; `None`: somebody else settled it before.
    pub fn roll_back(&mut self, because: &str) -> Result<Option<TakenBack>, EnforceError> {
        let enforcer = &mut *self.enforcer;
        let taken_back = take_back(
            &mut *enforcer.kernel,
            &enforcer.store,
            &mut enforcer.audit,
            &self.commit,
            because,
            Action::RollBack,
            |state| !state.is_settled(),
        )?;
        // If the journal does not tell, the watchdog must not end.
        if taken_back.as_ref().is_none_or(|it| it.untold.is_none()) {
            self.end();
        }
        Ok(taken_back)
    }

    /// Another watchdog if it has ended; what cannot be watched does not stay.
    fn stay_watched(&mut self) -> Result<(), EnforceError> {
        let watched = self.watch();
        watched.map_err(|error| self.give_up(error))
    }

    /// It cannot go on: what can neither be watched nor be told does not stay. What is
    /// told then.
    pub(super) fn give_up(&mut self, error: EnforceError) -> EnforceError {
        use EnforceError::{Busy, NotConfirmable, TakenBack};
        // Somebody else has settled it, or does.
        if matches!(error, Busy | NotConfirmable { .. } | TakenBack { .. }) {
            return error;
        }
        let because = error.to_string();
        match self.roll_back(&because) {
            Ok(Some(_)) => {}
            Ok(None) => return error,
            Err(_) => {
                let enforcer = &mut *self.enforcer;
                let (kernel, audit) = (&mut *enforcer.kernel, &mut enforcer.audit);
                if take_back_unread(kernel, audit, &self.commit).is_err() {
                    return error;
                }
                // It would do the same once more, later, whatever was changed since.
                if let Some(watchdog) = self.watchdog.take() {
                    watchdog.end();
                }
            }
        }
        let commit = self.commit.id;
        EnforceError::TakenBack { commit, because }
    }

    /// Starts a watchdog if there is none.
    fn watch(&mut self) -> Result<(), EnforceError> {
        if self.watchdog.as_mut().is_some_and(Watchdog::is_alive) {
            return Ok(());
        }
        let id = self.commit.id;
        let prepared = self.enforcer.prepared.take();
        if let Some(Ok(watchdog)) = prepared.map(|prepared| prepared.watch(id)) {
            self.watchdog = Some(watchdog);
            return Ok(());
        }
        let settings = &self.enforcer.settings;
        self.watchdog = Some(Watchdog::start(
            &settings.watchdog,
            &settings.state_dir,
            id,
        )?);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn kill_watchdog(&mut self) {
        if let Some(watchdog) = &self.watchdog {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(watchdog.pid()).expect("a pid"));
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
            while self.watchdog.as_mut().is_some_and(Watchdog::is_alive) {
                std::thread::yield_now();
            }
        }
    }

    /// The watchdog sees the state and ends.
    pub(super) fn end(&mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.reap();
        }
    }

    pub(super) fn not_mine(&self, state: State) -> EnforceError {
        let because = match state {
            State::RolledBack { because, .. } => because,
            other => format!("it is {}", other.word()),
        };
        EnforceError::TakenBack {
            commit: self.commit.id,
            because,
        }
    }
}

/// Whether a commit in this state can be confirmed now.
pub fn confirmable(id: u64, state: &State) -> Result<(), EnforceError> {
    let because = match state {
        State::Unconfirmed { until_boottime_ns } if seconds_until(*until_boottime_ns) > 0 => {
            return Ok(());
        }
        State::Unconfirmed { .. } => "its time is over; it is taken back".to_owned(),
        State::RolledBack { because, .. } => format!("it was taken back, because {because}"),
        other => format!("it is {}", other.word()),
    };
    Err(EnforceError::NotConfirmable {
        commit: id,
        because,
    })
}

/// Confirms a commit if its state, read when nobody else changes it, allows it.
fn confirm(
    enforcer: &mut Enforcer,
    id: u64,
    awaits_guest: &[Awaited],
    may: impl FnOnce(&State) -> Result<(), EnforceError>,
) -> Result<(), EnforceError> {
    let locked = enforcer.store.lock()?;
    let state = locked.state(id)?;
    may(&state)?;
    // What waits tells it already.
    let awaits_guest = match state {
        State::Applying => awaits_guest,
        _ => &[],
    };
    locked.append_with(id, &State::Confirmed, awaits_guest)?;
    drop(locked);
    let _ = enforcer.audit.stands(id, &State::Confirmed);
    let _ = enforcer.audit.sync();
    Ok(())
}
