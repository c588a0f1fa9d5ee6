//! `offwatch enforce confirm`.

use crate::{
    cli::enforce::StateArgs,
    command::enforce::{ended, print},
    enforce::{
        apply,
        audit::Audit,
        error::EnforceError,
        here::{Here, Whose},
        journal::{Commit, State, Store},
    },
    error::Error,
};

/// Keeps what waits for a confirmation.
pub(super) fn run(args: &StateArgs) -> Result<u8, Error> {
    let store = Store::open(&args.state_dir);
    let here = Here::now()?;
    let (mut waits, mut applied) = (Vec::new(), Vec::new());
    let (mut settled, mut elsewhere) = (None, None);
    for journalled in store.list()? {
        let id = journalled.commit.id;
        match (&journalled.state, here.whose(&journalled.commit)) {
            (State::Unconfirmed { .. }, Whose::Ours) => waits.push(id),
            (State::Applying, Whose::Ours) => applied.push(id),
            (state, Whose::OtherNamespace) if !state.is_settled() => elsewhere = Some(id),
            (_, Whose::Ours) => settled = Some((journalled.commit, journalled.state)),
            _ => {}
        }
    }
    if waits.is_empty() {
        // It is told that these cannot be.
        waits = applied;
    }
    if waits.is_empty() {
        // Who comes too late learns what became of it.
        return Err(match (elsewhere, settled) {
            (Some(commit), _) => EnforceError::NotConfirmable {
                commit,
                because: "it belongs to another network namespace".into(),
            },
            (
                None,
                Some((
                    Commit {
                        id,
                        confirm_within_s: Some(_),
                        ..
                    },
                    State::RolledBack { because, .. },
                )),
            ) => EnforceError::TooLate {
                commit: id,
                because,
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
        // It is confirmed, told there or not.
        let _ = audit.stands(*id, &State::Confirmed);
    }
    let _ = audit.sync();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::apply::testing::{self, GRO, InMemory};

    #[test]
    fn a_commit_that_waits_for_nothing_is_not_told_of() {
        let (host, state) = (InMemory::with(&["tap0"]), testing::State::new());
        let changes = vec![host.change("tap0", &[(GRO, false)])];
        state.enforcer(&host).keep(&changes).expect("kept");
        let args = StateArgs {
            state_dir: state.path(),
            json: false,
        };
        let error = run(&args).expect_err("nothing waits");
        let told = "nothing to confirm: no commit waits for a confirmation";
        assert_eq!((error.to_string().as_str(), error.code()), (told, 1));
    }
}
