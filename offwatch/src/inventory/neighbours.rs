//! Whom the network namespace of this thread knows: own addresses, neighbours and
//! the forwarding databases of its bridges, by rtnetlink.

use std::{io, net::IpAddr};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage},
};

use super::setup::{Route, route::Hop};

/// A MAC address.
pub type Mac = [u8; 6];

/// A bridge has seen an address behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// ifindex of the bridge.
    pub bridge: u32,
    /// ifindex of the port.
    pub port: u32,
    /// The address.
    pub mac: Mac,
}

/// The interface that has an address of this host.
pub fn owner(requests: &mut Route, address: IpAddr) -> io::Result<Option<u32>> {
    let mut ask = AddressMessage::default();
    ask.header.family = family(address);
    let answers = requests.list(RouteNetlinkMessage::GetAddress(ask))?;
    let is_it = |attribute: &AddressAttribute| {
        matches!(
            attribute,
            AddressAttribute::Address(own) | AddressAttribute::Local(own) if *own == address
        )
    };
    Ok(answers.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewAddress(message) if message.attributes.iter().any(is_it) => {
            Some(message.header.index)
        }
        _ => None,
    }))
}

/// The MAC address of a neighbour, if it is known.
pub fn mac(requests: &mut Route, hop: Hop) -> io::Result<Option<Mac>> {
    let wanted = match hop.neighbour {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    };
    let wanted = NeighbourAttribute::Destination(wanted);
    let neighbours = list(requests, family(hop.neighbour))?;
    let found = neighbours.iter().find(|neighbour| {
        neighbour.header.ifindex == hop.ifindex && neighbour.attributes.contains(&wanted)
    });
    Ok(found.and_then(mac_of))
}

/// What the bridges have seen. Entries of a device's own database, as of a VXLAN, are
/// not among it.
pub fn forwarding(requests: &mut Route) -> io::Result<Vec<Forwarding>> {
    let entries = list(requests, AddressFamily::Bridge)?;
    let entry = |message: &NeighbourMessage| {
        let bridge = message.attributes.iter().find_map(|attribute| {
            let NeighbourAttribute::Controller(bridge) = attribute else {
                return None;
            };
            Some(*bridge)
        })?;
        Some(Forwarding {
            bridge,
            port: message.header.ifindex,
            mac: mac_of(message)?,
        })
    };
    Ok(entries.iter().filter_map(entry).collect())
}

fn list(requests: &mut Route, family: AddressFamily) -> io::Result<Vec<NeighbourMessage>> {
    let mut ask = NeighbourMessage::default();
    ask.header.family = family;
    let answers = requests.list(RouteNetlinkMessage::GetNeighbour(ask))?;
    let message = |answer| match answer {
        RouteNetlinkMessage::NewNeighbour(message) => Some(message),
        _ => None,
    };
    Ok(answers.into_iter().filter_map(message).collect())
}

fn mac_of(message: &NeighbourMessage) -> Option<Mac> {
    message.attributes.iter().find_map(|attribute| {
        let NeighbourAttribute::LinkLayerAddress(mac) = attribute else {
            return None;
        };
        mac.as_slice().try_into().ok()
    })
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
