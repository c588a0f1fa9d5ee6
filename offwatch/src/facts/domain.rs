//! VMs, as they were set up.

use serde::{Deserialize, Serialize};

use super::nic::NicSetup;
use crate::sample::{Source, offloads::Fact};

/// A running VM, as libvirt's live XML, a status file or QEMU's command line
/// has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Name.
    pub name: String,
    /// UUID, if known.
    pub uuid: Option<String>,
    /// Process id of QEMU, where it is known.
    pub pid: Option<u32>,
    /// Who told.
    pub source: Source,
    /// Guest OS as libosinfo names it, such as
    /// `http://microsoft.com/win/2k22`: what whoever created the VM said.
    pub os_id: Fact<String>,
    /// The guest's agent, when the XML was last read: up to a minute before.
    pub agent: Fact<Agent>,
    /// Machine type, such as `pc-q35-9.0`: it decides defaults of the cards.
    pub machine: Fact<String>,
    /// Its network cards.
    pub nics: Vec<NicSetup>,
}

/// The QEMU guest agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agent {
    /// The VM has no channel for it.
    NoChannel,
    /// There is a channel, and nobody in the guest has opened it.
    Disconnected,
    /// An agent has opened the channel.
    Connected,
    /// There is a channel; whether an agent uses it is not told.
    Channel,
}
