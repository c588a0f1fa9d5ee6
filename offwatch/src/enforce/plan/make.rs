//! From what is wanted and the interfaces that there are to a plan. Pure.

use super::{
    Change, Left, Plan, Unmet, Why,
    definitions::Definitions,
    demand::{Demand, Demands, is_about, is_named, why},
    missing::{missing, not_there},
    state,
};
use crate::{
    enforce::{
        from_advice::FromAdvice,
        gather::Needs,
        kernel::Request,
        names::UnknownFeature,
        policy::{Match, Policy, Rule},
        predict::{Device, negotiable, predict},
        target::{Target, Targets},
    },
    sample::{Kind, offloads::FeatureSet},
};

/// Where it is said what is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// A policy, and its file as the user named it.
    pub policy: Option<(&'a str, &'a Policy)>,
    /// An advice: with a policy, what its rules name of it; without, all of it.
    pub advice: Option<&'a FromAdvice>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The running kernel has no such feature.
    #[error("{place}: {error}")]
    UnknownFeature {
        /// Where it is written.
        place: String,
        /// What may have been meant.
        error: UnknownFeature,
    },
    /// Two rules want the same feature of the same interface differently.
    #[error(
        "{one} and {other} contradict each other: {feature} of {dev} is to be {}, and {}",
        state(*.on), state(!*.on)
    )]
    Contradiction {
        /// Where one is.
        one: String,
        /// Where the other one is.
        other: String,
        /// The feature.
        feature: String,
        /// The interface.
        dev: String,
        /// What the one wants.
        on: bool,
    },
    /// Two want the same of a definition differently.
    #[error(
        "{one} and {other} contradict each other: {side} {attribute} in the definition of {vm} \
         is to be on, and off"
    )]
    Definitions {
        /// Where one is.
        one: String,
        /// Where the other one is.
        other: String,
        /// `host` or `guest`.
        side: &'static str,
        /// The attribute.
        attribute: String,
        /// The VM.
        vm: String,
    },
    /// A rule takes what an advice says, and there is none.
    #[error("{place}: match.advice takes an advice; give it with --from")]
    NoAdvice {
        /// Where the rule is.
        place: String,
    },
}

impl<'a> Sources<'a> {
    /// What has to be known of the interfaces that there are.
    pub fn needs(&self, targets: &Targets) -> Needs {
        let rules = || self.rules().map(|(_, rule)| &rule.matches);
        let touches_a_vm = || {
            let for_vms = targets.targets.iter().filter(|target| target.is_for_a_vm());
            // Their drivers are not known yet.
            let any_driver = rules().map(|matches| {
                let mut matches = matches.clone();
                matches.driver = None;
                matches
            });
            let any_driver: Vec<_> = any_driver.collect();
            let mut pairs =
                for_vms.flat_map(|target| any_driver.iter().map(move |rule| (rule, target)));
            pairs.any(|(matches, target)| is_about(matches, targets, target))
        };
        Needs {
            drivers: rules().any(|matches| matches.driver.is_some()),
            owners: rules().any(Match::asks_for_vms)
                || self.advice.is_some_and(FromAdvice::touches_interfaces)
                || touches_a_vm(),
        }
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = (&'a str, &'a Rule)> + use<'a> {
        let policy = self.policy.into_iter();
        policy.flat_map(|(file, policy)| policy.rules.iter().map(move |rule| (file, rule)))
    }
}

/// Makes the plan.
pub fn make(targets: &Targets, sources: Sources<'_>) -> Result<Plan, PlanError> {
    let mut making = Making {
        targets,
        demands: targets.targets.iter().map(|_| Demands::default()).collect(),
        definitions: Definitions::default(),
        left: Vec::new(),
    };
    for (file, rule) in sources.rules() {
        match (&rule.matches.advice, sources.advice) {
            (None, _) => making.rule(file, rule)?,
            (Some(_), Some(_)) => {}
            (Some(_), None) => {
                let place = why(file, rule).place();
                return Err(PlanError::NoAdvice { place });
            }
        }
    }
    if let Some(advice) = sources.advice {
        making.advice(advice, sources)?;
    }
    making.plan()
}

/// A plan that is being made.
pub(super) struct Making<'a> {
    pub(super) targets: &'a Targets,
    /// For each interface.
    pub(super) demands: Vec<Demands>,
    pub(super) definitions: Definitions,
    pub(super) left: Vec<Left>,
}

impl Making<'_> {
    fn rule(&mut self, file: &str, rule: &Rule) -> Result<(), PlanError> {
        let names = &self.targets.names;
        let demands = rule.features.iter();
        let demands: Vec<Demand> = demands
            .map(|wish| Demand::of_wish(names, file, wish))
            .collect::<Result<_, _>>()?;
        let why = why(file, rule);
        let mut is_met = false;
        for (target, of_target) in self.targets.targets.iter().zip(&mut self.demands) {
            if !is_about(&rule.matches, self.targets, target) {
                continue;
            }
            is_met = true;
            if !demands.is_empty() {
                let is_named = is_named(&rule.matches, target);
                of_target.add(demands.iter().cloned(), why.clone(), is_named);
            }
            let defined = self.definitions.of_card(target, &rule.definition, &why)?;
            if let Some(because) = defined {
                self.left.push(Left {
                    what: target.id.dev.clone(),
                    because: because.into(),
                    missing: None,
                    why: why.clone(),
                });
            }
        }
        if !is_met {
            let missing = missing(&rule.matches, self.targets);
            let because = match (&missing, &self.targets.vms_unknown) {
                (Some(dev), _) => not_there(dev, self.targets),
                (None, Some(reason)) if rule.matches.asks_for_vms() => {
                    format!("matches no VM that is known, and not all are: {reason}")
                }
                _ => "matches no interface that there is now".into(),
            };
            let what = why.place();
            self.left.push(Left {
                what,
                because,
                missing,
                why,
            });
        }
        Ok(())
    }

    fn plan(mut self) -> Result<Plan, PlanError> {
        let names = &self.targets.names;
        let mut changes = Vec::new();
        for (target, demands) in self.targets.targets.iter().zip(&self.demands) {
            if demands.demands.is_empty() {
                continue;
            }
            let request = demands.request(names, target)?;
            if target.is_for_a_vm() && target.owner.is_none() && !demands.is_named {
                let because = match &self.targets.vms_unknown {
                    None => "no VM is known to own it; only a rule that names it changes it".into(),
                    Some(reason) => {
                        format!("no VM is known to own it, and not all are known: {reason}")
                    }
                };
                self.left.push(Left {
                    what: target.id.dev.clone(),
                    because,
                    missing: None,
                    why: demands.why(),
                });
                continue;
            }
            changes.push(change(self.targets, target, request, demands.why()));
        }
        Ok(Plan {
            names: names.clone(),
            changes,
            left: self.left,
            definitions: self.definitions.all(),
        })
    }
}

/// What will come of a request to an interface.
fn change(targets: &Targets, target: &Target, request: Request, why: Why) -> Change {
    let names = &targets.names;
    let before = target.features;
    let device = match &target.kind {
        Kind::Tap => Device::Tap,
        Kind::Bridge => {
            let ports = targets.targets.iter();
            let ports = ports.filter(|port| port.master == Some(target.id.ifindex));
            Device::Bridge(ports.map(|port| port.features.active).collect())
        }
        _ => Device::Other,
    };
    let prediction = predict(names, &device, &before, &request);
    let fixed = request.mask.iter().filter(|bit| before.is_fixed(*bit));
    let asked = only(request, request.mask - fixed.collect());
    let off = asked.mask - asked.on;
    Change {
        id: target.id.clone(),
        owner: target.owner.clone(),
        is_tap: target.kind == Kind::Tap,
        master: target.master,
        why,
        before,
        asked,
        send: only(asked, asked.mask & (asked.on ^ before.wanted)),
        predicted_active: prediction.active,
        uncertain: prediction.uncertain,
        unmet: unmet(prediction.unmet),
        lost_at_negotiation: match target.kind {
            // What is to be on and is accepted, the guest asks for by itself.
            Kind::Tap => off & negotiable(names),
            _ => FeatureSet::default(),
        },
    }
}

fn unmet(mut unmet: Vec<Unmet>) -> Vec<Unmet> {
    unmet.sort_by_key(|unmet| unmet.bit);
    unmet
}

fn only(request: Request, mask: FeatureSet) -> Request {
    Request {
        mask,
        on: request.on & mask,
    }
}
