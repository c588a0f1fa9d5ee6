//! Where a frame to an address leaves, by `RTM_GETROUTE`.

use std::{io, net::IpAddr};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteMessage},
};

use super::Route;

/// The interface by which a frame to `address` leaves now; none if there is
/// no route, or no single one.
pub(super) fn output(requests: &mut Route, address: IpAddr) -> io::Result<Option<u32>> {
    let mut ask = RouteMessage::default();
    let (family, bits, address) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, 32, RouteAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(address)),
    };
    ask.header.address_family = family;
    ask.header.destination_prefix_length = bits;
    ask.attributes.push(RouteAttribute::Destination(address));
    let answers = match requests.request(RouteNetlinkMessage::GetRoute(ask)) {
        Err(error) if is_no_route(&error) => return Ok(None),
        answers => answers?,
    };
    let attributes = answers.into_iter().flat_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(route) => route.attributes,
        _ => Vec::new(),
    });
    let mut outputs = attributes.filter_map(|attribute| match attribute {
        RouteAttribute::Oif(ifindex) => Some(ifindex),
        _ => None,
    });
    Ok(outputs.next())
}

fn is_no_route(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EINVAL | libc::EACCES)
    )
}
