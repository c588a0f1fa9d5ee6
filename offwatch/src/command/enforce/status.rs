//! `offwatch enforce status`. Changes nothing.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{print, print_text, switched, words};
use crate::{
    cli::enforce::StateArgs,
    enforce::{
        definition::Card,
        here::{Here, Whose, seconds_until},
        journal::{Commit, Entry, Journalled, State, Store},
    },
    error::Error,
    sample::offloads::FeatureNames,
    text::plain,
};

/// Tells of every commit, oldest first.
pub(super) fn run(args: &StateArgs) -> Result<u8, Error> {
    let store = Store::open(&args.state_dir);
    let here = Here::now()?;
    let journal = store.list()?;
    match args.json {
        true => {
            let commits = journal.iter().map(|commit| value(commit, &store, &here));
            print(&format!(
                "{:#}\n",
                json!({
                    "schema": "offwatch.enforce.status",
                    "commits": commits.collect::<Vec<_>>(),
                })
            ))
        }
        false if journal.is_empty() => print_text(&format!(
            "nothing was changed: no commit in {}\n",
            store.directory().display()
        )),
        false => {
            let commits = journal.iter().map(|commit| text(commit, &store, &here));
            print_text(&commits.collect::<String>())
        }
    }?;
    Ok(0)
}

fn text(journalled: &Journalled, store: &Store, here: &Here) -> String {
    let Journalled { commit, state } = journalled;
    let mut text = format!("commit {} of {}", commit.id, time(commit.wall_clock_ms));
    text += &format!(" by uid {}", commit.uid);
    if let Some(uid) = commit.sudo_uid {
        text += &format!(" (sudo of uid {uid})");
    }
    text += &format!(": {}\n", standing(journalled, store, here));
    for entry in &commit.entries {
        if let Some(told) = told(entry, &commit.names) {
            text += &format!("  {told}\n");
        }
    }
    for card in cards(commit) {
        text += &format!("  {}: {}\n", card.name(), card.words());
    }
    let failed = match state {
        State::RolledBack { failed, .. } | State::Undone { failed } => failed.as_slice(),
        _ => &[],
    };
    for (dev, reason) in failed {
        text += &format!("  {dev} could not be set back: {reason}\n");
    }
    text
}

/// How a commit stands, and what will become of it.
fn standing(journalled: &Journalled, store: &Store, here: &Here) -> String {
    let Journalled { commit, state } = journalled;
    let word = state.word();
    match here.whose(commit) {
        Whose::OtherBoot if *state != State::EndedByBoot => {
            return format!("{word}, and ended by a boot: its interfaces are gone");
        }
        Whose::OtherNamespace => return format!("{word}; of another network namespace"),
        _ => {}
    }
    let watched = match store.has_watchdog(commit.id) {
        true => "its watchdog runs",
        false => "it has no watchdog: the next start of enforce takes it back",
    };
    match state {
        State::Applying => format!("{word}; {watched}"),
        State::Unconfirmed { until_boottime_ns } => {
            let left = seconds_until(*until_boottime_ns);
            format!("{word}, {left} s left; {watched}")
        }
        State::RolledBack { because, .. } => format!("{word}: {because}"),
        State::Confirmed | State::Undone { .. } | State::EndedByBoot => word.into(),
    }
}

fn cards(commit: &Commit) -> impl Iterator<Item = &Card> {
    let definitions = commit.definitions.iter();
    definitions.flat_map(|definitions| &definitions.cards)
}

fn told(entry: &Entry, names: &FeatureNames) -> Option<String> {
    if entry.set.is_empty() {
        return None;
    }
    let set = words(entry.set.mask, entry.set.on, names);
    let mut told = format!("{}: {set}", entry.id.dev);
    if let Some(owner) = &entry.owner {
        told += &format!(" (VM {})", plain(&owner.vm));
    }
    if let Some(reason) = &entry.why.reason {
        told += &format!(": {}", plain(reason));
    }
    Some(told)
}

fn value(journalled: &Journalled, store: &Store, here: &Here) -> Value {
    let Journalled { commit, state } = journalled;
    let left = match state {
        State::Unconfirmed { until_boottime_ns } => Some(seconds_until(*until_boottime_ns)),
        _ => None,
    };
    let whose = here.whose(commit);
    let entries = commit.entries.iter().map(|entry| {
        json!({
            "id": entry.id,
            "owner": entry.owner,
            "set": switched(&entry.set, &commit.names),
            "why": entry.why,
        })
    });
    json!({
        "commit": commit.id,
        "time_unix_ms": commit.wall_clock_ms,
        "uid": commit.uid,
        "sudo_uid": commit.sudo_uid,
        "policy_sha256": commit.policy_sha256,
        "state": state,
        "seconds_left": left,
        "watchdog": store.has_watchdog(commit.id),
        "this_boot": whose != Whose::OtherBoot,
        "this_namespace": whose == Whose::Ours,
        "interfaces": entries.collect::<Vec<_>>(),
        "definitions": cards(commit).collect::<Vec<_>>(),
    })
}

fn time(wall_clock_ms: u64) -> String {
    let time = i64::try_from(wall_clock_ms).ok();
    let time = time.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(
        || "an unknown time".into(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}
