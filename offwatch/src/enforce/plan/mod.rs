//! What is to be changed, and what will come of it.

use serde::{Deserialize, Serialize};

use super::{
    kernel::Request,
    target::{Id, Owner},
};
use crate::sample::offloads::{FeatureNames, FeatureSet, Features};

/// What a policy or an advice makes of the interfaces of this host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// How the kernel calls its features.
    pub names: FeatureNames,
    /// Interfaces that it speaks of, in the order in which they are changed; also
    /// those that are as they shall be.
    pub changes: Vec<Change>,
    /// What it speaks of and cannot be done, with the reason.
    pub left: Vec<Left>,
    /// Changes of VMs' definitions.
    pub definitions: Vec<Definition>,
}

/// What is to be done to an interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which one.
    pub id: Id,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// ifindex of the bridge, bond or switch it belongs to.
    pub master: Option<u32>,
    /// Why.
    pub why: Why,
    /// Its features when the plan was made.
    pub before: Features,
    /// Everything that shall hold, of what can be switched here.
    pub asked: Request,
    /// The part of it that is not asked of the kernel already: what is sent. If
    /// it is empty nothing is.
    pub send: Request,
    /// What will be on afterwards.
    pub predicted_active: FeatureSet,
    /// Asked for and will not be so, with the reason.
    pub unmet: Vec<Unmet>,
    /// Those of `asked` that the guest's next negotiation undoes.
    pub lost_at_negotiation: FeatureSet,
}

impl Change {
    /// Those that change though nobody asks for it.
    pub fn collateral(&self) -> FeatureSet {
        (self.before.active ^ self.predicted_active) - self.asked.mask
    }
}

/// A feature that will not be as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Its number.
    pub bit: usize,
    /// Why.
    pub because: Because,
}

/// Why a feature is not as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// It cannot be switched on this interface.
    Fixed,
    /// It needs this feature, which is off.
    Needs(usize),
    /// It cannot be on together with this feature.
    Excludes(usize),
    /// Nothing it needs is off: the guest's driver did not negotiate it.
    NotNegotiated,
    /// None of the ports of the bridge has it.
    Ports,
    /// Nothing it needs is off; the driver of the interface declines it.
    Driver,
}

impl Because {
    /// In words, after the name of the feature.
    pub fn told(&self, names: &FeatureNames) -> String {
        let name = |bit: &usize| {
            names
                .name(*bit)
                .unwrap_or("a feature without a name")
                .to_owned()
        };
        match self {
            Self::Fixed => "cannot be switched on this interface".into(),
            Self::Needs(bit) => format!("needs {}, which is off", name(bit)),
            Self::Excludes(bit) => format!("cannot be on together with {}", name(bit)),
            Self::NotNegotiated => "the guest's driver did not negotiate it".into(),
            Self::Ports => "no port of the bridge has it".into(),
            Self::Driver => "the interface's driver declines it".into(),
        }
    }
}

/// Where a change comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// Path of the policy or advice.
    pub file: Option<String>,
    /// Line in the policy where its rule begins.
    pub line: Option<usize>,
    /// Rule of the advice that asked for it.
    pub advice: Option<String>,
    /// The reason that the policy gives.
    pub reason: Option<String>,
}

/// What is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The interface or the VM.
    pub what: String,
    /// Why.
    pub because: String,
    /// Where it is asked for.
    pub why: Why,
}

/// A change of a card in a VM's persistent definition. It takes a cold start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Name of the VM.
    pub vm: String,
    /// MAC address of the card; `None`: all of them.
    pub mac: Option<String>,
    /// Attributes of `<driver><host .../>`: what the guest may send.
    pub host: Vec<(String, bool)>,
    /// Attributes of `<driver><guest .../>`: what it may receive.
    pub guest: Vec<(String, bool)>,
    /// Where it is asked for.
    pub why: Why,
}
