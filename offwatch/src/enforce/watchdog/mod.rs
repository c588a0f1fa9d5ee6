//! A process of its own that takes a commit back if its enforcer dies while it
//! applies it, or if nobody confirms it in time.
//!
//! The enforcer holds one end of a pipe that is the watchdog's stdin: its end is
//! the enforcer's. The watchdog holds a lock on the file of the commit for as
//! long as it lives, and says that it is ready by a byte on its stdout.

mod process;
mod wait;

use std::{path::Path, thread, time::Duration};

pub use self::process::{PROGRAM, Prepared, Watchdog, told};
use self::wait::Waiting;
pub(super) use self::wait::watch_file;
use super::{
    apply::{take_back, take_back_unread},
    audit::{Action, Audit},
    error::EnforceError,
    here::Here,
    journal::{Commit, State, Store},
    kernel::Kernel,
};
use crate::clock;

/// How often one tries to take a commit back if that fails.
const TRIES: u32 = 30;
const RETRY: Duration = Duration::from_secs(1);

/// Its work: returns when there is nothing to watch any more.
pub fn run(kernel: &mut dyn Kernel, state_dir: &Path, commit: u64) -> Result<(), EnforceError> {
    let store = Store::open(state_dir);
    let here = Here::now()?;
    let mut audit = Audit::open(state_dir, &here)?;
    let _alive = process::hold(&store.path(commit))?;
    let mut waiting = Waiting::open(&store.path(commit)).map_err(EnforceError::Wait)?;
    // What the enforcer wrote before is not missed: it is read only now.
    let commit = store.get(commit)?.commit;
    process::ready().map_err(EnforceError::Wait)?;
    let mut tries = 0;
    loop {
        match watch(kernel, &store, &mut audit, &commit, &mut waiting) {
            Err(error) if tries == TRIES => {
                // Of one that is settled there is nothing left to do.
                if store
                    .state(commit.id)
                    .map_or(true, |state| !state.is_settled())
                {
                    take_back_unread(kernel, &mut audit, &commit)?;
                }
                return Err(error);
            }
            Err(_) => {
                tries += 1;
                thread::sleep(RETRY);
            }
            done => return done,
        }
    }
}

/// Until the commit is settled.
fn watch(
    kernel: &mut dyn Kernel,
    store: &Store,
    audit: &mut Audit,
    commit: &Commit,
    waiting: &mut Waiting,
) -> Result<(), EnforceError> {
    loop {
        let state = store.state(commit.id)?;
        let (until, because) = match &state {
            State::Applying if waiting.is_enforcer_gone() => {
                (0, "the enforcer ended while it was applying")
            }
            State::Applying => (u64::MAX, ""),
            State::Unconfirmed { until_boottime_ns } => {
                (*until_boottime_ns, "nobody confirmed it in time")
            }
            _ => return Ok(()),
        };
        let due = clock::boottime_ns() >= until;
        if due || waiting.is_told_to_end() {
            let because = match due {
                true => because,
                false => "the watchdog was told to end",
            };
            let still = |now: &State| *now == state;
            let taken_back = take_back(
                kernel,
                store,
                audit,
                commit,
                because,
                Action::RollBack,
                still,
            )?;
            match taken_back.map(|taken_back| taken_back.untold) {
                None => continue,
                Some(None) => return Ok(()),
                Some(Some(error)) => return Err(error),
            }
        }
        waiting.until(until).map_err(EnforceError::Wait)?;
    }
}
