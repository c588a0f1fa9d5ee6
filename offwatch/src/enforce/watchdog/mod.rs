//! A process of its own that takes a commit back if its enforcer dies while it
//! applies it, or if nobody confirms it in time.
//!
//! The enforcer holds one end of a pipe that is the watchdog's stdin: its end is
//! the enforcer's. The watchdog holds a lock on the file of the commit for as
//! long as it lives, and says that it is ready by a byte on its stdout.

mod process;
mod wait;

use std::path::Path;

pub use self::process::{PROGRAM, Watchdog};
use self::wait::Waiting;
pub(super) use self::wait::watch_file;
use super::{
    apply::take_back,
    audit::{Action, Audit},
    error::EnforceError,
    here::Here,
    journal::{State, Store},
    kernel::Kernel,
};
use crate::clock;

/// Its work: returns when there is nothing to watch any more.
pub fn run(kernel: &mut dyn Kernel, state_dir: &Path, commit: u64) -> Result<(), EnforceError> {
    let store = Store::open(state_dir);
    let here = Here::now()?;
    let mut audit = Audit::open(state_dir, &here)?;
    let _alive = process::hold(&store.path(commit))?;
    let mut waiting = Waiting::open(&store.path(commit)).map_err(EnforceError::Wait)?;
    // What the enforcer wrote before is not missed: it is read only now.
    let journalled = store.get(commit)?;
    process::ready().map_err(EnforceError::Wait)?;
    let commit = journalled.commit;
    loop {
        let state = store.get(commit.id)?.state;
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
            if take_back(
                kernel,
                &store,
                &mut audit,
                &commit,
                because,
                Action::RollBack,
                still,
            )?
            .is_some()
            {
                return Ok(());
            }
            continue;
        }
        waiting.until(until).map_err(EnforceError::Wait)?;
    }
}
