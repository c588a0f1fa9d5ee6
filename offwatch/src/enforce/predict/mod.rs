//! What will come of a request: the kernel decides about each feature by those
//! that it needs, by what a guest's driver accepts, by a bridge's ports.

mod bridge;
mod rules;

use self::rules::{Doubts, Rules};
use super::{
    kernel::Request,
    plan::{Because, Unmet},
};
use crate::{
    model::NEGOTIATED,
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

/// What decides about the features of an interface beside the kernel's rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// Its driver, of which nothing is known.
    #[default]
    Other,
    /// It is a tap: the driver of the guest behind it.
    Tap,
    /// It is a bridge: the active features of its ports.
    Bridge(Vec<FeatureSet>),
}

/// What will come of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prediction {
    /// What will be on, most likely.
    pub active: FeatureSet,
    /// Those of which it cannot be said: it depends on what the kernel does not
    /// tell. A change of one of them is no surprise, and neither is none.
    pub uncertain: FeatureSet,
    /// What is asked for and will not be so for certain, with the reason.
    pub unmet: Vec<Unmet>,
}

/// What is known of what a guest's driver accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// It accepts them.
    pub accepted: FeatureSet,
    /// It does not, or no driver has negotiated yet.
    pub declined: FeatureSet,
    /// It may or may not.
    pub unknown: FeatureSet,
}

/// Features that a guest's driver accepts or declines, of any tap: each
/// negotiation sets anew what is wanted of them.
pub fn negotiable(names: &FeatureNames) -> FeatureSet {
    Rules::new(names).set(&NEGOTIATED)
}

/// What is known of the guest behind a tap with these features.
pub fn negotiated(names: &FeatureNames, features: &Features) -> Negotiated {
    negotiated_by(&Rules::new(names), features)
}

fn negotiated_by(rules: &Rules, features: &Features) -> Negotiated {
    let all = rules.set(&NEGOTIATED) & features.changeable;
    let accepted = all & features.active;
    let is_possible = |bit: &usize| {
        rules
            .against(*bit, features.active, features.changeable)
            .is_none()
    };
    let mut declined: FeatureSet = ((all & features.wanted) - accepted)
        .iter()
        .filter(is_possible)
        .collect();
    // No driver can accept anything else without checksums.
    if !(declined & rules.set(&[rules::CHECKSUM])).is_empty() {
        declined = all - accepted;
    }
    Negotiated {
        accepted,
        declined,
        unknown: all - accepted - declined,
    }
}

/// What will come of a request to an interface that has these features.
pub fn predict(
    names: &FeatureNames,
    device: &Device,
    before: &Features,
    request: &Request,
) -> Prediction {
    let kernel = Kernel::new(names, device, before);
    let wanted = request.applied_to(before.wanted) & before.changeable;
    let wanted = wanted | (before.wanted - before.changeable);
    if wanted == before.wanted {
        return kernel.prediction(before.active, FeatureSet::default(), request);
    }
    let (active, uncertain) = kernel.computed(wanted);
    kernel.prediction(active, uncertain, request)
}

/// What the kernel makes of an interface's features when it computes them anew,
/// as those of a bridge when a port's have changed.
pub fn computed_anew(names: &FeatureNames, device: &Device, features: &Features) -> Prediction {
    let kernel = Kernel::new(names, device, features);
    let (active, uncertain) = kernel.computed(features.wanted);
    kernel.prediction(active, uncertain, &Request::default())
}

/// Why features of an interface are not as they are wanted, of those that can be
/// switched there.
pub fn unmet(names: &FeatureNames, device: &Device, features: &Features) -> Vec<Unmet> {
    let asked = Request::between(features.active, features.wanted);
    let mask = asked.mask & features.changeable;
    let asked = Request {
        mask,
        on: asked.on & mask,
    };
    let kernel = Kernel {
        rules: Rules::new(names),
        device,
        before: features,
        negotiated: negotiated(names, features),
    };
    let nothing_else = FeatureSet::default();
    kernel
        .prediction(features.active, nothing_else, &asked)
        .unmet
}

/// What decides.
struct Kernel<'a> {
    rules: Rules<'a>,
    device: &'a Device,
    before: &'a Features,
    negotiated: Negotiated,
}

impl<'a> Kernel<'a> {
    fn new(names: &'a FeatureNames, device: &'a Device, before: &'a Features) -> Self {
        let rules = Rules::new(names);
        Self {
            negotiated: negotiated_by(&rules, before),
            rules,
            device,
            before,
        }
    }

    /// What is on most likely, and what is uncertain, if these are wanted.
    fn computed(&self, wanted: FeatureSet) -> (FeatureSet, FeatureSet) {
        let asked = (self.before.active - self.before.changeable) | wanted;
        // What a guest's driver has accepted is wanted since then; so is what
        // somebody has asked for, which is rarer.
        let likely = self.negotiated.unknown & self.before.wanted;
        let active = self.active(asked, likely, Doubts::default());
        (active, self.doubtful(asked, active))
    }

    /// What will be on of those asked for, if the guest accepts these of which
    /// it is not known.
    fn active(&self, asked: FeatureSet, accepts: FeatureSet, doubts: Doubts) -> FeatureSet {
        let Negotiated {
            declined, unknown, ..
        } = self.negotiated;
        let of_driver = match self.device {
            Device::Other => asked,
            Device::Tap => asked - declined - (unknown - accepts),
            Device::Bridge(ports) => bridge::features(&self.rules, asked, ports),
        };
        self.rules.fix(of_driver, doubts)
    }

    /// What differs if something is otherwise that is not known.
    fn doubtful(&self, asked: FeatureSet, active: FeatureSet) -> FeatureSet {
        let before = self.before.active;
        // The kernel has kept what newer rules would have taken away.
        let newer = Doubts {
            newer_rules: true,
            ..Doubts::default()
        };
        let newer_rules = self.rules.fix(before, newer) == before;
        let partial = match self.device {
            Device::Other => self.rules.partial(self.before),
            Device::Bridge(ports) if !ports.is_empty() => self.rules.partial_of_bridge(self.before),
            Device::Bridge(_) | Device::Tap => FeatureSet::default(),
        };
        let mut doubtful = match self.device {
            Device::Bridge(ports) if !ports.is_empty() => bridge::doubtful(&self.rules),
            _ => FeatureSet::default(),
        };
        for accepts in [FeatureSet::default(), self.negotiated.unknown] {
            for newer_rules in [false, newer_rules] {
                for partial in [FeatureSet::default(), partial] {
                    let doubts = Doubts {
                        newer_rules,
                        partial,
                    };
                    doubtful = doubtful | (active ^ self.active(asked, accepts, doubts));
                }
            }
        }
        doubtful
    }

    fn prediction(
        &self,
        active: FeatureSet,
        uncertain: FeatureSet,
        request: &Request,
    ) -> Prediction {
        let unmet = ((active ^ request.on) & request.mask) - uncertain;
        let unmet = unmet.iter().map(|bit| Unmet {
            bit,
            because: self.because(bit, active, request.on.contains(bit)),
        });
        Prediction {
            active,
            uncertain,
            unmet: unmet.collect(),
        }
    }

    fn because(&self, bit: usize, active: FeatureSet, on: bool) -> Because {
        if self.before.is_fixed(bit) {
            return Because::Fixed;
        }
        let against = self.rules.against(bit, active, self.before.changeable);
        match (against, self.device) {
            (Some(because), _) if on => because,
            (_, Device::Tap) if on && self.negotiated.declined.contains(bit) => {
                Because::NotNegotiated
            }
            (_, Device::Bridge(ports)) if on && !ports.is_empty() => Because::Ports,
            _ => Because::Driver,
        }
    }
}

#[cfg(test)]
mod tests;
