//! Changes: what is changed, how much that touches, and how long it lasts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::advice::Text;

/// A change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// How much it touches.
    pub scope: Scope,
    /// When it is to be made, unless it is the first choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Text>,
    /// What is changed.
    #[serde(flatten)]
    pub action: Action,
    /// How long it lasts.
    pub persistence: Persistence,
}

/// How much a change touches, the smallest first. A bridge is no scope: its own
/// flags do nothing for bridged frames.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Inside the guest.
    Guest,
    /// The definition of one VM.
    LibvirtXml,
    /// One tap.
    Tap,
    /// A tunnel's or other virtual device of the host.
    Device,
    /// A device that all VMs share.
    Uplink,
    /// The whole host.
    Host,
}

impl Scope {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::LibvirtXml => "libvirt XML",
            Self::Tap => "tap",
            Self::Device => "device",
            Self::Uplink => "uplink",
            Self::Host => "host",
        }
    }
}

/// What is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Features of an interface are switched. `offwatch enforce` can do it.
    SetFeatures {
        /// Name of the interface.
        dev: String,
        /// Its index; both must match.
        ifindex: u32,
        /// Inode number of the network namespace.
        netns: u64,
        /// Features by the kernel's names, and whether they are to be on.
        features: BTreeMap<Text, bool>,
        /// The same for ethtool.
        command: String,
    },
    /// A command is run on the host.
    Command {
        /// The command.
        command: String,
    },
    /// The definition of a VM is changed.
    LibvirtXml {
        /// Name of the VM.
        domain: String,
        /// MAC address of the card, if it is known.
        mac: Option<String>,
        /// What goes into its `<interface>`.
        xml: String,
    },
    /// Something is done in the guest.
    InGuest {
        /// What.
        command: Text,
    },
    /// Something is replaced by a newer version.
    Upgrade {
        /// What, and to which version.
        to: Text,
    },
    /// Anything else that people do.
    Do {
        /// What.
        what: Text,
    },
}

/// How long a change lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Persistence {
    /// The guest's driver undoes it when it negotiates next: at boot, at a
    /// reload of the driver, or when it changes its own offloads.
    UntilNegotiation,
    /// It stays as long as the interface does; a cold start of a VM makes a new
    /// tap.
    UntilRecreated,
    /// It is gone when the host boots next, unless its configuration holds it.
    UntilHostBoot,
    /// It takes effect at the next cold start of the VM, and stays.
    AtColdStart,
    /// As the guest's own configuration keeps it.
    AsGuestKeeps,
    /// It stays.
    Lasting,
}

impl Persistence {
    /// What it means, in a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::UntilNegotiation => "undone when the guest next negotiates (boot, driver reload)",
            Self::UntilRecreated => "lasts until the interface is made anew (VM cold start)",
            Self::UntilHostBoot => "lasts until the host boots, unless configured",
            Self::AtColdStart => "takes effect at the next cold start, and stays",
            Self::AsGuestKeeps => "lasts as the guest's configuration keeps it",
            Self::Lasting => "lasting",
        }
    }
}
