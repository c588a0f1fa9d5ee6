//! Asks the kernel for changes, and reads back what came of them.

use std::collections::HashMap;

use super::{enforcer::Enforcer, verdict::Verdict};
use crate::{
    enforce::{
        audit::{Action, Deed},
        error::EnforceError,
        journal::{Awaited, Commit, Entry},
        kernel::{Refusal, Reply, Request},
        plan::{Because, Change, Why},
        predict::negotiable,
        target::Id,
    },
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

/// Up to so many interfaces are asked for their features one by one.
const FEW: usize = 8;

/// A change, and what of it may be sent.
pub(super) struct Job<'a> {
    /// The commit that has the state before.
    pub(super) commit: u64,
    pub(super) change: &'a Change,
    /// Features of which it has it.
    pub(super) may: FeatureSet,
    /// Nothing of it was sent before.
    pub(super) is_first: bool,
}

impl Job<'_> {
    /// What a guest's driver has made so or will, of what is to be on: what was on already
    /// when it was to be sent, and what is not on since it was. Before its driver was there,
    /// as the state before tells, nobody had asked for it to be off.
    fn of_guest(&self, names: &FeatureNames, verdict: &Verdict) -> FeatureSet {
        let after = verdict
            .after
            .filter(|_| self.is_first && self.change.is_tap);
        let Some(after) = after else {
            return FeatureSet::default();
        };
        let negotiable = negotiable(names);
        let sent = verdict.sent.on;
        let had_driver = |features: &Features| !(features.wanted & negotiable).is_empty();
        let already = match had_driver(&self.change.before) {
            true => FeatureSet::default(),
            false => verdict.before.active - sent,
        };
        let is_guests = |because: &Because| match because {
            Because::NotNegotiated => true,
            // With a driver there, somebody may only have switched off what it needs.
            Because::Needs(other) => {
                negotiable.contains(*other)
                    && (sent.contains(*other) || !had_driver(&verdict.before))
            }
            _ => false,
        };
        let awaited = verdict
            .unmet
            .iter()
            .filter(|unmet| is_guests(&unmet.because))
            .map(|unmet| unmet.bit)
            .collect::<FeatureSet>();
        (already | awaited & (sent - after.active)) & self.change.asked.on & self.may & negotiable
    }
}

/// Entries of the journal: what is to be sent, and interfaces around it.
pub(super) fn entries(
    changes: &[Change],
    around: &[Id],
    before: &HashMap<u32, Features>,
) -> Vec<Entry> {
    let changes = changes.iter().filter_map(|change| {
        let before = *before.get(&change.id.ifindex)?;
        let entry = Entry {
            id: change.id.clone(),
            owner: change.owner.clone(),
            before,
            set: to_send(change, &before),
            why: change.why.clone(),
        };
        (!entry.set.is_empty()).then_some(entry)
    });
    let around = around.iter().filter_map(|id| {
        Some(Entry {
            id: id.clone(),
            owner: None,
            before: *before.get(&id.ifindex)?,
            set: Request::default(),
            why: Why::default(),
        })
    });
    changes.chain(around).collect()
}

/// What of a change is not asked of the kernel already.
fn to_send(change: &Change, now: &Features) -> Request {
    let asked = change.asked;
    let mask = ((now.wanted ^ asked.on) & asked.mask & now.changeable) - now.never_changed;
    Request {
        mask,
        on: asked.on & mask,
    }
}

/// Sends what is not so already, reads it back, and tells the audit log.
pub(super) fn changed(
    enforcer: &mut Enforcer,
    action: Action,
    jobs: &[Job<'_>],
) -> Result<Vec<Verdict>, EnforceError> {
    let before = read(enforcer, jobs)?;
    let requests: Vec<Request> = jobs
        .iter()
        .zip(&before)
        .map(|(job, before)| {
            let send = before.as_ref().map(|before| to_send(job.change, before));
            let send = send.unwrap_or_default();
            Request {
                mask: send.mask & job.may,
                on: send.on & job.may,
            }
        })
        .collect();
    let sent: Vec<(&Id, Request)> = jobs
        .iter()
        .zip(&requests)
        .filter(|(_, request)| !request.is_empty())
        .map(|(job, request)| (&job.change.id, *request))
        .collect();
    let mut answers = enforcer.kernel.set_each(&sent).into_iter();
    let after = match sent.is_empty() {
        true => None,
        false => Some(read(enforcer, jobs)?),
    };
    let mut after = after.into_iter().flatten();
    let mut verdicts = Vec::with_capacity(jobs.len());
    for ((job, before), request) in jobs.iter().zip(before).zip(requests) {
        let change = job.change;
        let after = after.next();
        let before = match before {
            Ok(before) => before,
            Err(refusal) => {
                verdicts.push(Verdict::refused(&enforcer.names, change, refusal));
                continue;
            }
        };
        let after = after.unwrap_or(Ok(before));
        let answer = match request.is_empty() {
            true => Ok(Reply::default()),
            false => answers.next().unwrap_or_else(|| Ok(Reply::default())),
        };
        if !request.is_empty() {
            let deed = Deed {
                action,
                id: &change.id,
                owner: change.owner.as_ref(),
                why: &change.why,
                before: &before,
                after: after.as_ref().ok(),
                sent: &request,
                reply: answer.as_ref(),
            };
            enforcer.audit.did(job.commit, &enforcer.names, &deed)?;
        }
        verdicts.push(Verdict::new(
            &enforcer.names,
            change,
            request,
            before,
            answer,
            after,
        ));
    }
    // What is done again and again is not waited for.
    if action == Action::Apply && !sent.is_empty() {
        enforcer.audit.sync()?;
    }
    Ok(verdicts)
}

fn read(
    enforcer: &mut Enforcer,
    jobs: &[Job<'_>],
) -> Result<Vec<Result<Features, Refusal>>, EnforceError> {
    if jobs.len() <= FEW {
        let each = jobs.iter().map(|job| enforcer.kernel.of(&job.change.id));
        return Ok(each.collect());
    }
    let listed = enforcer.features()?;
    let each = jobs.iter().map(|job| {
        let id = &job.change.id;
        let features = listed.get(&id.ifindex).copied();
        features.ok_or_else(|| Refusal::Gone(id.clone()))
    });
    Ok(each.collect())
}

/// What of an interface has its state before in a commit.
pub(super) fn journalled(commit: &Commit, change: &Change) -> FeatureSet {
    let mut entries = commit.entries.iter();
    let entry = entries.find(|entry| entry.id == change.id);
    entry.map(|entry| entry.set.mask).unwrap_or_default()
}

/// What changed though nobody asked for it or knew that it would.
pub(super) fn unexpected(names: &FeatureNames, verdicts: &[Verdict]) -> Option<String> {
    let told: Vec<String> = verdicts
        .iter()
        .filter(|verdict| !verdict.unexpected.is_empty())
        .map(|verdict| {
            let features = names.of(verdict.unexpected).join(", ");
            format!("{} of {}", features, verdict.id.dev)
        })
        .collect();
    let (first, more) = told.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        more => format!(" and of {more} more interfaces"),
    };
    Some(format!("{first}{more} changed with it, unforeseen"))
}

/// What is up to guests of what was to be sent.
pub(super) fn awaited(
    names: &FeatureNames,
    commit: &Commit,
    jobs: &[Job<'_>],
    verdicts: &[Verdict],
) -> Vec<Awaited> {
    let awaited = jobs.iter().zip(verdicts).map(|(job, verdict)| Awaited {
        ifindex: verdict.id.ifindex,
        features: job.of_guest(names, verdict) & journalled(commit, job.change),
    });
    awaited
        .filter(|awaited| !awaited.features.is_empty())
        .collect()
}

/// Interfaces whose features the kernel computes anew from those that change:
/// what they are ports of, and ports of what they are.
pub fn around(changes: &[Change], masters: &[(Id, Option<u32>)], names: &FeatureNames) -> Vec<Id> {
    let changed = |ifindex: u32| changes.iter().any(|change| change.id.ifindex == ifindex);
    let is_master = |ifindex: u32| changes.iter().any(|change| change.master == Some(ifindex));
    // A bond that is to be without LRO has its ports do without.
    let lro = names.bit("rx-lro");
    let is_port = |master: Option<u32>| {
        changes.iter().any(|change| {
            master == Some(change.id.ifindex)
                && lro.is_some_and(|lro| change.send.mask.contains(lro))
        })
    };
    masters
        .iter()
        .filter(|(id, master)| !changed(id.ifindex) && (is_master(id.ifindex) || is_port(*master)))
        .map(|(id, _)| id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = [
        "tx-scatter-gather",
        "tx-checksum-ip-generic",
        "tx-tcp-segmentation",
        "tx-tcp6-segmentation",
    ];
    const SG: usize = 0;
    const CSUM: usize = 1;
    const TSO: usize = 2;
    const TSO6: usize = 3;

    /// What is up to a guest of TSO, asked for and sent where this is wanted, and where
    /// nothing but scatter-gather can be on.
    fn of_guest(asked: &[usize], wanted: &[usize]) -> FeatureSet {
        let names = FeatureNames(NAMES.map(String::from).to_vec());
        let set = |bits: &[usize]| bits.iter().copied().collect::<FeatureSet>();
        let before = Features {
            changeable: set(&[SG, CSUM, TSO, TSO6]),
            wanted: set(wanted),
            active: set(wanted) & set(&[SG]),
            never_changed: FeatureSet::default(),
        };
        let asked = Request {
            mask: set(asked),
            on: set(asked),
        };
        let after = Features {
            wanted: before.wanted | asked.on,
            ..before
        };
        let change = Change {
            before,
            asked,
            is_tap: true,
            ..Change::default()
        };
        let verdict = Verdict::new(
            &names,
            &change,
            asked,
            before,
            Ok(Reply::default()),
            Ok(after),
        );
        let job = Job {
            commit: 1,
            change: &change,
            may: asked.mask,
            is_first: true,
        };
        job.of_guest(&names, &verdict)
    }

    #[test]
    fn what_somebody_keeps_off_is_no_guests() {
        let tso = [TSO].into_iter().collect::<FeatureSet>();
        let none = FeatureSet::default();
        assert_eq!(of_guest(&[TSO], &[SG]), tso, "there is no driver");
        let both = tso | [CSUM].into_iter().collect();
        assert_eq!(of_guest(&[CSUM, TSO], &[SG]), both);
        assert_eq!(of_guest(&[CSUM, TSO], &[SG, TSO6]), both);
        // Its driver accepts TSO for IPv6, and so checksums: they are switched off.
        assert_eq!(of_guest(&[TSO], &[SG, TSO6]), none);
        assert_eq!(of_guest(&[TSO], &[]), none, "no scatter-gather");
    }
}
