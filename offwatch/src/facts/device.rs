//! Network interfaces.

use serde::{Deserialize, Serialize};

use super::{
    hardware::Hardware,
    policer::Policer,
    qdisc::Qdisc,
    topology::{Lower, Topology},
};
use crate::sample::{Kind, offloads::Fact};

/// A network interface, beside what a sample tells of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Index in the observed network namespace.
    pub ifindex: u32,
    /// Name.
    pub dev: String,
    /// What it is.
    pub kind: Kind,
    /// It is switched on (`IFF_UP`).
    pub up: bool,
    /// It can carry frames (`IFF_RUNNING`, `IFF_LOWER_UP`): of a tap, somebody
    /// holds it.
    pub carrier: bool,
    /// MTU in bytes.
    pub mtu_bytes: u32,
    /// Largest MTU that can be set, bytes.
    pub mtu_max_bytes: Option<u32>,
    /// ifindex of the bridge, bond or switch it belongs to.
    pub master: Option<u32>,
    /// Its ports, if it is a bridge, bond or switch: the interfaces whose
    /// `master` it is, by ifindex.
    pub ports: Vec<u32>,
    /// The interface that its frames leave by (of a vxlan, VLAN, macvtap, ...).
    pub lower: Option<Lower>,
    /// Interfaces whose frames leave by this one: of an uplink its VLANs,
    /// tunnels and macvtaps. By ifindex.
    pub uppers: Vec<u32>,
    /// What its kind has beyond that.
    pub topology: Topology,
    /// Driver, rings, channels and link; of devices with a driver of their own
    /// (hardware, virtio) only.
    pub hardware: Option<Box<Hardware>>,
    /// Its queueing disciplines, the ones below another included.
    pub qdiscs: Fact<Vec<Qdisc>>,
    /// Policers, wherever they are attached: what exceeds their rate is dropped.
    pub policers: Fact<Vec<Policer>>,
}

impl Device {
    /// Its root queueing discipline, if it has one that is not `noqueue`.
    pub fn root_qdisc(&self) -> Option<&Qdisc> {
        self.qdiscs.known()?.iter().find(|qdisc| qdisc.is_root())
    }
}
