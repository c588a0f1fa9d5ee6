//! What the rules of a policy and an advice demand, before it is known whether it
//! can be done.

use std::collections::HashMap;

use super::{Why, make::PlanError};
use crate::{
    enforce::{
        kernel::Request,
        names,
        policy::{Glob, Match, Rule, Wish},
        target::{Target, Targets},
    },
    sample::{
        Kind,
        offloads::{FeatureNames, FeatureSet, Features},
    },
};

/// A feature of an interface that is to be on or off.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    /// What it stands for.
    bits: FeatureSet,
    on: bool,
    /// Where.
    pub(super) place: String,
}

impl Demand {
    pub(super) fn of_bit(bit: usize, on: bool, place: String) -> Self {
        let bits = FeatureSet::from_iter([bit]);
        Self { bits, on, place }
    }

    pub(super) fn of_wish(
        names: &FeatureNames,
        file: &str,
        wish: &Wish,
    ) -> Result<Self, PlanError> {
        let place = format!("{file}:{}", wish.line);
        match names::resolve(names, &wish.name) {
            Ok(bits) => Ok(Self {
                bits,
                on: wish.on,
                place,
            }),
            Err(error) => Err(PlanError::UnknownFeature { place, error }),
        }
    }

    /// The features that it means on an interface. Of a name of ethtool that stands
    /// for several, those that can be switched there.
    fn meant(&self, features: &Features) -> FeatureSet {
        let fixed = self.bits.iter().filter(|bit| features.is_fixed(*bit));
        let changeable = self.bits - fixed.collect();
        match changeable.is_empty() {
            true => self.bits,
            false => changeable,
        }
    }
}

/// Everything that is demanded of an interface.
#[derive(Debug, Default)]
pub(super) struct Demands {
    pub(super) demands: Vec<Demand>,
    pub(super) whys: Vec<Why>,
    /// It is meant by name: a rule names it, or the advice does.
    pub(super) is_named: bool,
}

impl Demands {
    pub(super) fn add(
        &mut self,
        demands: impl IntoIterator<Item = Demand>,
        why: Why,
        is_named: bool,
    ) {
        self.demands.extend(demands);
        self.whys.push(why);
        self.is_named |= is_named;
    }

    /// All of it as one request; the error is that two want the same feature
    /// differently.
    pub(super) fn request(
        &self,
        names: &FeatureNames,
        target: &Target,
    ) -> Result<Request, PlanError> {
        let mut request = Request::default();
        let mut by: HashMap<usize, &Demand> = HashMap::new();
        for demand in &self.demands {
            for bit in demand.meant(&target.features).iter() {
                let first = by.entry(bit).or_insert(demand);
                if first.on != demand.on {
                    return Err(PlanError::Contradiction {
                        one: first.place.clone(),
                        other: demand.place.clone(),
                        feature: names.name(bit).unwrap_or_default().to_owned(),
                        dev: target.id.dev.clone(),
                        on: first.on,
                    });
                }
                request.switch(bit, demand.on);
            }
        }
        Ok(request)
    }

    /// The first one, with the further ones.
    pub(super) fn why(&self) -> Why {
        let mut whys = self.whys.iter().cloned();
        let first = whys.next().unwrap_or_default();
        Why {
            also: whys.collect(),
            ..first
        }
    }
}

/// Whether a rule is about an interface.
pub(super) fn is_about(matches: &Match, targets: &Targets, target: &Target) -> bool {
    let owner = target.owner.as_ref();
    let holds = |glob: &Option<Glob>, name: Option<&str>| match glob {
        None => true,
        Some(glob) => name.is_some_and(|name| glob.is_match(name)),
    };
    let master = || targets.by_ifindex(target.master?);
    let dev = &*target.id.dev;
    holds(&matches.device, Some(dev))
        && holds(&matches.driver, target.driver.as_deref())
        && holds(&matches.vm, owner.map(|owner| &*owner.vm))
        && holds(&matches.os, owner.and_then(|owner| owner.os.as_deref()))
        && (matches.bridge.is_none()
            || holds(&matches.bridge, master().map(|master| &*master.id.dev)))
        // A pattern does not mean the interface that carries no traffic of a network.
        && (target.kind != Kind::Loopback || is_named(matches, target))
}

/// Whether a rule names an interface, letter by letter.
pub(super) fn is_named(matches: &Match, target: &Target) -> bool {
    let device = matches.device.as_ref();
    device.is_some_and(|device| device.names(&target.id.dev))
}

/// Where a rule is.
pub(super) fn why(file: &str, rule: &Rule) -> Why {
    Why {
        file: Some(file.to_owned()),
        line: Some(rule.line),
        reason: rule.reason.clone(),
        ..Why::default()
    }
}
