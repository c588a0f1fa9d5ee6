//! The host.

use serde::{Deserialize, Serialize};

use crate::sample::offloads::Fact;

/// The host, beside what a sample tells of it (its kernel's release).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    /// Its distribution.
    pub distribution: Fact<Distribution>,
    /// libvirt's version, such as `9.0.0`.
    pub libvirt: Fact<String>,
    /// Version of the QEMU that libvirt starts, such as `7.2.0`. VMs that run
    /// may have been started with an older one.
    pub qemu: Fact<String>,
    /// What bridges hand to netfilter. Known to be nothing (`None`) where the
    /// module `br_netfilter` is not loaded.
    pub bridge_netfilter: Fact<Option<BridgeNetfilter>>,
    /// The host routes IPv4 (`net.ipv4.ip_forward`).
    pub ipv4_forwarding: Fact<bool>,
    /// The host routes IPv6 (`net.ipv6.conf.all.forwarding`).
    pub ipv6_forwarding: Fact<bool>,
    /// Routed IPv4 frames obey path MTUs that were learned
    /// (`net.ipv4.ip_forward_use_pmtu`).
    pub ipv4_forward_use_pmtu: Fact<bool>,
}

/// A distribution, by `/etc/os-release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// `ID`, such as `debian`.
    pub id: String,
    /// `VERSION_ID`, such as `12`.
    pub version_id: Option<String>,
    /// `PRETTY_NAME`, for people.
    pub pretty_name: Option<String>,
}

/// `net.bridge.bridge-nf-call-*`: whether bridged frames pass netfilter as if
/// they were routed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeNetfilter {
    /// IPv4 frames.
    pub iptables: bool,
    /// IPv6 frames.
    pub ip6tables: bool,
    /// ARP.
    pub arptables: bool,
}
