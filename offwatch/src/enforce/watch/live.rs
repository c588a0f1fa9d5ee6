//! The loop's hands on this host: policy, VMs, journal and kernel.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    pin::Pin,
};

use serde_json::json;
use tokio::time::Instant;

use super::{
    bucket::Limit,
    contest::Evidence,
    log::{Level, Log},
    programs,
    reconciler::Desired,
    run::{Changed, Drifted, Keeper, Planned},
    told::{again, contested, kept, switched, unmet, whose},
};
use crate::{
    enforce::{
        apply::{Enforcer, Verdict},
        error::EnforceError,
        gather::Gatherer,
        kernel::Refusal,
        plan::{Change, Plan},
        predict::{Device, predict},
        target::{Id, Targets},
    },
    error::Error,
    sample::{
        Kind,
        offloads::{FeatureSet, Features},
    },
};

/// What is wanted of this host's interfaces.
pub trait Wanted {
    /// Reads it again. After an error what was read before stays.
    fn reload(&mut self, gatherer: &mut Gatherer, enforcer: &mut Enforcer) -> Result<(), Error>;

    /// How often an interface may be changed again.
    fn limit(&self) -> Limit;

    /// SHA-256 of its file.
    fn sha256(&self) -> Option<String>;

    /// The interfaces that there are, as far as it takes to make a plan.
    fn targets(&self, gatherer: &mut Gatherer, enforcer: &mut Enforcer) -> Result<Targets, Error>;

    /// Makes a plan.
    fn plan(&self, targets: &Targets) -> Result<Plan, Error>;
}

/// See the [module](self).
pub struct Live<W> {
    wanted: W,
    enforcer: Enforcer,
    gatherer: Gatherer,
    log: Log,
    /// The last plan, by ifindex.
    changes: HashMap<u32, Change>,
    /// Features that were switched before, by ifindex.
    changed: HashMap<u32, FeatureSet>,
    /// What was told that it is left, and why.
    left: HashSet<String>,
    /// How many interfaces the last plan spoke of, and how many will not be as asked.
    told: Option<(usize, usize)>,
}

impl<W: Wanted> Live<W> {
    /// Nothing is changed yet.
    pub fn new(wanted: W, enforcer: Enforcer, gatherer: Gatherer, log: Log) -> Self {
        Self {
            wanted,
            enforcer,
            gatherer,
            log,
            changes: HashMap::new(),
            changed: HashMap::new(),
            left: HashSet::new(),
            told: None,
        }
    }

    /// Tells what the plan speaks of, where that is new.
    fn tell(&mut self, plan: &Plan) {
        let left = plan.left.iter();
        let left: HashSet<String> = left
            .map(|left| {
                let place = left.why.place();
                match place == left.what {
                    true => format!("{place}: {}", left.because),
                    false => format!("{}: left: {} ({place})", left.what, left.because),
                }
            })
            .chain(
                plan.changes
                    .iter()
                    .flat_map(|change| unmet(&plan.names, change)),
            )
            .collect();
        let mut new: Vec<_> = left.difference(&self.left).collect();
        new.sort();
        new.iter()
            .for_each(|line| self.log.line(Level::Notice, line));
        self.left = left;
        let of_unmet = plan.changes.iter();
        let of_unmet = of_unmet.filter(|change| !change.unmet.is_empty()).count();
        let counts = (plan.changes.len(), of_unmet);
        if self.told.replace(counts) != Some(counts) {
            self.log.line(Level::Info, &kept(counts.0, counts.1));
        }
    }

    /// The planned change of an interface, by what it is now.
    fn now(&self, drifted: &Drifted) -> Option<Change> {
        let planned = self.changes.get(&drifted.id.ifindex)?;
        let names = self.enforcer.names();
        let device = match planned.lost_at_negotiation.is_empty() {
            true => Device::Other,
            false => Device::Tap,
        };
        let predicted = predict(names, &device, &drifted.before, &drifted.request);
        Some(Change {
            before: drifted.before,
            send: drifted.request,
            predicted_active: predicted.active,
            uncertain: predicted.uncertain,
            unmet: predicted.unmet,
            ..planned.clone()
        })
    }

    fn tell_verdict(&mut self, verdict: &Verdict) -> Result<(), EnforceError> {
        let owner = self.changes.get(&verdict.id.ifindex);
        let owner = owner.and_then(|change| change.owner.as_ref());
        let of = whose(&verdict.id, owner);
        match &verdict.refused {
            None if verdict.sent.is_empty() => {}
            None => {
                let before = self.changed.entry(verdict.id.ifindex).or_default();
                let again = again(before, verdict.sent.mask);
                let told = switched(self.enforcer.names(), verdict);
                self.log.line(Level::Info, &format!("{of}: {again}{told}"));
            }
            // A notification tells.
            Some(Refusal::Gone(_)) => {}
            Some(Refusal::NotPermitted) => {
                return Err(EnforceError::Refused(Refusal::NotPermitted));
            }
            Some(refusal) => {
                let line = format!("{of}: nothing was changed: {refusal}");
                self.log.line(Level::Error, &line);
            }
        }
        Ok(())
    }
}

impl<W: Wanted> Keeper for Live<W> {
    fn reload(&mut self) -> Result<Limit, String> {
        self.wanted
            .reload(&mut self.gatherer, &mut self.enforcer)
            .map_err(|error| format!("{error}; the policy that was read before stays"))?;
        self.enforcer.set_policy(self.wanted.sha256());
        self.left.clear();
        self.told = None;
        self.log.line(Level::Notice, "the policy was read again");
        Ok(self.wanted.limit())
    }

    fn plan(&mut self, is_younger: &dyn Fn(u32, Instant) -> bool) -> Result<Planned, Error> {
        let mut targets = self
            .wanted
            .targets(&mut self.gatherer, &mut self.enforcer)?;
        let since = self.gatherer.vms().and_then(|vms| vms.known_since());
        let unowned = match since {
            Some(since) => doubt(&mut targets, &|ifindex| is_younger(ifindex, since.into())),
            None => Vec::new(),
        };
        let plan = self.wanted.plan(&targets)?;
        self.tell(&plan);
        let desired = plan.changes.iter().map(|change| Desired {
            id: change.id.clone(),
            owner: change.owner.clone(),
            asked: change.asked,
        });
        let planned = Planned {
            desired: desired.collect(),
            unowned,
            vms_known: targets.vms_unknown.is_none(),
        };
        for change in plan.changes {
            self.changes.insert(change.id.ifindex, change);
        }
        let there: HashSet<u32> = targets
            .targets
            .iter()
            .map(|target| target.id.ifindex)
            .collect();
        self.changes.retain(|ifindex, _| there.contains(ifindex));
        self.changed.retain(|ifindex, _| there.contains(ifindex));
        self.enforcer.retain(&there);
        Ok(planned)
    }

    fn vms_changed(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        match self.gatherer.vms() {
            Some(vms) => Box::pin(vms.changed()),
            None => Box::pin(std::future::pending()),
        }
    }

    fn refresh_vms(&mut self) {
        self.gatherer.refresh();
    }

    fn features(&mut self, id: &Id) -> Result<Features, Refusal> {
        self.enforcer.kernel().of(id)
    }

    fn all_features(&mut self) -> io::Result<Vec<(u32, Features)>> {
        self.enforcer.kernel().list()
    }

    fn change(&mut self, drifted: Vec<Drifted>) -> Result<Changed, Error> {
        let changes: Vec<Change> = drifted.iter().filter_map(|one| self.now(one)).collect();
        let kept = self.enforcer.keep(&changes)?;
        let mut changed = Changed::default();
        for verdict in &kept.verdicts {
            self.tell_verdict(verdict)?;
            changed
                .now
                .extend(verdict.after.map(|after| (verdict.id.ifindex, after)));
        }
        if let Some(taken_back) = kept.taken_back {
            for interface in &taken_back.interfaces {
                changed.let_alone.push(interface.id.ifindex);
                let line = format!(
                    "{}: taken back and left alone: {}",
                    interface.id.dev, taken_back.because
                );
                self.log.line(Level::Error, &line);
            }
        }
        Ok(changed)
    }

    fn contested(&mut self, id: &Id, evidence: &Evidence) -> Result<(), Error> {
        let change = self.changes.get(&id.ifindex);
        let owner = change.and_then(|change| change.owner.as_ref());
        let running = programs::running(Path::new("/proc"));
        let names = self.enforcer.names();
        let line = contested(&whose(id, owner), names, evidence, &running);
        let body = json!({
            "id": id,
            "owner": owner,
            "changed_back": names.of(evidence.changed_back),
            "changed_too": names.of(evidence.changed_too),
            "never_changed": names.of(evidence.never_changed),
            "times": evidence.times,
            "within_ms": evidence.within.as_millis() as u64,
            "likely": evidence.likely,
            "programs": running,
        });
        self.log.line(Level::Warning, &line);
        self.enforcer.tell(None, "contested", &body)?;
        Ok(())
    }

    fn complain(&self, problem: &str) {
        self.log.line(Level::Error, problem);
    }
}

/// Forgets owners of interfaces that are younger than what was told of VMs: they are
/// those of others that had the same name. Returns the taps of which the owner is
/// not known for good.
fn doubt(targets: &mut Targets, is_younger: &dyn Fn(u32) -> bool) -> Vec<u32> {
    let mut doubted = Vec::new();
    for target in &mut targets.targets {
        if is_younger(target.id.ifindex) {
            target.owner = None;
        }
        // A process without a UUID may only be about to hand its tap on.
        let owner = target.owner.as_ref();
        let is_known = owner.is_some_and(|owner| owner.uuid.is_some());
        if target.kind == Kind::Tap && !is_known {
            doubted.push(target.id.ifindex);
        }
    }
    doubted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::target::{Owner, Target};

    #[test]
    fn a_new_tap_is_not_the_one_that_had_its_name() {
        let target = |ifindex, kind, uuid: Option<&str>| Target {
            id: Id {
                netns: 1,
                ifindex,
                dev: format!("vnet{ifindex}"),
            },
            kind,
            owner: Some(Owner {
                vm: "db".into(),
                uuid: uuid.map(str::to_owned),
                ..Owner::default()
            }),
            ..Target::default()
        };
        let mut unowned = target(4, Kind::Tap, None);
        unowned.owner = None;
        let mut targets = Targets {
            targets: vec![
                target(1, Kind::Tap, Some("uuid")),
                target(2, Kind::Tap, Some("uuid")),
                target(3, Kind::Tap, None),
                unowned,
                target(5, Kind::Bridge, None),
            ],
            ..Targets::default()
        };
        assert_eq!(doubt(&mut targets, &|ifindex| ifindex == 2), [2, 3, 4]);
        let owned = targets.targets.iter().map(|target| target.owner.is_some());
        assert_eq!(owned.collect::<Vec<_>>(), [true, false, true, false, true]);
    }
}
