//! How interfaces are stacked.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The interface below another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lower {
    /// The one it was created on.
    Link(u32),
    /// Of a tunnel that was created on none: the one that the route to its
    /// remote end goes by now.
    Route(u32),
    /// In another network namespace, which cannot be seen from here.
    Elsewhere,
    /// Of a tunnel whose end differs from frame to frame, or is not read here:
    /// the one that the route to it goes by.
    Varies,
}

impl Lower {
    /// Its ifindex, if it is in the observed namespace.
    pub fn ifindex(self) -> Option<u32> {
        match self {
            Self::Link(ifindex) | Self::Route(ifindex) => Some(ifindex),
            Self::Elsewhere | Self::Varies => None,
        }
    }
}

/// What a kind of interface has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// Nothing that is of interest.
    #[default]
    Plain,
    /// A Linux bridge.
    Bridge(Bridge),
    /// A bond.
    Bond(Bond),
    /// A VLAN on another interface.
    Vlan(Vlan),
    /// A VXLAN tunnel.
    Vxlan(Vxlan),
    /// One end of a veth pair.
    Veth(Peer),
}

/// A Linux bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// It filters by VLAN.
    pub vlan_filtering: Option<bool>,
    /// Its own setting to hand bridged IPv4 frames to iptables.
    pub nf_call_iptables: Option<bool>,
    /// The same for IPv6.
    pub nf_call_ip6tables: Option<bool>,
}

/// A bond.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bond {
    /// Mode by the kernel's name: `balance-rr`, `active-backup`, `802.3ad`, ...
    pub mode: Option<String>,
    /// ifindex of the port that carries frames, where only one does.
    pub active_port: Option<u32>,
}

/// A VLAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vlan {
    /// Its number.
    pub id: Option<u16>,
}

/// A VXLAN tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vxlan {
    /// Network identifier; none of a tunnel whose frames each bring their own.
    pub vni: Option<u32>,
    /// Own address.
    pub local: Option<IpAddr>,
    /// Where frames go to whose destination is not known: the other end, or a
    /// multicast group.
    pub remote: Option<IpAddr>,
    /// UDP port of the other end.
    pub port: Option<u16>,
    /// Outer UDP checksums are computed when it sends over IPv4.
    pub udp_csum: Option<bool>,
    /// Each frame brings its tunnel with it, as Open vSwitch has it
    /// (`external`).
    pub collect_metadata: bool,
}

/// The other end of a veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// An interface of the observed namespace, by ifindex.
    Here(u32),
    /// In another network namespace, as of a container.
    Elsewhere,
    /// The kernel does not tell.
    Unknown,
}
