//! Settles what enforcers before left unsettled.

use super::take_back::{TakenBack, take_back};
use crate::{
    clock,
    enforce::{
        audit::{Action, Audit},
        error::EnforceError,
        here::{Here, Whose, seconds_until},
        journal::{State, Store},
        kernel::Kernel,
    },
};

/// What became of commits that an enforcer before left.
#[derive(Debug, Default)]
pub struct Recovered {
    /// They were taken back.
    pub taken_back: Vec<TakenBack>,
    /// Their interfaces went with the boot.
    pub ended_by_boot: Vec<u64>,
    /// They belong to another network namespace: not ours to settle.
    pub elsewhere: Vec<u64>,
}

/// Settles them. No enforcer of this network namespace runs, and the caller is
/// about to be one, or `waits` is `false` and also what waits for a confirmation is
/// taken back, because of `because`.
pub fn recover(
    kernel: &mut dyn Kernel,
    store: &Store,
    audit: &mut Audit,
    here: &Here,
    waits: bool,
    because: &str,
) -> Result<Recovered, EnforceError> {
    let mut recovered = Recovered::default();
    let mut ours = Vec::new();
    for id in store.numbers()? {
        let journalled = store.get(id)?;
        if journalled.state.is_settled() && journalled.state != State::Confirmed {
            continue;
        }
        match here.whose(&journalled.commit) {
            Whose::OtherBoot => {
                let locked = store.lock()?;
                if locked.state(id)? == journalled.state {
                    locked.append(id, &State::EndedByBoot)?;
                    audit.stands(id, &State::EndedByBoot)?;
                }
                recovered.ended_by_boot.push(id);
            }
            _ if journalled.state == State::Confirmed => {}
            Whose::OtherNamespace => recovered.elsewhere.push(id),
            Whose::Ours => ours.push(journalled),
        }
    }
    // The last one first, as it found what those before it had left.
    for journalled in ours.into_iter().rev() {
        let id = journalled.commit.id;
        if let State::Unconfirmed { until_boottime_ns } = journalled.state
            && waits
            && clock::boottime_ns() < until_boottime_ns
            && store.has_watchdog(id)
        {
            return Err(EnforceError::Waits {
                commit: id,
                left_s: seconds_until(until_boottime_ns),
            });
        }
        let unsettled = |state: &State| !state.is_settled();
        recovered.taken_back.extend(take_back(
            kernel,
            store,
            audit,
            &journalled.commit,
            because,
            Action::RollBack,
            unsettled,
        )?);
    }
    Ok(recovered)
}
