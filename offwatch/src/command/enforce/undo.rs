//! `offwatch enforce undo`.

use std::{fs, path::Path};

use super::{ended, kernel, print, print_text, taken_back};
use crate::{
    cli::enforce::StateArgs,
    enforce::{
        apply::{TakenBack, recover, take_back},
        audit::{Action, Audit},
        error::EnforceError,
        here::{Here, Whose, seconds_until},
        journal::{Commit, Journalled, State, Store},
        lock::EnforcerLock,
    },
    error::Error,
};

/// Takes back commits that were confirmed: the last one, those named, or all.
pub(super) fn run(commits: &[u64], all: bool, args: &StateArgs) -> Result<u8, Error> {
    let store = Store::open(&args.state_dir);
    let here = Here::now()?;
    let journal = store.list()?;
    if commits.is_empty()
        && let Some(waits) = waits(&journal, &here)
    {
        return Err(waits.into());
    }
    let chosen = chosen(&journal, &here, commits, all)?;
    let mut taken: Vec<TakenBack> = Vec::new();
    if !chosen.is_empty() {
        // A --watch would apply it again at once.
        let _lock = EnforcerLock::take(&args.state_dir)
            .map_err(|error| watch_runs(error, Path::new("/proc")))?;
        let mut audit = Audit::open(&args.state_dir, &here)?;
        let mut kernel = kernel()?;
        let because = "its enforcer and its watchdog had ended";
        let recovered = recover(&mut *kernel, &store, &mut audit, &here, true, because)?;
        taken.extend(recovered.taken_back);
        for journalled in chosen.into_iter().rev() {
            taken.extend(take_back(
                &mut *kernel,
                &store,
                &mut audit,
                &journalled.commit,
                "it was undone",
                Action::Undo,
                |state| *state == State::Confirmed,
            )?);
        }
    }
    let printed = match (args.json, taken.is_empty()) {
        (true, _) => print(&taken_back::json("offwatch.enforce.undo", &taken)),
        (false, false) => print_text(&taken_back::text(&taken)),
        (false, true) => print_text("nothing to undo: no commit is confirmed\n"),
    };
    ended(printed, taken_back::code(&taken), !taken.is_empty())
}

/// A commit that waits for its confirmation: it is not to be undone but rolled back.
fn waits(journal: &[Journalled], here: &Here) -> Option<EnforceError> {
    journal.iter().find_map(|journalled| {
        let State::Unconfirmed { until_boottime_ns } = journalled.state else {
            return None;
        };
        let left_s = seconds_until(until_boottime_ns);
        let is_ours = here.whose(&journalled.commit) == Whose::Ours;
        (is_ours && left_s > 0).then_some(EnforceError::Waits {
            commit: journalled.commit.id,
            left_s,
        })
    })
}

/// Tells of a --watch where that is the other enforcer, by its command line.
fn watch_runs(error: EnforceError, proc: &Path) -> EnforceError {
    let EnforceError::AnotherEnforcer { pid: Some(pid), .. } = error else {
        return error;
    };
    let words = fs::read(proc.join(pid.to_string()).join("cmdline")).unwrap_or_default();
    match words
        .split(|byte| *byte == 0)
        .any(|word| word == b"--watch")
    {
        true => EnforceError::WatchRuns(pid),
        false => error,
    }
}

/// Oldest first.
fn chosen<'j>(
    journal: &'j [Journalled],
    here: &Here,
    commits: &[u64],
    all: bool,
) -> Result<Vec<&'j Journalled>, EnforceError> {
    let is_live = |journalled: &&Journalled| {
        let commit = &journalled.commit;
        journalled.state == State::Confirmed
            && here.whose(commit) == Whose::Ours
            && !is_empty(commit)
    };
    let live: Vec<&Journalled> = journal.iter().filter(is_live).collect();
    if all {
        return Ok(live);
    }
    if commits.is_empty() {
        return Ok(live.last().copied().into_iter().collect());
    }
    for id in commits {
        let found = journal
            .iter()
            .find(|journalled| journalled.commit.id == *id);
        let found = found.ok_or(EnforceError::NoCommit(*id))?;
        if let Some(because) = obstacle(found, &live, here, commits) {
            return Err(EnforceError::NotUndoable {
                commit: *id,
                because,
            });
        }
    }
    Ok(live
        .into_iter()
        .filter(|journalled| commits.contains(&journalled.commit.id))
        .collect())
}

/// It only says that a policy is confirmed.
fn is_empty(commit: &Commit) -> bool {
    commit.definitions.is_none() && commit.entries.is_empty()
}

/// Why a commit cannot be taken back, if so.
fn obstacle(
    found: &Journalled,
    live: &[&Journalled],
    here: &Here,
    commits: &[u64],
) -> Option<String> {
    match here.whose(&found.commit) {
        Whose::Ours => {}
        Whose::OtherBoot => return Some("it ended with the boot it was made in".into()),
        Whose::OtherNamespace => return Some("it belongs to another network namespace".into()),
    }
    match &found.state {
        State::Confirmed if is_empty(&found.commit) => {
            return Some("it changed nothing, and only says that its policy is confirmed".into());
        }
        State::Confirmed => {}
        state if !state.is_settled() => {
            return Some("it is not confirmed; run `offwatch enforce rollback`".into());
        }
        state => return Some(format!("it is {}", state.word())),
    }
    // What was before the later one is what this one made.
    let later = live.iter().find(|later| {
        later.commit.id > found.commit.id
            && !commits.contains(&later.commit.id)
            && overlap(later, found)
    })?;
    let (one, other) = (found.commit.id, later.commit.id);
    Some(format!(
        "commit {other} changed the same again; run `offwatch enforce undo {one} {other}`"
    ))
}

fn overlap(one: &Journalled, other: &Journalled) -> bool {
    one.commit.entries.iter().any(|entry| {
        let mut others = other.commit.entries.iter();
        others.any(|other| other.id == entry.id && !(other.set.mask & entry.set.mask).is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::apply::testing::{self, GRO, InMemory};

    #[test]
    fn what_waits_is_to_be_rolled_back() {
        let (host, state) = (InMemory::with(&["tap0"]), testing::State::new());
        let changes = vec![host.change("tap0", &[(GRO, false)])];
        state.enforcer(&host).keep(&changes).expect("kept");
        let store = Store::open(&state.path());
        let until_boottime_ns = u64::MAX;
        let locked = store.lock().expect("the lock");
        locked
            .append(1, &State::Unconfirmed { until_boottime_ns })
            .expect("written");
        drop(locked);
        let args = StateArgs {
            state_dir: state.path(),
            json: false,
        };
        let told = run(&[], false, &args).expect_err("it waits").to_string();
        assert!(told.contains("`offwatch enforce rollback` first"), "{told}");
    }

    #[test]
    fn a_watch_is_told_of() {
        let proc = tempfile::tempdir().expect("a directory");
        let told = |words: &str| {
            fs::create_dir_all(proc.path().join("7")).expect("made");
            fs::write(proc.path().join("7/cmdline"), words).expect("written");
            let another = EnforceError::AnotherEnforcer {
                pid: Some(7),
                of: "",
            };
            watch_runs(another, proc.path()).to_string()
        };
        let told_of_a_watch = told("offwatch\0enforce\0--watch\0");
        assert!(
            told_of_a_watch.starts_with("a --watch runs (pid 7)"),
            "{told_of_a_watch}"
        );
        let other = told("offwatch\0enforce\0--apply\0");
        assert!(
            other.starts_with("another enforcer runs (pid 7)"),
            "{other}"
        );
    }
}
