//! `offwatch enforce undo`.

use super::{ended, kernel, print, print_text, taken_back};
use crate::{
    cli::enforce::StateArgs,
    enforce::{
        apply::{TakenBack, recover, take_back},
        audit::{Action, Audit},
        error::EnforceError,
        here::{Here, Whose},
        journal::{Journalled, State, Store},
        lock::EnforcerLock,
    },
    error::Error,
};

/// Takes back commits that were confirmed: the last one, those named, or all.
pub(super) fn run(commits: &[u64], all: bool, args: &StateArgs) -> Result<u8, Error> {
    let store = Store::open(&args.state_dir);
    let here = Here::now()?;
    let journal = store.list()?;
    let chosen = chosen(&journal, &here, commits, all)?;
    let mut taken: Vec<TakenBack> = Vec::new();
    if !chosen.is_empty() {
        // A --watch would apply it again at once.
        let _lock = EnforcerLock::take(&args.state_dir)?;
        let mut audit = Audit::open(&args.state_dir, &here)?;
        let mut kernel = kernel()?;
        let because = "its enforcer and its watchdog had ended";
        recover(&mut *kernel, &store, &mut audit, &here, true, because)?;
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

/// Oldest first.
fn chosen<'j>(
    journal: &'j [Journalled],
    here: &Here,
    commits: &[u64],
    all: bool,
) -> Result<Vec<&'j Journalled>, EnforceError> {
    let is_live = |journalled: &&Journalled| {
        journalled.state == State::Confirmed && here.whose(&journalled.commit) == Whose::Ours
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
