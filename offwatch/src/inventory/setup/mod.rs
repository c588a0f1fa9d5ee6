//! How the host is set up: what [`crate::facts`] tells of interfaces and of
//! the host.
//!
//! All interfaces are listed by one request, and their queueing disciplines by
//! another. Only what the kernel lists of one device at a time is asked for
//! by device, of those that have it: classes and filters where something can
//! have them, and drivers of hardware, which answer in their own time. Nothing
//! else here waits, nothing changes anything, and nothing needs a privilege.

mod attributes;
mod classes;
mod devices;
pub mod driver;
mod filters;
mod hardware;
mod host;
mod police;
mod qdiscs;
pub mod route;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, io};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    tc::{TcHandle, TcMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use self::hardware::HardwareReader;
pub use self::host::host;
use super::netlink::Requests;
use crate::{
    facts::{device::Device, qdisc::Qdisc},
    sample::offloads::Fact,
};

/// Requests of rtnetlink.
pub type Route = Requests<RouteNetlinkMessage>;

/// Interfaces of the network namespace of this thread, by ifindex.
pub fn devices() -> Fact<Vec<Device>> {
    match list() {
        Ok(devices) => Fact::Known(devices),
        Err(error) => Fact::unavailable(format!("cannot list network interfaces: {error}")),
    }
}

/// How they are stacked, without their queueing disciplines and drivers.
pub fn stacked() -> io::Result<Vec<Device>> {
    devices::list(&mut Route::open(NETLINK_ROUTE)?)
}

fn list() -> io::Result<Vec<Device>> {
    let mut route = Route::open(NETLINK_ROUTE)?;
    let mut devices = devices::list(&mut route)?;
    let qdiscs = qdiscs::list(&mut route);
    let mut hardware = HardwareReader::open();
    for device in &mut devices {
        if let Some(of) = &mut device.hardware {
            **of = hardware.read(device.ifindex, &device.dev);
        }
    }
    let mut qdiscs = match qdiscs {
        Ok(qdiscs) => qdiscs,
        Err(error) => {
            let reason = format!("cannot list queueing disciplines: {error}");
            for device in &mut devices {
                device.qdiscs = Fact::unavailable(reason.clone());
                device.policers = Fact::unavailable(reason.clone());
            }
            return Ok(devices);
        }
    };
    for device in &mut devices {
        let mut own = qdiscs.remove(&device.ifindex).unwrap_or_default();
        classes::add(&mut route, device.ifindex, &mut own);
        device.policers = filters::policers(&mut route, device.ifindex, &own);
        device.qdiscs = Fact::Known(own);
    }
    Ok(devices)
}

/// Queueing disciplines by ifindex.
type Qdiscs = HashMap<u32, Vec<Qdisc>>;

/// A question about the traffic control of a device, or of all.
fn question(ifindex: u32, parent: u32) -> TcMessage {
    let mut message = TcMessage::with_index(ifindex.cast_signed());
    message.header.family = AddressFamily::Unspec;
    message.header.parent = TcHandle::from(parent);
    message
}
