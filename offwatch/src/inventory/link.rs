//! Network interfaces, by rtnetlink: all of them at start, then each change.

use std::{collections::BTreeMap, io, sync::Arc};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::{
    limits::{has_xdp, is_tun, limits, tap},
    netlink::Requests,
    notifications::{Lost, Notifications},
};
use crate::sample::{
    Kind,
    offloads::{Limits, Tap},
};

/// An interface of the observed network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index in the namespace.
    pub ifindex: u32,
    /// Name.
    pub dev: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// MAC address.
    pub mac: Option<Arc<str>>,
    /// ifindex of the bridge, bond or switch it belongs to.
    pub master: Option<u32>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Its other limits, when it was last notified of or listed.
    pub limits: Arc<Limits>,
    /// How it was made, if it is a tap.
    pub tap: Option<Tap>,
    /// An XDP program takes its frames before anything else sees them.
    pub xdp: bool,
}

/// A change of the interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// An interface is new or changed.
    Changed(Box<Link>),
    /// The interface with this ifindex is gone.
    Gone(u32),
    /// The kernel dropped notifications: list all interfaces again.
    Lost,
}

/// Why interfaces cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No socket.
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[from] io::Error),
    /// The kernel refused.
    #[error("cannot list network interfaces: {0}")]
    List(io::Error),
}

/// `RTNLGRP_LINK`.
const LINK_GROUP: u32 = 1;

/// Lists interfaces and receives their changes. Must live on a tokio runtime.
pub struct Links {
    requests: Requests<RouteNetlinkMessage>,
    notifications: Notifications<RouteNetlinkMessage>,
}

impl Links {
    /// Subscribes to changes. What changes from now on is not missed.
    pub fn open() -> Result<Self, LinkError> {
        // Requests have their own socket: an overrun of the other must not lose a reply.
        Ok(Self {
            requests: Requests::open(NETLINK_ROUTE)?,
            notifications: Notifications::open(NETLINK_ROUTE, LINK_GROUP)?,
        })
    }

    /// Lists all interfaces.
    pub fn list(&mut self) -> Result<Vec<Link>, LinkError> {
        listed(&mut self.requests)
    }

    /// Waits for the next change. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> LinkEvent {
        loop {
            if let Some(event) = event(self.notifications.next().await) {
                return event;
            }
        }
    }

    /// The next change that has been notified; none if there was no other by now.
    pub fn waiting(&mut self) -> Option<LinkEvent> {
        loop {
            if let Some(event) = event(self.notifications.waiting()?) {
                return Some(event);
            }
        }
    }
}

fn event(notified: Result<RouteNetlinkMessage, Lost>) -> Option<LinkEvent> {
    match notified {
        Err(Lost) => Some(LinkEvent::Lost),
        Ok(RouteNetlinkMessage::NewLink(message)) => {
            link(&message).map(|link| LinkEvent::Changed(Box::new(link)))
        }
        Ok(RouteNetlinkMessage::DelLink(message)) if is_device(&message) => {
            Some(LinkEvent::Gone(message.header.index))
        }
        Ok(_) => None,
    }
}

/// Lists all interfaces of the network namespace of this thread, once.
pub fn list() -> Result<Vec<Link>, LinkError> {
    listed(&mut Requests::open(NETLINK_ROUTE)?)
}

/// How often a listing is begun anew when interfaces come and go meanwhile.
const ATTEMPTS: usize = 4;

/// All that any of the listings has, if each one is interrupted: of an interface that
/// is gone whoever lists is notified as well, of one that was missed nobody is.
fn listed(requests: &mut Requests<RouteNetlinkMessage>) -> Result<Vec<Link>, LinkError> {
    let mut seen: BTreeMap<u32, Link> = BTreeMap::new();
    for _ in 0..ATTEMPTS {
        let links = listed_once(requests)?;
        if !requests.was_interrupted() {
            return Ok(links);
        }
        seen.extend(links.into_iter().map(|link| (link.ifindex, link)));
    }
    Ok(seen.into_values().collect())
}

fn listed_once(requests: &mut Requests<RouteNetlinkMessage>) -> Result<Vec<Link>, LinkError> {
    let mut message = LinkMessage::default();
    let without_counters = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
    message.attributes.push(without_counters);
    let request = RouteNetlinkMessage::GetLink(message);
    let mut links: Vec<Link> = Vec::new();
    let take = |message| {
        let RouteNetlinkMessage::NewLink(message) = message else {
            return;
        };
        let Some(mut link) = link(&message) else {
            return;
        };
        // Most of a host's taps have the same.
        if let Some(last) = links.last().filter(|last| last.limits == link.limits) {
            link.limits = Arc::clone(&last.limits);
        }
        links.push(link);
    };
    requests.each(request, take).map_err(LinkError::List)?;
    Ok(links)
}

/// Bridges announce that a port joined or left as RTM_NEWLINK and RTM_DELLINK
/// of family AF_BRIDGE: the device itself lives on.
fn is_device(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

/// What is told of an interface; none if it is told of a port of a bridge.
pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    if !is_device(message) {
        return None;
    }
    let mut link = Link {
        ifindex: message.header.index,
        dev: Arc::default(),
        kind: Kind::Physical,
        mac: None,
        master: None,
        mtu: 0,
        limits: Arc::new(limits(&message.attributes)),
        tap: None,
        xdp: has_xdp(&message.attributes),
    };
    if message.header.flags.contains(LinkFlags::Loopback) {
        link.kind = Kind::Loopback;
    }
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.dev = name.as_str().into(),
            LinkAttribute::Address(address) => link.mac = mac(address),
            LinkAttribute::Controller(master) => link.master = Some(*master),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::LinkInfo(infos) => {
                if let Some(kind) = kind(infos) {
                    link.kind = kind;
                }
                link.tap = tap(infos).filter(|_| link.kind == Kind::Tap);
            }
            _ => {}
        }
    }
    Some(link)
}

fn kind(infos: &[LinkInfo]) -> Option<Kind> {
    let kind = infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    })?;
    Some(match kind {
        InfoKind::Bridge => Kind::Bridge,
        InfoKind::Tun if is_tun(infos) => Kind::Tun,
        InfoKind::Tun => Kind::Tap,
        other => Kind::Other(other.to_string()),
    })
}

fn mac(address: &[u8]) -> Option<Arc<str>> {
    if address.len() != 6 {
        return None;
    }
    Some(
        address
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(":")
            .into(),
    )
}
