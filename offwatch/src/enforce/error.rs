//! Why nothing, or not all, could be changed: one line each.

use std::{io, path::PathBuf};

use super::kernel::Refusal;

/// An error of a command that changes features. It tells what became of the
/// changes; the exit code is [`EnforceError::code`].
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// A file of the state directory cannot be used.
    #[error("{what} {path}: {source}{}", as_root(.source), path = .path.display())]
    State {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The journal cannot be written: without it there is no way back.
    #[error(
        "cannot write the journal {path}: {source}; nothing was changed{}",
        as_root(.source), path = .path.display()
    )]
    NoJournal {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can put into the state directory what decides what root changes.
    #[error("{path}: {reason}; nothing was changed", path = .path.display())]
    Untrusted {
        /// Which directory.
        path: PathBuf,
        /// Who can, and what to do.
        reason: String,
    },
    /// A file of the journal is not as it was written.
    #[error("{path}, line {line}: {reason}; move it away if it is not needed", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Line in it.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// There is no such commit.
    #[error("there is no commit {0}; `offwatch enforce status` lists them")]
    NoCommit(u64),
    /// Another process changes features.
    #[error("another enforcer runs ({}){}; nothing was changed", process(*.pid), .of)]
    AnotherEnforcer {
        /// Its process, if known.
        pid: Option<u32>,
        /// What they would share, with a space before it.
        of: &'static str,
    },
    /// A process that may be no enforcer has what an enforcer needs.
    #[error(
        "a process ({}){} has the socket @offwatch-enforce, which keeps enforcers out; end it \
         if it is none (`ss -xap` finds it); nothing was changed",
        process(*.pid),
        user(*.uid)
    )]
    NameTaken {
        /// Its process, if known.
        pid: Option<u32>,
        /// Its user, if known.
        uid: Option<u32>,
    },
    /// A `--watch` would apply again what is undone.
    #[error(
        "a --watch runs (pid {0}) and would apply it again: stop it first; nothing was changed"
    )]
    WatchRuns(u32),
    /// Another process works on the journal and does not end.
    #[error("the journal is in use by another offwatch for too long; nothing was changed")]
    Busy,
    /// A commit waits for its confirmation.
    #[error(
        "commit {commit} waits {left_s} s more for a confirmation; run `offwatch enforce confirm` or \
         `offwatch enforce rollback` first"
    )]
    Waits {
        /// Which.
        commit: u64,
        /// How long.
        left_s: u64,
    },
    /// With `--detach` nobody waits, so that there must be a deadline.
    #[error(
        "--detach leaves a commit to its deadline, and there is none: give --confirm TIME, or set \
         defaults.confirm in the policy; nothing was changed"
    )]
    NoDeadline,
    /// What was to be confirmed cannot be any more.
    #[error("commit {commit} cannot be confirmed: {because}")]
    NotConfirmable {
        /// Which.
        commit: u64,
        /// Why.
        because: String,
    },
    /// Nothing waits for a confirmation any more.
    #[error("nothing to confirm: commit {commit} was taken back, because {because}")]
    TooLate {
        /// Which.
        commit: u64,
        /// Why.
        because: String,
    },
    /// Nothing waits for a confirmation.
    #[error("nothing to confirm: no commit waits for a confirmation")]
    NothingWaits,
    /// What was to be undone cannot be.
    #[error("commit {commit} cannot be undone: {because}")]
    NotUndoable {
        /// Which.
        commit: u64,
        /// Why.
        because: String,
    },
    /// Nothing of what was to be taken back could be tried.
    #[error("commit {0} stands as it did: nothing of it could be tried")]
    Untried(u64),
    /// It could not go on, or somebody else took it back.
    #[error("commit {commit} was taken back: {because}")]
    TakenBack {
        /// Which.
        commit: u64,
        /// Why.
        because: String,
    },
    /// A policy wants its changes confirmed, and is none that was.
    #[error(
        "{0} wants its changes confirmed, and was not confirmed as it is now; run `offwatch \
         enforce --apply --policy {0}` and confirm it first, while no --watch runs"
    )]
    Unconfirmed(String),
    /// The watchdog cannot be started.
    #[error("cannot start the watchdog: {source}; nothing was changed")]
    NoWatchdog {
        /// What the system said.
        source: io::Error,
    },
    /// Features cannot be read.
    #[error("cannot read features: {0}; nothing was changed")]
    Features(io::Error),
    /// The kernel changes nothing for us.
    #[error("{0}; nothing was changed")]
    Refused(Refusal),
    /// `/proc` does not tell which boot or network namespace this is.
    #[error("cannot tell this boot and network namespace: {0}; nothing was changed")]
    Nowhere(io::Error),
    /// It is done, and nobody could be told.
    #[error("it is done, but {what}: {source}; `offwatch enforce status` tells of it")]
    Untold {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Waiting failed.
    #[error("cannot wait for the confirmation: {0}")]
    Wait(io::Error),
}

/// What helps where something is not permitted.
fn as_root(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run as root",
        _ => "",
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "pid unknown".into(), |pid| format!("pid {pid}"))
}

fn user(uid: Option<u32>) -> String {
    uid.map_or_else(String::new, |uid| format!(" of user {uid}"))
}

/// Nothing was changed.
const FAILURE: u8 = 1;
/// The command line asks for what cannot be.
const USAGE: u8 = 2;
/// It was taken back, or nobody could be told.
const NOT_AS_TOLD: u8 = 4;

impl EnforceError {
    /// Its exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::TakenBack { .. } | Self::Untold { .. } => NOT_AS_TOLD,
            Self::NoDeadline => USAGE,
            _ => FAILURE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_permission_is_told_to_be_root() {
        let told = |number| {
            let source = || io::Error::from_raw_os_error(number);
            let path = PathBuf::from("journal");
            let read = EnforceError::State {
                what: "cannot read the journal",
                path: path.clone(),
                source: source(),
            };
            let source = source();
            let write = EnforceError::NoJournal { path, source };
            [read, write].map(|error| error.to_string().ends_with("; run as root"))
        };
        assert_eq!(told(libc::EACCES), [true, true]);
        assert_eq!(told(libc::ENOSPC), [false, false]);
    }
}
