//! What only a VM's definition decides: which offloads its card offers the guest.
//!
//! libvirt refuses to change them while the card is there, so a change is made in
//! the persistent definition and takes effect at the next cold start.

#[cfg(feature = "libvirt")]
mod libvirt;
#[cfg(not(feature = "libvirt"))]
mod none;
#[cfg(any(feature = "libvirt", test))]
mod xml;

use serde::{Deserialize, Serialize};

#[cfg(feature = "libvirt")]
pub use self::libvirt::Definitions;
#[cfg(not(feature = "libvirt"))]
pub use self::none::Definitions;

/// Which way an offload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// `<driver><host .../>`: what the guest may send.
    Host,
    /// `<driver><guest .../>`: what it may receive, the most that its tap can have.
    Guest,
}

impl Side {
    /// Name of the element.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Guest => "guest",
        }
    }
}

/// Attributes of both elements, as libvirt's domain format has them. It ignores
/// others without a word.
pub fn attributes(side: Side) -> &'static [&'static str] {
    match side {
        Side::Host => &["csum", "gso", "tso4", "tso6", "ecn", "ufo", "mrg_rxbuf"],
        Side::Guest => &["csum", "tso4", "tso6", "ecn", "ufo"],
    }
}

/// An attribute of a card, before and after a change. `None`: it is not given, so
/// that QEMU's default holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Which element.
    pub side: Side,
    /// Its name.
    pub attribute: String,
    /// What it was.
    pub before: Option<bool>,
    /// What it is to be.
    pub after: Option<bool>,
}

impl Switch {
    /// What takes it back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            before: self.after,
            after: self.before,
            ..self.clone()
        }
    }
}

/// A card of a VM's persistent definition, and what is changed of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Name of the VM.
    pub vm: String,
    /// Its UUID: the name may be another VM's later.
    pub uuid: String,
    /// MAC address of the card.
    pub mac: String,
    /// What is changed; nothing if it is as it shall be.
    pub switches: Vec<Switch>,
}

impl Card {
    /// VM and MAC address, for people.
    pub fn name(&self) -> String {
        format!("VM {} card {}", self.vm, self.mac)
    }

    /// What is changed, for people.
    pub fn words(&self) -> String {
        let words = self.switches.iter().map(|switch| {
            let state = match switch.after {
                Some(true) => "on",
                Some(false) => "off",
                None => "by default",
            };
            format!("{} {} {state}", switch.side.name(), switch.attribute)
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// What takes it back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            switches: self.switches.iter().map(Switch::reversed).collect(),
            ..self.clone()
        }
    }
}

/// Why a definition is not changed.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// libvirt does not answer, or not this user.
    #[error("{0}")]
    Connect(String),
    /// There is none.
    #[error("VM {vm}: libvirt has no such VM")]
    NoVm {
        /// Name of the VM.
        vm: String,
    },
    /// It has none that lasts.
    #[error("VM {vm}: it is transient, it has no definition that outlives it")]
    Transient {
        /// Name of the VM.
        vm: String,
    },
    /// A card is not there.
    #[error("VM {vm}: its definition has no card {}", .mac.as_deref().unwrap_or("at all"))]
    NoCard {
        /// Name of the VM.
        vm: String,
        /// MAC address that was looked for; `None`: any.
        mac: Option<String>,
    },
    /// Something has changed it since.
    #[error("VM {vm}: card {mac} has been changed by something else since; left as it is")]
    Changed {
        /// Name of the VM.
        vm: String,
        /// MAC address of the card.
        mac: String,
    },
    /// Its XML is not as libvirt documents it.
    #[error("VM {vm}: {source}")]
    Xml {
        /// Name of the VM.
        vm: String,
        /// What is wrong.
        source: XmlError,
    },
    /// libvirt refused.
    #[error("VM {vm}: libvirt does not change its definition: {message}")]
    Refused {
        /// Name of the VM.
        vm: String,
        /// libvirt's words.
        message: String,
    },
    /// libvirt took it, and the definition is not as asked.
    #[error("VM {vm}: libvirt did not keep {attribute} of card {mac}")]
    NotKept {
        /// Name of the VM.
        vm: String,
        /// MAC address of the card.
        mac: String,
        /// Such as `guest tso4`.
        attribute: String,
    },
}

/// Why a card's XML cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed.
    #[error("not well-formed XML: {0}")]
    Malformed(String),
    /// A switch has another value than `on` and `off`.
    #[error("{side} {attribute}='{value}' is neither on nor off", side = .side.name())]
    Value {
        /// Which element.
        side: Side,
        /// Its attribute.
        attribute: String,
        /// Its value.
        value: String,
    },
}
