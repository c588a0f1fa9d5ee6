//! `offwatch enforce confirm`.

use crate::{
    cli::enforce::StateArgs,
    command::enforce::{ended, print},
    enforce::{
        apply,
        audit::Audit,
        error::EnforceError,
        here::{Here, Whose},
        journal::{State, Store},
    },
    error::Error,
};

/// Keeps what waits for a confirmation.
pub(super) fn run(args: &StateArgs) -> Result<u8, Error> {
    let store = Store::open(&args.state_dir);
    let here = Here::now()?;
    let mut waits = Vec::new();
    let mut settled = None;
    for journalled in store.list()? {
        let id = journalled.commit.id;
        match (&journalled.state, here.whose(&journalled.commit)) {
            (state, Whose::Ours) if !state.is_settled() => waits.push(id),
            (_, whose) => settled = Some((id, journalled.state, whose)),
        }
    }
    if waits.is_empty() {
        // Who comes too late learns what became of it.
        return Err(match settled {
            Some((id, state, Whose::Ours)) => apply::confirmable(id, &state)
                .err()
                .unwrap_or(EnforceError::NothingWaits),
            Some((commit, _, Whose::OtherNamespace)) => EnforceError::NotConfirmable {
                commit,
                because: "it belongs to another network namespace".into(),
            },
            _ => EnforceError::NothingWaits,
        }
        .into());
    }
    let mut audit = Audit::open(&args.state_dir, &here)?;
    for id in &waits {
        let locked = store.lock()?;
        apply::confirmable(*id, &locked.state(*id)?)?;
        locked.append(*id, &State::Confirmed)?;
        drop(locked);
        audit.stands(*id, &State::Confirmed)?;
    }
    audit.sync()?;
    let told = match args.json {
        true => format!(
            "{:#}\n",
            serde_json::json!({ "schema": "offwatch.enforce.confirm", "confirmed": waits })
        ),
        false => waits
            .iter()
            .map(|id| format!("commit {id} is confirmed\n"))
            .collect(),
    };
    ended(print(&told), 0, true)
}
