//! `offwatch enforce status`. Changes nothing.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{print, print_text, still::Still, switched};
use crate::{
    cli::enforce::StateArgs,
    enforce::{
        definition::Card,
        error::EnforceError,
        here::{Here, Whose, seconds_until},
        journal::{Commit, Entry, Journalled, State, Store},
        kernel::Kernel,
    },
    error::Error,
    sample::offloads::FeatureNames,
    text::plain,
};

/// So many commits are told, beside those that can still be taken back.
const NEWEST: usize = 20;

/// Tells of commits, oldest first.
pub(super) fn run(all: bool, args: &StateArgs) -> Result<u8, Error> {
    let store = Store::open(&args.state_dir);
    let here = Here::now()?;
    let journal = store.list()?;
    let mut now = Now {
        here: &here,
        kernel: super::kernel(),
    };
    match args.json {
        true => {
            let commits = journal.iter().map(|commit| value(commit, &store, &mut now));
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
            let shown: Vec<_> = shown(&journal, &here, all).collect();
            let commits = shown.iter().map(|commit| text(commit, &store, &mut now));
            let commits: String = commits.collect();
            print_text(&match journal.len() - shown.len() {
                0 => commits,
                older => format!("{older} older commits are not shown (--all)\n{commits}"),
            })
        }
    }?;
    Ok(0)
}

/// The newest ones, and those that can still be taken back.
fn shown<'j>(
    journal: &'j [Journalled],
    here: &'j Here,
    all: bool,
) -> impl Iterator<Item = &'j Journalled> {
    let first = match all {
        true => 0,
        false => journal.len().saturating_sub(NEWEST),
    };
    let commits = journal.iter().enumerate();
    commits
        .filter(move |(at, commit)| *at >= first || is_live(commit, here))
        .map(|(_, commit)| commit)
}

/// It is applied, and here.
fn is_live(journalled: &Journalled, here: &Here) -> bool {
    let is_applied = match journalled.state {
        State::Applying | State::Unconfirmed { .. } | State::Confirmed => true,
        State::RolledBack { .. } | State::Undone { .. } | State::EndedByBoot => false,
    };
    is_applied && here.whose(&journalled.commit) == Whose::Ours
}

/// What can be known of interfaces now.
struct Now<'h> {
    here: &'h Here,
    kernel: Result<Box<dyn Kernel>, EnforceError>,
}

impl Now<'_> {
    /// Whether what was sent is still so; of commits that are applied, and here.
    fn still(&mut self, journalled: &Journalled, entry: &Entry) -> Option<Still> {
        if entry.set.is_empty() || !is_live(journalled, self.here) {
            return None;
        }
        Some(match &mut self.kernel {
            Ok(kernel) => Still::of(entry, &journalled.commit.names, &mut **kernel),
            Err(EnforceError::Features(error)) => Still::Unknown(error.to_string()),
            Err(error) => Still::Unknown(error.to_string()),
        })
    }
}

fn text(journalled: &Journalled, store: &Store, now: &mut Now<'_>) -> String {
    let Journalled { commit, state } = journalled;
    let mut text = format!("commit {} of {}", commit.id, time(commit.wall_clock_ms));
    text += &format!(" by uid {}", commit.uid);
    if let Some(uid) = commit.sudo_uid {
        text += &format!(" (sudo of uid {uid})");
    }
    text += &format!(": {}\n", standing(journalled, store, now.here));
    for entry in &commit.entries {
        if let Some(told) = told(entry, &commit.names) {
            let still = now.still(journalled, entry);
            let still = still.map(|still| format!("; {}", still.words()));
            text += &format!("  {told}{}\n", still.unwrap_or_default());
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
    let set = names.states(entry.set.mask, entry.set.on);
    let mut told = format!("{}: {set}", entry.id.dev);
    if let Some(owner) = &entry.owner {
        told += &format!(" (VM {})", plain(&owner.vm));
    }
    if let Some(reason) = &entry.why.reason {
        told += &format!(": {}", plain(reason));
    }
    Some(told)
}

fn value(journalled: &Journalled, store: &Store, now: &mut Now<'_>) -> Value {
    let Journalled { commit, state } = journalled;
    let left = match state {
        State::Unconfirmed { until_boottime_ns } => Some(seconds_until(*until_boottime_ns)),
        _ => None,
    };
    let whose = now.here.whose(commit);
    let entries = commit.entries.iter().map(|entry| {
        json!({
            "id": entry.id,
            "owner": entry.owner,
            "set": switched(&entry.set, &commit.names),
            "why": entry.why,
            "now": now.still(journalled, entry),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::apply::testing::{self, GRO, InMemory};

    #[test]
    fn the_newest_and_those_that_are_applied_are_shown() {
        let (host, state) = (InMemory::with(&["tap0"]), testing::State::new());
        let changes = vec![host.change("tap0", &[(GRO, false)])];
        state.enforcer(&host).keep(&changes).expect("kept");
        let store = Store::open(&state.path());
        let commit = store.get(1).expect("it").commit;
        let numbered = |id, state: State| Journalled {
            commit: Commit {
                id,
                ..commit.clone()
            },
            state,
        };
        let undone = |id| numbered(id, State::Undone { failed: Vec::new() });
        let mut journal = vec![undone(1), numbered(2, State::Confirmed)];
        journal.extend((3..30).map(undone));
        let here = Here::now().expect("here");
        let ids = |all| -> Vec<u64> {
            let shown = shown(&journal, &here, all);
            shown.map(|journalled| journalled.commit.id).collect()
        };
        let newest: Vec<u64> = std::iter::once(2).chain(10..30).collect();
        assert_eq!(ids(false), newest);
        assert_eq!(ids(true), (1..30).collect::<Vec<_>>());
    }
}
