//! What is to be changed, and what will come of it.

mod advised;
mod definitions;
mod demand;
pub mod json;
mod make;
mod missing;
#[cfg(test)]
mod tests;
pub mod text;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

pub use self::make::{PlanError, Sources, make};

use super::{
    definition::Side,
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

impl Plan {
    /// Whether anything is to be changed.
    pub fn has_changes(&self) -> bool {
        let mut changes = self.changes.iter();
        !self.definitions.is_empty() || changes.any(|change| !change.send.is_empty())
    }
}

/// What is to be done to an interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Which one.
    pub id: Id,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// A guest's driver decides about some of its features.
    pub is_tap: bool,
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
    /// What will be on afterwards, most likely.
    pub predicted_active: FeatureSet,
    /// Those of which it cannot be said: that one of them changes is no surprise,
    /// and neither is that it does not.
    pub uncertain: FeatureSet,
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

    /// What of `ethtool` does the same; none if nothing is sent.
    pub fn command(&self, names: &FeatureNames) -> Option<String> {
        if self.send.is_empty() {
            return None;
        }
        // It fails for NUL alone, which no name has.
        let dev = shlex::try_quote(&self.id.dev).unwrap_or_default();
        let mut command = format!("ethtool -K {dev}");
        for bit in self.send.mask.iter() {
            let on = self.send.on.contains(bit);
            let _ = write!(command, " {} {}", name(names, bit), state(on));
        }
        Some(command)
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
    /// Nothing it needs is off: no guest's driver has accepted it.
    NotNegotiated,
    /// None of the ports of the bridge has it.
    Ports,
    /// Nothing it needs is off; the driver of the interface declines it.
    Driver,
}

impl Because {
    /// In words, after the name of the feature.
    pub fn told(&self, names: &FeatureNames) -> String {
        match self {
            Self::Fixed => "cannot be switched on this interface".into(),
            Self::Needs(bit) => format!("needs {}, which is off", name(names, *bit)),
            Self::Excludes(bit) => format!("cannot be on together with {}", name(names, *bit)),
            Self::NotNegotiated => "no guest's driver has accepted it".into(),
            Self::Ports => "no port of the bridge has it".into(),
            Self::Driver => "the interface's driver declines it".into(),
        }
    }
}

/// How a feature is called in what people read.
fn name(names: &FeatureNames, bit: usize) -> &str {
    names.name(bit).unwrap_or("a feature without a name")
}

fn state(on: bool) -> &'static str {
    if on { "on" } else { "off" }
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
    /// Further rules that ask something of the same interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Self>,
}

impl Why {
    /// Where it is written: `policy.toml:12`, or `advice.json [tap-no-tso]`.
    pub fn place(&self) -> String {
        let mut place = self.file.clone().unwrap_or_default();
        if let Some(line) = self.line {
            place += &format!(":{line}");
        }
        if let Some(rule) = &self.advice {
            place += &format!(" [{rule}]");
        }
        place
    }
}

/// What is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The interface or the VM.
    pub what: String,
    /// Why.
    pub because: String,
    /// The interface that a rule names, letter by letter, and that is not there.
    pub missing: Option<String>,
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

impl Definition {
    /// What is to be in its `<interface>`.
    pub fn xml(&self) -> String {
        let element = |side: Side, switches: &[(String, bool)]| {
            let mut element = String::new();
            if !switches.is_empty() {
                let _ = write!(element, "<{}", side.name());
                for (attribute, on) in switches {
                    let _ = write!(element, " {attribute}='{}'", state(*on));
                }
                element += "/>";
            }
            element
        };
        format!(
            "<driver>{}{}</driver>",
            element(Side::Host, &self.host),
            element(Side::Guest, &self.guest)
        )
    }
}
