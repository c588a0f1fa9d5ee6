//! Interfaces whose features may be changed.

use serde::{Deserialize, Serialize};

use crate::{
    facts::nic::DriverSetup,
    inventory::nic::backend,
    sample::{
        Kind,
        offloads::{FeatureNames, Features},
    },
};

/// An interface, for as long as the host runs. A name may be given to another
/// interface, an ifindex to one of another namespace: a change needs all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Id {
    /// Inode number of the network namespace.
    pub netns: u64,
    /// Index in it.
    pub ifindex: u32,
    /// Name in it.
    pub dev: String,
}

/// The VM that an interface belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Name of the VM.
    pub vm: String,
    /// Its UUID, if known.
    pub uuid: Option<String>,
    /// MAC address of the card as the guest sees it, if known.
    pub mac: Option<String>,
    /// The guest's operating system as libosinfo names it, if known.
    pub os: Option<String>,
}

/// An interface and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Which one.
    pub id: Id,
    /// What it is.
    pub kind: Kind,
    /// Whose it is; `None` if nobody's, as far as it is known.
    pub owner: Option<Owner>,
    /// Its driver as `ethtool -i` prints it, if known.
    pub driver: Option<String>,
    /// ifindex of the bridge, bond or switch it belongs to.
    pub master: Option<u32>,
    /// Its features.
    pub features: Features,
    /// `<driver>` of the card, as the running VM has it, if known.
    pub card: Option<DriverSetup>,
}

impl Target {
    /// Whether it is made for a card of a VM. One without an owner may be anybody's.
    pub fn is_for_a_vm(&self) -> bool {
        match &self.kind {
            Kind::Tap => true,
            Kind::Other(kind) => kind == backend::MACVTAP,
            _ => false,
        }
    }
}

/// The interfaces of a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// How the kernel calls its features.
    pub names: FeatureNames,
    /// The interfaces.
    pub targets: Vec<Target>,
    /// Why VMs are not, or not all, known, if so.
    pub vms_unknown: Option<String>,
}

impl Targets {
    /// The interface with an ifindex.
    pub fn by_ifindex(&self, ifindex: u32) -> Option<&Target> {
        self.targets
            .iter()
            .find(|target| target.id.ifindex == ifindex)
    }
}
