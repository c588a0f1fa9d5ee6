//! What is told of features: plain data, for JSON and for text.

use std::collections::HashMap;

use serde::Serialize;

use crate::{
    collector::system_text,
    enforce::{
        names::Group,
        plan::Because,
        predict::{self, Device, Negotiated},
        target::{Target, Targets},
    },
    sample::{
        Kind,
        offloads::{Fact, FeatureNames, FeatureSet},
    },
};

const SCHEMA: &str = "offwatch.features";
const VERSION: u32 = 1;
const GRO: &str = "rx-gro";
const GRO_INERT: &str =
    "without effect: a tap without IFF_NAPI does no GRO on what its guest sends";

/// What `offwatch features --json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: &'static str,
    version: u32,
    offwatch: &'static str,
    kernel: String,
    /// Why VMs are not, or not all, known, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vms_unavailable: Option<String>,
    pub(super) interfaces: Vec<Interface>,
}

/// An interface.
#[derive(Debug, Serialize)]
pub(super) struct Interface {
    pub(super) dev: String,
    ifindex: u32,
    /// Inode number of its network namespace.
    netns: u64,
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) driver: Option<String>,
    /// The bridge, bond or switch it is a port of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) master: Option<String>,
    /// The VM it belongs to; `null`: none that is known.
    pub(super) vm: Option<Vm>,
    /// Every feature that the kernel has, in its order.
    pub(super) features: Vec<Feature>,
}

/// Whose an interface is.
#[derive(Debug, Serialize)]
pub(super) struct Vm {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mac: Option<String>,
}

/// A feature of an interface.
#[derive(Debug, Serialize)]
pub(super) struct Feature {
    /// As the kernel calls it.
    pub(super) name: String,
    /// The name by which `ethtool -K` takes it with others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<&'static str>,
    pub(super) on: bool,
    /// Whether it is asked for; `null` where it cannot be switched.
    pub(super) wanted: Option<bool>,
    pub(super) fixed: bool,
    /// Whether the guest's driver accepts it, of what that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) guest: Option<Guest>,
    /// Why it is not as it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unmet: Option<Unmet>,
    /// Why it has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inert: Option<&'static str>,
}

/// What a guest's driver makes of a feature. Each of its negotiations sets anew
/// what is wanted of it: whatever somebody else asked for is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Guest {
    /// It accepts it.
    Accepted,
    /// It does not, though another feature of its was accepted.
    Declined,
    /// No driver has accepted anything: none has started yet, or it declines all of
    /// it. The kernel does not tell these apart.
    NotNegotiated,
    /// It may or may not: the kernel does not tell a feature that was declined
    /// from one that somebody has switched off since.
    Unknown,
}

/// Why a feature is not as it is asked for.
#[derive(Debug, Serialize)]
pub(super) struct Unmet {
    because: &'static str,
    /// The feature that it needs, or that excludes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<String>,
    pub(super) told: String,
}

impl Report {
    pub(super) fn new(
        targets: &Targets,
        chosen: &[&Target],
        napi: &HashMap<u32, Fact<bool>>,
    ) -> Self {
        let interface = |target: &&Target| {
            let napi = napi.get(&target.id.ifindex).and_then(Fact::known);
            interface(targets, target, napi == Some(&false))
        };
        Self {
            schema: SCHEMA,
            version: VERSION,
            offwatch: env!("CARGO_PKG_VERSION"),
            kernel: system_text("osrelease"),
            vms_unavailable: targets.vms_unknown.clone(),
            interfaces: chosen.iter().map(interface).collect(),
        }
    }
}

fn interface(targets: &Targets, target: &Target, is_without_gro: bool) -> Interface {
    let names = &targets.names;
    let features = &target.features;
    let device = device(targets, target);
    let negotiated = match device {
        Device::Tap => predict::negotiated(names, features),
        _ => Negotiated::default(),
    };
    let unmet = predict::unmet(names, &device, features);
    let feature = |(bit, name): (usize, &String)| Feature {
        name: name.clone(),
        group: Group::of(name).map(|group| group.short),
        on: features.active.contains(bit),
        wanted: (!features.is_fixed(bit)).then(|| features.wanted.contains(bit)),
        fixed: features.is_fixed(bit),
        guest: guest(&negotiated, bit),
        unmet: unmet
            .iter()
            .find(|unmet| unmet.bit == bit)
            .map(|unmet| self::unmet(&unmet.because, guest(&negotiated, bit), names)),
        inert: (name == GRO && is_without_gro).then_some(GRO_INERT),
    };
    let named = names
        .0
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.is_empty());
    let master = target.master.and_then(|master| targets.by_ifindex(master));
    Interface {
        dev: target.id.dev.clone(),
        ifindex: target.id.ifindex,
        netns: target.id.netns,
        kind: target.kind.name().to_owned(),
        driver: target.driver.clone(),
        master: master.map(|master| master.id.dev.clone()),
        vm: target.owner.as_ref().map(|owner| Vm {
            name: owner.vm.clone(),
            uuid: owner.uuid.clone(),
            mac: owner.mac.clone(),
        }),
        features: named.map(feature).collect(),
    }
}

/// What decides about the features of an interface.
fn device(targets: &Targets, target: &Target) -> Device {
    match target.kind {
        Kind::Tap => Device::Tap,
        Kind::Bridge => {
            let ifindex = Some(target.id.ifindex);
            let ports = targets.targets.iter().filter(|port| port.master == ifindex);
            Device::Bridge(ports.map(|port| port.features.active).collect())
        }
        _ => Device::Other,
    }
}

fn guest(negotiated: &Negotiated, bit: usize) -> Option<Guest> {
    let is_in = |set: FeatureSet| set.contains(bit);
    match () {
        () if is_in(negotiated.accepted) => Some(Guest::Accepted),
        () if is_in(negotiated.declined) && negotiated.accepted.is_empty() => {
            Some(Guest::NotNegotiated)
        }
        () if is_in(negotiated.declined) => Some(Guest::Declined),
        () if is_in(negotiated.unknown) => Some(Guest::Unknown),
        () => None,
    }
}

fn unmet(because: &Because, guest: Option<Guest>, names: &FeatureNames) -> Unmet {
    let (word, feature) = match because {
        Because::Fixed => ("fixed", None),
        Because::Needs(bit) => ("needs", Some(bit)),
        Because::Excludes(bit) => ("excludes", Some(bit)),
        Because::NotNegotiated if guest == Some(Guest::Declined) => ("declined", None),
        Because::NotNegotiated => ("not_negotiated", None),
        Because::Ports => ("ports", None),
        Because::Driver => ("driver", None),
    };
    Unmet {
        because: word,
        feature: feature.and_then(|bit| names.name(*bit)).map(Into::into),
        told: because.told(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_and_the_reason_agree() {
        let names = FeatureNames(vec!["tx-udp-segmentation".into()]);
        let told = |accepted: &[usize]| {
            let negotiated = Negotiated {
                accepted: accepted.iter().copied().collect(),
                declined: [0].into_iter().collect(),
                ..Negotiated::default()
            };
            let guest = guest(&negotiated, 0);
            let unmet = unmet(&Because::NotNegotiated, guest, &names);
            (guest, unmet.because)
        };
        assert_eq!(told(&[]), (Some(Guest::NotNegotiated), "not_negotiated"));
        assert_eq!(told(&[1]), (Some(Guest::Declined), "declined"));
    }
}
