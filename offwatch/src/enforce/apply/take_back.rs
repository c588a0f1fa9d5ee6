//! Takes a commit back and says so in the journal.

use super::{
    definitions::{self, RestoredCard},
    restore::{Restored, restore},
};
use crate::{
    enforce::{
        audit::{Action, Audit},
        error::EnforceError,
        journal::{Commit, State, Store},
        kernel::{Kernel, Refusal},
    },
    sample::offloads::FeatureNames,
};

/// A commit that was taken back.
#[derive(Debug)]
pub struct TakenBack {
    /// Its number.
    pub commit: u64,
    /// Why.
    pub because: String,
    /// How the kernel calls its features.
    pub names: FeatureNames,
    /// Its interfaces, last one first.
    pub interfaces: Vec<Restored>,
    /// Its cards of VMs' definitions, last one first.
    pub cards: Vec<RestoredCard>,
    /// Why the journal does not tell of it, if so: it will be done again at the
    /// next start, which changes nothing then.
    pub untold: Option<EnforceError>,
}

impl TakenBack {
    /// Whether every interface that is still there is as before.
    pub fn is_complete(&self) -> bool {
        let wrong = |interface: &Restored| match &interface.refused {
            Some(_) => !interface.is_gone(),
            None => !interface.not_wanted.is_empty(),
        };
        !self.interfaces.iter().any(wrong) && self.cards.iter().all(|card| card.failed.is_none())
    }

    /// What is not as before, and why.
    pub fn failed(&self) -> Vec<(String, String)> {
        failed(&self.names, &self.interfaces, &self.cards)
    }

    /// That it is taken back, in one line for a log.
    pub fn line(&self) -> String {
        let failed = self.failed().into_iter();
        let failed = failed.map(|(name, why)| format!("; {name} could not be set back: {why}"));
        let failed: String = failed.collect();
        format!(
            "commit {} was taken back: {}{failed}",
            self.commit, self.because
        )
    }
}

fn failed(
    names: &FeatureNames,
    interfaces: &[Restored],
    cards: &[RestoredCard],
) -> Vec<(String, String)> {
    let cards = cards
        .iter()
        .filter_map(|card| Some((card.name.clone(), card.failed.clone()?)));
    let interfaces = interfaces.iter().filter_map(|interface| {
        let failure = interface.failure(names)?;
        Some((interface.id.dev.clone(), failure))
    });
    interfaces.chain(cards).collect()
}

/// Nothing was done, for want of a permission, or as libvirt does not answer.
fn is_untried(interfaces: &[Restored], cards: &[RestoredCard]) -> bool {
    let mut sent = interfaces
        .iter()
        .filter(|it| !it.sent.is_empty() && it.renamed.is_empty());
    let is_refused = |it: &Restored| matches!(it.refused, Some(Refusal::NotPermitted));
    let is_any = sent.clone().next().is_some() || !cards.is_empty();
    is_any && sent.all(is_refused) && cards.iter().all(|card| card.is_untried)
}

/// Restores every interface of a commit of which the journal cannot be read any more:
/// nobody can confirm it, and what nobody can confirm does not stay.
pub fn take_back_unread(
    kernel: &mut dyn Kernel,
    audit: &mut Audit,
    commit: &Commit,
) -> Result<(), EnforceError> {
    restore(kernel, audit, commit, Action::RollBack, &[])?;
    definitions::restore(commit);
    Ok(())
}

/// Restores every interface of a commit while nobody else changes the journal, if
/// it still stands as `still` says; `None` if it does not.
pub fn take_back(
    kernel: &mut dyn Kernel,
    store: &Store,
    audit: &mut Audit,
    commit: &Commit,
    because: &str,
    action: Action,
    still: impl FnOnce(&State) -> bool,
) -> Result<Option<TakenBack>, EnforceError> {
    let locked = store.lock()?;
    if !still(&locked.state(commit.id)?) {
        return Ok(None);
    }
    let awaited = match action {
        // Only what was confirmed is meant to outlive the start of a guest.
        Action::Undo => store.awaited(commit.id)?,
        _ => Vec::new(),
    };
    let interfaces = restore(kernel, audit, commit, action, &awaited)?;
    let cards = definitions::restore(commit);
    let failed = failed(&commit.names, &interfaces, &cards);
    let state = match action {
        Action::Undo => State::Undone { failed },
        _ => State::RolledBack {
            because: because.to_owned(),
            failed,
        },
    };
    // What could not even be tried stands as it did, to be tried again.
    let told = match is_untried(&interfaces, &cards) {
        true => Err(EnforceError::Untried(commit.id)),
        false => {
            let told = locked.append(commit.id, &state);
            let _ = audit.stands(commit.id, &state);
            told
        }
    };
    let _ = audit.sync();
    Ok(Some(TakenBack {
        commit: commit.id,
        because: because.to_owned(),
        names: commit.names.clone(),
        interfaces,
        cards,
        untold: told.err(),
    }))
}
