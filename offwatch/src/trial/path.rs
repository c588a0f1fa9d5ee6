//! Which interfaces frames pass on their way to a neighbour.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use crate::{
    facts::{
        device::Device,
        topology::{Lower, Peer, Topology},
    },
    inventory::{
        neighbours::{self, Forwarding, Mac},
        setup::{Route, route::Hop},
    },
};

const OPEN_VSWITCH: &str = "openvswitch";
pub(super) const VRF: &str = "vrf";

/// What is known of a network.
struct Network<'a> {
    /// Interfaces.
    devices: &'a BTreeMap<u32, Device>,
    /// What bridges have seen.
    forwarding: &'a [Forwarding],
}

/// Interfaces that frames pass, by ifindex.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Surely.
    pub(super) surely: BTreeSet<u32>,
    /// Perhaps, and why it is not known.
    pub(super) perhaps: BTreeMap<u32, String>,
    followed: BTreeSet<(u32, Option<Mac>)>,
}

impl Passed {
    /// Adds what frames pass that leave by the interface `ifindex` for the neighbour
    /// with this MAC address, if that is known.
    fn leaving(&mut self, network: &Network<'_>, ifindex: u32, to: Option<Mac>) {
        let Some(device) = network.devices.get(&ifindex) else {
            return;
        };
        self.surely.insert(ifindex);
        if !self.followed.insert((ifindex, to)) {
            return;
        }
        match &device.topology {
            Topology::Bridge(_) => self.through(network, device, to),
            Topology::Veth(Peer::Here(other)) => self.out_of(network, *other, to),
            // Which of the ports, another frame may tell otherwise.
            _ if device.kind.name() != VRF => {
                for port in &device.ports {
                    self.leaving(network, *port, to);
                }
            }
            _ => {}
        }
        if device.kind.name() == OPEN_VSWITCH {
            self.through_a_switch(network, &device.dev);
        }
        match device.lower {
            Some(Lower::Link(lower)) if is_tunnel(device) => self.leaving(network, lower, None),
            Some(Lower::Link(lower)) => self.leaving(network, lower, to),
            Some(Lower::Route(lower)) => self.leaving(network, lower, None),
            Some(Lower::Varies) => {
                let reason = format!(
                    "it is not known where frames of tunnel {} leave",
                    device.dev
                );
                self.maybe(network.devices.keys(), &reason);
            }
            Some(Lower::Elsewhere) | None => {}
        }
    }

    /// The same for frames that come out of the other end of a veth pair.
    fn out_of(&mut self, network: &Network<'_>, ifindex: u32, to: Option<Mac>) {
        self.surely.insert(ifindex);
        let end = network.devices.get(&ifindex);
        let master = end.and_then(|end| network.devices.get(&end.master?));
        match master {
            Some(bridge) if matches!(bridge.topology, Topology::Bridge(_)) => {
                self.through(network, bridge, to);
            }
            Some(switch) if switch.kind.name() == OPEN_VSWITCH => {
                self.through_a_switch(network, &switch.dev);
            }
            _ => {}
        }
    }

    fn through(&mut self, network: &Network<'_>, bridge: &Device, to: Option<Mac>) {
        let is_it = |entry: &&Forwarding| entry.bridge == bridge.ifindex && Some(entry.mac) == to;
        let ports: BTreeSet<u32> = network
            .forwarding
            .iter()
            .filter(is_it)
            .map(|entry| entry.port)
            .collect();
        for port in &ports {
            self.leaving(network, *port, to);
        }
        if ports.is_empty() {
            let reason = format!("bridge {} does not tell by which port it goes", bridge.dev);
            self.maybe(&bridge.ports, &reason);
        }
    }

    /// The ports of all switches are below one interface.
    fn through_a_switch(&mut self, network: &Network<'_>, dev: &str) {
        let is_switch = |ifindex: u32| {
            let device = network.devices.get(&ifindex);
            device.is_some_and(|device| device.kind.name() == OPEN_VSWITCH)
        };
        let ports = network.devices.values();
        let ports = ports.filter(|port| port.master.is_some_and(is_switch));
        let reason = format!("Open vSwitch ({dev}) does not tell by which port it goes");
        self.maybe(ports.map(|port| &port.ifindex), &reason);
    }

    fn maybe<'a>(&mut self, ifindexes: impl IntoIterator<Item = &'a u32>, reason: &str) {
        for ifindex in ifindexes {
            let reasons = self.perhaps.entry(*ifindex);
            reasons.or_insert_with(|| reason.to_owned());
        }
    }
}

/// What the interfaces of the network namespace of this thread pass of frames with
/// these first hops.
pub(super) fn of_hops(
    requests: &mut Route,
    devices: &BTreeMap<u32, Device>,
    hops: &[Hop],
) -> io::Result<Passed> {
    let forwarding = neighbours::forwarding(requests)?;
    let network = Network {
        devices,
        forwarding: &forwarding,
    };
    let mut passed = Passed::default();
    for hop in hops {
        let mac = neighbours::mac(requests, *hop)?;
        passed.leaving(&network, hop.ifindex, mac);
    }
    Ok(passed)
}

/// Frames of a VLAN, macvlan or ipvlan have the addresses of those on the interface
/// below; those of a tunnel do not.
fn is_tunnel(device: &Device) -> bool {
    !["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"].contains(&device.kind.name())
}
