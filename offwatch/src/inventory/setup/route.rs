//! Where a frame to an address leaves, by `RTM_GETROUTE`.

use std::{io, net::IpAddr};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia},
};

use super::Route;

/// A frame that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it is to go.
    pub to: IpAddr,
    /// The address of this host that it comes from, if it has one already.
    pub from: Option<IpAddr>,
    /// The interface, or the VRF, that it has to leave by.
    pub by: Option<u32>,
}

/// Where a frame leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The interface.
    pub ifindex: u32,
    /// The neighbour that it is sent to: a router, or the destination itself.
    pub neighbour: IpAddr,
}

/// The interface by which a frame to `address` leaves now; none if there is
/// no route, or no single one.
pub(super) fn output(requests: &mut Route, address: IpAddr) -> io::Result<Option<u32>> {
    let outgoing = Outgoing {
        to: address,
        from: None,
        by: None,
    };
    Ok(hop(requests, outgoing)?.map(|hop| hop.ifindex))
}

/// Where a frame leaves now; none if there is no route, or no single one.
pub fn hop(requests: &mut Route, outgoing: Outgoing) -> io::Result<Option<Hop>> {
    let mut ask = RouteMessage::default();
    let (family, bits) = match outgoing.to {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    ask.header.address_family = family;
    ask.header.destination_prefix_length = bits;
    let to = RouteAttribute::Destination(outgoing.to.into());
    ask.attributes.push(to);
    if let Some(from) = outgoing.from {
        ask.header.source_prefix_length = bits;
        ask.attributes.push(RouteAttribute::Source(from.into()));
    }
    ask.attributes.extend(outgoing.by.map(RouteAttribute::Oif));
    let answers = match requests.request(RouteNetlinkMessage::GetRoute(ask)) {
        Err(error) if is_no_route(&error) => return Ok(None),
        answers => answers?,
    };
    let attributes = answers.into_iter().flat_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(route) => route.attributes,
        _ => Vec::new(),
    });
    let (mut ifindex, mut neighbour) = (None, outgoing.to);
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(output) => ifindex = ifindex.or(Some(output)),
            RouteAttribute::Gateway(RouteAddress::Inet(router))
            | RouteAttribute::Via(RouteVia::Inet(router)) => neighbour = router.into(),
            RouteAttribute::Gateway(RouteAddress::Inet6(router))
            | RouteAttribute::Via(RouteVia::Inet6(router)) => neighbour = router.into(),
            _ => {}
        }
    }
    Ok(ifindex.map(|ifindex| Hop { ifindex, neighbour }))
}

fn is_no_route(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EINVAL | libc::EACCES)
    )
}
