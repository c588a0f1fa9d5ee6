//! The session of the user who asks: it is not to be cut off by what it asks for.
//!
//! ```text
//! /proc --> Session
//! Session, and routes, neighbours and forwarding databases --> Passed   (pure)
//! ```

mod session;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs, io, net::IpAddr, path::Path, process};

use netlink_sys::protocols::NETLINK_ROUTE;

use self::session::Session;
use super::path::{self, Passed};
use crate::{
    facts::device::Device,
    inventory::{
        neighbours,
        setup::{
            self, Route,
            route::{self, Hop, Outgoing},
        },
    },
};

/// Why interfaces are left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The session's frames pass one of them.
    #[error(
        "{dev} carries your own session, from {client}; log in another way, or add --own-session"
    )]
    Carries {
        /// Which.
        dev: String,
        /// Where the session comes from.
        client: IpAddr,
    },
    /// It cannot be told whether they do.
    #[error(
        "{dev} may carry your own session, from {client}: {reason}; log in another way, or add \
         --own-session"
    )]
    Unknown {
        /// Which.
        dev: String,
        /// Where the session comes from.
        client: IpAddr,
        /// What is not known.
        reason: String,
    },
    /// The kernel does not answer.
    #[error(
        "cannot tell which interfaces carry your own session, from {client}: {reason}; \
         --own-session goes without"
    )]
    Network {
        /// Where the session comes from.
        client: IpAddr,
        /// What failed.
        reason: String,
    },
}

/// Checks that no session in which this process was started passes an interface of
/// `ifindexes`, of the network namespace of this thread.
pub fn check(ifindexes: &[u32]) -> Result<(), LoginError> {
    check_of(process::id(), ifindexes)
}

/// The same for the sessions in which the process `pid` was started.
pub fn check_of(pid: u32, ifindexes: &[u32]) -> Result<(), LoginError> {
    // Without it no session is known to end elsewhere.
    let netns = fs::read_link("/proc/thread-self/ns/net").unwrap_or_default();
    for session in session::of(Path::new("/proc"), pid, &netns) {
        let client = session.client;
        let failed = |error: io::Error| LoginError::Network {
            client,
            reason: error.to_string(),
        };
        let devices = setup::stacked().map_err(failed)?;
        let devices = devices.into_iter();
        let devices = devices.map(|device| (device.ifindex, device)).collect();
        let passed = || {
            let mut route = Route::open(NETLINK_ROUTE)?;
            let hops = hops(&mut route, &session, &devices)?;
            path::of_hops(&mut route, &devices, &hops)
        };
        let passed = passed().map_err(failed)?;
        verdict(&passed, &devices, client, ifindexes)?;
    }
    Ok(())
}

fn verdict(
    passed: &Passed,
    devices: &BTreeMap<u32, Device>,
    client: IpAddr,
    ifindexes: &[u32],
) -> Result<(), LoginError> {
    let dev = |ifindex: &u32| {
        let device = devices.get(ifindex);
        device.map_or_else(|| ifindex.to_string(), |device| device.dev.clone())
    };
    if let Some(ifindex) = ifindexes.iter().find(|of| passed.surely.contains(of)) {
        let dev = dev(ifindex);
        return Err(LoginError::Carries { dev, client });
    }
    for ifindex in ifindexes {
        if let Some(reason) = passed.perhaps.get(ifindex) {
            return Err(LoginError::Unknown {
                dev: dev(ifindex),
                client,
                reason: reason.clone(),
            });
        }
    }
    Ok(())
}

/// Where frames to the client leave, and where those from it arrive: where the
/// address is that they go to.
fn hops(
    route: &mut Route,
    session: &Session,
    devices: &BTreeMap<u32, Device>,
) -> io::Result<Vec<Hop>> {
    if let Some(name) = &session.dev {
        // Addresses of one link: there is no router in between.
        let link = devices.values().find(|device| device.dev == *name);
        let hop = |device: &Device| Hop {
            ifindex: device.ifindex,
            neighbour: session.client,
        };
        return Ok(link.map(hop).into_iter().collect());
    }
    let mut outgoing = Outgoing {
        to: session.client,
        from: Some(session.server),
        by: None,
    };
    let mut hops = Vec::new();
    hops.extend(route::hop(route, outgoing)?);
    if hops.is_empty() {
        // No address of this host any more.
        outgoing.from = None;
        hops.extend(route::hop(route, outgoing)?);
    }
    if let Some(owner) = neighbours::owner(route, session.server)? {
        let master = devices.get(&owner).and_then(|device| device.master);
        let vrf = master.and_then(|master| devices.get(&master));
        let vrf = vrf.filter(|master| master.kind.name() == path::VRF);
        outgoing.by = Some(vrf.map_or(owner, |vrf| vrf.ifindex));
        hops.extend(route::hop(route, outgoing)?);
    }
    Ok(hops)
}
