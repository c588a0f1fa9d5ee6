//! Takes a commit back.

use std::collections::HashMap;

use crate::{
    enforce::{
        audit::{Action, Audit, Deed},
        error::EnforceError,
        journal::{Awaited, Commit, Entry},
        kernel::{Kernel, Refusal, Reply, Request},
        target::Id,
    },
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

/// What a bond switches off in its ports when it is switched off in the bond:
/// nothing else is asked of an interface by another one.
const OF_PORTS: &str = "rx-lro";

/// What became of an interface whose change was taken back.
#[derive(Debug)]
pub struct Restored {
    /// Which.
    pub id: Id,
    /// What was sent; nothing if it was so already.
    pub sent: Request,
    /// Why it could not be, if so.
    pub refused: Option<Refusal>,
    /// What is not as before where its ifindex has another name now: that may have been
    /// renamed, or be another interface, and is left alone.
    pub renamed: Request,
    /// Those that its guest has negotiated since, and that are left to it and on: its
    /// driver was not there, or had not accepted them, when the commit was begun.
    pub left_to_guest: FeatureSet,
    /// Those that are still asked for otherwise than before.
    pub not_wanted: FeatureSet,
    /// Those that are asked for as before and are not so: what they need is off,
    /// or a guest accepts them no more.
    pub not_active: FeatureSet,
}

impl Restored {
    /// Whether there is nothing to take back any more.
    pub fn is_gone(&self) -> bool {
        matches!(self.refused, Some(Refusal::Gone(_))) && self.renamed.is_empty()
    }

    /// Why it is not as before, if so.
    pub fn failure(&self, names: &FeatureNames) -> Option<String> {
        match &self.refused {
            Some(Refusal::Gone(id)) => (!self.renamed.is_empty()).then(|| {
                format!(
                    "ifindex {} has another name now and may be another interface: left \
                     alone, not set back there: {}",
                    id.ifindex,
                    names.states(self.renamed.mask, self.renamed.on)
                )
            }),
            Some(refusal) => Some(refusal.to_string()),
            None if self.not_wanted.is_empty() => None,
            None => Some(format!(
                "the kernel kept {}",
                names.of(self.not_wanted).join(", ")
            )),
        }
    }
}

/// Asks for what was asked for before, last interface first, and reads it back. What was
/// `awaited` and is on now is left as it is.
pub(crate) fn restore(
    kernel: &mut dyn Kernel,
    audit: &mut Audit,
    commit: &Commit,
    action: Action,
    awaited: &[Awaited],
) -> Result<Vec<Restored>, EnforceError> {
    let features = |kernel: &mut dyn Kernel| -> Result<HashMap<u32, Features>, EnforceError> {
        let listed = kernel.list().map_err(EnforceError::Features)?;
        Ok(listed.into_iter().collect())
    };
    let now = features(kernel)?;
    let entries: Vec<&Entry> = commit.entries.iter().rev().collect();
    let left: Vec<FeatureSet> = entries
        .iter()
        .map(|entry| {
            let now = now.get(&entry.id.ifindex);
            now.map_or_else(FeatureSet::default, |now| guests(entry, now, awaited))
        })
        .collect();
    let requests: Vec<(&Id, Request)> = entries
        .iter()
        .zip(&left)
        .map(|(entry, left)| {
            let now = now.get(&entry.id.ifindex);
            let may = mask(&commit.names, entry) - *left;
            let request = now.map(|now| back(entry, now, may));
            (&entry.id, request.unwrap_or_default())
        })
        .collect();
    let sent: Vec<_> = requests
        .iter()
        .filter(|(_, request)| !request.is_empty())
        .copied()
        .collect();
    let mut answers = kernel.set_each(&sent).into_iter();
    let after = features(kernel)?;
    let mut restored = Vec::with_capacity(entries.len());
    for ((entry, left), (id, request)) in entries.into_iter().zip(left).zip(requests) {
        let answer = match request.is_empty() {
            // It may be another one.
            true => kernel.of(id).map(|_| Reply::default()),
            false => answers.next().unwrap_or_else(|| Ok(Reply::default())),
        };
        let after = after.get(&id.ifindex);
        let mask = mask(&commit.names, entry) - left;
        let after_changeable = after.map(|after| after.changeable).unwrap_or_default();
        let differs = |of: fn(&Features) -> FeatureSet| {
            let after = after.map(of).unwrap_or_default();
            (after ^ of(&entry.before)) & mask & after_changeable
        };
        let taken = answer.is_ok();
        let not_wanted = differs(|features| features.wanted);
        if let (false, Some(before)) = (request.is_empty(), now.get(&id.ifindex)) {
            // What is done is done, told or not.
            let _ = audit.did(
                commit.id,
                &commit.names,
                &Deed {
                    action,
                    id,
                    owner: entry.owner.as_ref(),
                    why: &entry.why,
                    before,
                    after: after.filter(|_| taken),
                    sent: &request,
                    reply: answer.as_ref(),
                },
            );
        }
        restored.push(Restored {
            id: id.clone(),
            sent: request,
            left_to_guest: left & after.map(|after| after.active).unwrap_or_default(),
            not_wanted: match taken {
                true => not_wanted,
                false => FeatureSet::default(),
            },
            not_active: match taken {
                true => differs(|features| features.active) - not_wanted,
                false => FeatureSet::default(),
            },
            renamed: match (&answer, after) {
                (Err(Refusal::Gone(_)), Some(after)) => back(entry, after, mask),
                _ => Request::default(),
            },
            refused: answer.err(),
        });
    }
    Ok(restored)
}

/// What leads back to what was asked for before, of what may be switched.
fn back(entry: &Entry, now: &Features, may: FeatureSet) -> Request {
    let whole = Request::between(now.wanted, entry.before.wanted);
    let mask = may & (now.changeable - now.never_changed);
    Request {
        mask: whole.mask & mask,
        on: whole.on & mask,
    }
}

/// What a guest's driver has negotiated since: before it was there all of it was off, and
/// nobody had asked for that.
fn guests(entry: &Entry, now: &Features, awaited: &[Awaited]) -> FeatureSet {
    let awaited = awaited.iter();
    awaited
        .filter(|awaited| awaited.ifindex == entry.id.ifindex)
        .fold(FeatureSet::default(), |all, awaited| all | awaited.features)
        & entry.set.on
        & now.active
}

/// What may have changed. What others ask of the interface since is theirs.
fn mask(names: &FeatureNames, entry: &Entry) -> FeatureSet {
    let ports = names.bit(OF_PORTS).into_iter().collect();
    match entry.set.is_empty() {
        true => ports,
        false => entry.set.mask,
    }
}
