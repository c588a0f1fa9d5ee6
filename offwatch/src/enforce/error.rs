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
    /// What was to be confirmed cannot be any more.
    #[error("commit {commit} cannot be confirmed: {because}")]
    NotConfirmable {
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
         enforce --apply --policy {0}` and confirm it first"
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

/// Nothing was changed.
const FAILURE: u8 = 1;
/// It was taken back.
const TAKEN_BACK: u8 = 4;

impl EnforceError {
    /// Its exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::TakenBack { .. } => TAKEN_BACK,
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
