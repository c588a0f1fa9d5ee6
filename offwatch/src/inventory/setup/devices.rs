//! Interfaces and how they are stacked, by `RTM_GETLINK`.

use std::{collections::BTreeMap, io, net::IpAddr};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        InfoBond, InfoBridge, InfoData, InfoGeneve, InfoVlan, InfoVxlan, LinkAttribute,
        LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
    },
};

use super::{Route, route};
use crate::{
    facts::{
        device::Device,
        hardware::Hardware,
        topology::{Bond, Bridge, Lower, Peer, Topology, Vlan, Vxlan},
    },
    inventory::link::link,
    sample::Kind,
};

/// Kinds whose frames leave by a route, unless they were made on an interface.
const TUNNELS: [&str; 15] = [
    "bareudp",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "ip6erspan",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "sit",
    "vti",
    "vti6",
    "vxlan",
    "wireguard",
];

/// All of them, by ifindex, without drivers and queueing disciplines.
pub(super) fn list(requests: &mut Route) -> io::Result<Vec<Device>> {
    let mut ask = LinkMessage::default();
    let without_counters = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
    ask.attributes.push(without_counters);
    let mut devices: Vec<Device> = Vec::new();
    // Tunnels whose lower device the routes tell, by place.
    let mut remotes = Vec::new();
    requests.each(RouteNetlinkMessage::GetLink(ask), |answer| {
        let RouteNetlinkMessage::NewLink(message) = answer else {
            return;
        };
        let Some(device) = device(&message) else {
            return;
        };
        if let Some(Lower::Varies) = device.lower
            && let Some(remote) = remote(&device.topology, &message)
        {
            remotes.push((devices.len(), remote));
        }
        devices.push(device);
    })?;
    for (place, remote) in remotes {
        devices[place].lower = route::output(requests, remote)?.map(Lower::Route);
    }
    Ok(stack(devices))
}

/// One interface by itself.
pub(super) fn device(message: &LinkMessage) -> Option<Device> {
    let link = link(message)?;
    let flags = message.header.flags;
    let infos = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos.as_slice()),
            _ => None,
        });
    let data = data(infos.unwrap_or_default());
    let number = |of: fn(&LinkAttribute) -> Option<u32>| message.attributes.iter().find_map(of);
    let below = number(|attribute| match attribute {
        LinkAttribute::Link(ifindex) => Some(*ifindex),
        _ => None,
    });
    let is_elsewhere = message
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, LinkAttribute::LinkNetNsId(_)));
    let is_hardware = link.kind == Kind::Physical;
    Some(Device {
        ifindex: link.ifindex,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        mtu_bytes: link.mtu,
        mtu_max_bytes: number(|attribute| match attribute {
            LinkAttribute::MaxMtu(bytes) if *bytes != 0 => Some(*bytes),
            _ => None,
        }),
        master: link.master,
        lower: lower(&link.kind, data, below, is_elsewhere),
        topology: topology(&link.kind, data, below, is_elsewhere),
        hardware: is_hardware.then(Box::<Hardware>::default),
        dev: link.dev.to_string(),
        kind: link.kind,
        ..Device::default()
    })
}

fn data(infos: &[LinkInfo]) -> Option<&InfoData> {
    infos.iter().find_map(|info| match info {
        LinkInfo::Data(data) => Some(data),
        _ => None,
    })
}

fn lower(
    kind: &Kind,
    data: Option<&InfoData>,
    below: Option<u32>,
    is_elsewhere: bool,
) -> Option<Lower> {
    let below = match (kind.name(), data) {
        // What it names is the other end.
        ("veth" | "netkit" | "vxcan", _) => return None,
        (_, Some(InfoData::Vxlan(vxlan))) => vxlan.iter().find_map(|info| match info {
            InfoVxlan::Link(ifindex) => Some(*ifindex),
            _ => None,
        }),
        _ => below,
    };
    let is_tunnel = TUNNELS.contains(&kind.name());
    match below.filter(|ifindex| *ifindex != 0) {
        _ if is_elsewhere => Some(Lower::Elsewhere),
        Some(ifindex) => Some(Lower::Link(ifindex)),
        None => is_tunnel.then_some(Lower::Varies),
    }
}

fn topology(
    kind: &Kind,
    data: Option<&InfoData>,
    below: Option<u32>,
    is_elsewhere: bool,
) -> Topology {
    match data {
        Some(InfoData::Bridge(infos)) => Topology::Bridge(bridge(infos)),
        Some(InfoData::Bond(infos)) => Topology::Bond(bond(infos)),
        Some(InfoData::Vlan(infos)) => Topology::Vlan(Vlan {
            id: infos.iter().find_map(|info| match info {
                InfoVlan::Id(id) => Some(*id),
                _ => None,
            }),
        }),
        Some(InfoData::Vxlan(infos)) => Topology::Vxlan(vxlan(infos)),
        _ if kind.name() == "veth" => Topology::Veth(match below {
            _ if is_elsewhere => Peer::Elsewhere,
            Some(ifindex) => Peer::Here(ifindex),
            None => Peer::Unknown,
        }),
        _ => Topology::Plain,
    }
}

fn bridge(infos: &[InfoBridge]) -> Bridge {
    let mut bridge = Bridge::default();
    for info in infos {
        match info {
            InfoBridge::VlanFiltering(on) => bridge.vlan_filtering = Some(*on),
            InfoBridge::NfCallIpTables(on) => bridge.nf_call_iptables = Some(*on),
            InfoBridge::NfCallIp6Tables(on) => bridge.nf_call_ip6tables = Some(*on),
            _ => {}
        }
    }
    bridge
}

fn bond(infos: &[InfoBond]) -> Bond {
    let mut bond = Bond::default();
    for info in infos {
        match info {
            InfoBond::Mode(mode) => bond.mode = Some(mode.to_string()),
            InfoBond::ActivePort(ifindex) => bond.active_port = Some(*ifindex),
            _ => {}
        }
    }
    bond
}

fn vxlan(infos: &[InfoVxlan]) -> Vxlan {
    let mut vxlan = Vxlan::default();
    for info in infos {
        match info {
            InfoVxlan::Id(id) => vxlan.vni = Some(*id),
            InfoVxlan::Local(address) => vxlan.local = Some((*address).into()),
            InfoVxlan::Local6(address) => vxlan.local = Some((*address).into()),
            InfoVxlan::Group(address) => vxlan.remote = Some((*address).into()),
            InfoVxlan::Group6(address) => vxlan.remote = Some((*address).into()),
            InfoVxlan::Port(port) => vxlan.port = Some(*port),
            InfoVxlan::UDPCsum(on) => vxlan.udp_csum = Some(*on),
            InfoVxlan::CollectMetadata(on) => vxlan.collect_metadata = *on,
            _ => {}
        }
    }
    // It is told as 0 then.
    vxlan.vni = vxlan.vni.filter(|_| !vxlan.collect_metadata);
    vxlan
}

/// The other end of a tunnel.
fn remote(topology: &Topology, message: &LinkMessage) -> Option<IpAddr> {
    if let Topology::Vxlan(vxlan) = topology {
        return vxlan.remote;
    }
    let infos = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos.as_slice()),
            _ => None,
        })?;
    let Some(InfoData::Geneve(infos)) = data(infos) else {
        return None;
    };
    infos.iter().find_map(|info| match info {
        InfoGeneve::Remote(address) => Some(IpAddr::from(*address)),
        InfoGeneve::Remote6(address) => Some(IpAddr::from(*address)),
        _ => None,
    })
}

/// Tells each interface what is on it.
pub(super) fn stack(mut devices: Vec<Device>) -> Vec<Device> {
    devices.sort_by_key(|device| device.ifindex);
    let mut ports = BTreeMap::<u32, Vec<u32>>::new();
    let mut uppers = BTreeMap::<u32, Vec<u32>>::new();
    for device in &devices {
        if let Some(master) = device.master {
            ports.entry(master).or_default().push(device.ifindex);
        }
        if let Some(lower) = device.lower.and_then(Lower::ifindex) {
            uppers.entry(lower).or_default().push(device.ifindex);
        }
    }
    for device in &mut devices {
        device.ports = ports.remove(&device.ifindex).unwrap_or_default();
        device.uppers = uppers.remove(&device.ifindex).unwrap_or_default();
    }
    devices
}
