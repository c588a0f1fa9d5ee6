//! What of an advice is taken, and whether it still is about what there is now.

use super::{
    Left, Why,
    demand::{Demand, is_about},
    make::{Making, PlanError, Sources},
};
use crate::enforce::{
    from_advice::{FromAdvice, Item, What},
    names::UnknownFeature,
    policy::Match,
    target::{Id, Target},
};

impl Making<'_> {
    pub(super) fn advice(
        &mut self,
        advice: &FromAdvice,
        sources: Sources<'_>,
    ) -> Result<(), PlanError> {
        for item in &advice.items {
            match self.chosen(advice, item, sources) {
                Some(why) => self.item(item, why)?,
                // What is for people is not for a rule to take.
                None if matches!(item.what, What::Left(_)) => {}
                None => self.left.push(Left {
                    what: named(item),
                    because: "no rule of the policy takes it".into(),
                    missing: None,
                    why: own(advice, item),
                }),
            }
        }
        Ok(())
    }

    /// Why a part of the advice is taken; none if the policy names others.
    fn chosen(&self, advice: &FromAdvice, item: &Item, sources: Sources<'_>) -> Option<Why> {
        let own = own(advice, item);
        if sources.policy.is_none() {
            return Some(own);
        }
        let mut rules = sources.rules().filter(|(_, rule)| {
            let matches = &rule.matches;
            matches.advice.as_ref() == Some(&item.rule) && self.is_item_about(matches, item)
        });
        let (file, rule) = rules.next()?;
        Some(Why {
            file: Some(file.to_owned()),
            line: Some(rule.line),
            reason: rule.reason.clone(),
            ..own
        })
    }

    /// Whether the rest of a match holds for what a part of the advice is about.
    fn is_item_about(&self, matches: &Match, item: &Item) -> bool {
        let of_vm = |target: &Target| {
            let owner = target.owner.as_ref();
            owner.is_some_and(|owner| Some(&owner.vm) == item.vm.as_ref())
        };
        let mut targets = self
            .targets
            .targets
            .iter()
            .filter(|target| match &item.dev {
                Some(dev) => target.id.dev == *dev,
                None => of_vm(target),
            });
        matches.is_about_advice_alone()
            || targets.any(|target| is_about(matches, self.targets, target))
    }

    fn item(&mut self, item: &Item, why: Why) -> Result<(), PlanError> {
        let because = match &item.what {
            What::Left(because) => Some(because.clone()),
            What::Definition { vm, mac, switches } => {
                let targets = self.targets.targets.iter();
                let mut cards = targets.filter(|target| {
                    let owner = target.owner.as_ref();
                    owner.is_some_and(|owner| owner.vm == *vm && owner.mac == *mac)
                });
                let card = cards.next().and_then(|target| target.card.as_ref());
                let definitions = &mut self.definitions;
                definitions.add(vm, mac.as_deref(), switches, card, &why)?;
                None
            }
            What::Features { id, features } => match self.place_of(id, item) {
                Ok(at) => {
                    let demands = self.demands_of(features, &why)?;
                    self.demands[at].add(demands, why, true);
                    return Ok(());
                }
                Err(because) => Some(format!("{because}; run advise again")),
            },
        };
        let what = named(item);
        self.left.extend(because.map(|because| Left {
            what,
            because,
            missing: None,
            why,
        }));
        Ok(())
    }

    /// Where an interface is; the error is why it is not meant any more.
    fn place_of(&self, id: &Id, item: &Item) -> Result<usize, String> {
        let targets = &self.targets.targets;
        if targets.iter().any(|target| target.id.netns != id.netns) {
            return Err("the advice is about another network namespace".into());
        }
        let at = targets.iter().position(|target| target.id == *id);
        let at = at.ok_or_else(|| {
            let ifindex = id.ifindex;
            format!("the one with ifindex {ifindex} is gone, or has another name now")
        })?;
        match other_vm(item, &targets[at]) {
            Some(because) => Err(because),
            None => Ok(at),
        }
    }

    fn demands_of(&self, features: &[(String, bool)], why: &Why) -> Result<Vec<Demand>, PlanError> {
        let place = why.place();
        let demand = |(name, on): &(String, bool)| match self.targets.names.bit(name) {
            Some(bit) => Ok(Demand::of_bit(bit, *on, place.clone())),
            None => Err(PlanError::UnknownFeature {
                place: place.clone(),
                error: UnknownFeature {
                    text: name.clone(),
                    nearest: None,
                    is_of_other_kernels: false,
                },
            }),
        };
        features.iter().map(demand).collect()
    }
}

/// What a part of an advice is about.
fn named(item: &Item) -> String {
    let what = item.dev.as_ref().or(item.vm.as_ref());
    what.map_or("host", |name| name).to_owned()
}

/// Where it comes from.
fn own(advice: &FromAdvice, item: &Item) -> Why {
    Why {
        file: Some(advice.file.clone()),
        advice: Some(item.rule.clone()),
        ..Why::default()
    }
}

/// Why a piece of advice is not about an interface, though its name and ifindex
/// are: the host may have booted since.
fn other_vm(item: &Item, target: &Target) -> Option<String> {
    let owner = target.owner.as_ref()?;
    let is_other = match (&item.vm_uuid, &owner.uuid) {
        (Some(advised), Some(now)) => !advised.eq_ignore_ascii_case(now),
        _ => item.vm.as_ref().is_some_and(|advised| *advised != owner.vm),
    };
    is_other.then(|| match &item.vm {
        Some(vm) => format!("it belongs to VM {} now, not to {vm}", owner.vm),
        None => format!("it belongs to VM {} now", owner.vm),
    })
}
