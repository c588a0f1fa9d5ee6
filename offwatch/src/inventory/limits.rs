//! Limits of an interface, and how a tap was made, from the attributes of
//! `RTM_NEWLINK`.

use std::io;

use netlink_packet_core::Nla as _;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage, LinkXdp, XdpAttached},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::{
    netlink::Requests,
    rolling::{Made, Rolling},
};
use crate::sample::offloads::{Limits, Tap};

/// Reads limits of all interfaces a part at a time, again and again: the kernel
/// does not notify when a GSO limit or the qdisc changes.
pub struct LimitSweep(Rolling<RouteNetlinkMessage>);

impl LimitSweep {
    /// Opens a socket in the network namespace of this thread, to read at most so
    /// many datagrams, each with about 25 interfaces, at a time.
    pub fn open(datagrams: usize) -> io::Result<Self> {
        let mut message = LinkMessage::default();
        let without_counters = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
        message.attributes.push(without_counters);
        let requests = Requests::open(NETLINK_ROUTE)?;
        Ok(Self(Rolling::new(
            requests,
            RouteNetlinkMessage::GetLink(message),
            datagrams,
        )))
    }

    /// Reads the next part. A notification that has been read since the kernel made an
    /// entry may be newer.
    pub fn advance(&mut self, mut each: impl FnMut(u32, Limits, Made)) -> io::Result<()> {
        self.0.advance(|message, made| {
            if let RouteNetlinkMessage::NewLink(message) = message {
                each(message.header.index, limits(&message.attributes), made);
            }
        })
    }
}

/// Limits in the attributes of a link.
pub fn limits(attributes: &[LinkAttribute]) -> Limits {
    let mut limits = Limits::default();
    for attribute in attributes {
        match attribute {
            LinkAttribute::GsoMaxSize(bytes) => limits.gso_max_size_bytes = Some(*bytes),
            LinkAttribute::GsoMaxSegs(segs) => limits.gso_max_segs = Some(*segs),
            LinkAttribute::GsoIpv4MaxSize(bytes) => limits.gso_ipv4_max_size_bytes = Some(*bytes),
            LinkAttribute::GroMaxSize(bytes) => limits.gro_max_size_bytes = Some(*bytes),
            LinkAttribute::GroIpv4MaxSize(bytes) => limits.gro_ipv4_max_size_bytes = Some(*bytes),
            LinkAttribute::TsoMaxSize(bytes) => limits.tso_max_size_bytes = Some(*bytes),
            LinkAttribute::TsoMaxSegs(segs) => limits.tso_max_segs = Some(*segs),
            LinkAttribute::Qdisc(name) => limits.qdisc = Some(name.clone()),
            LinkAttribute::TxQueueLen(frames) => limits.tx_queue_frames = Some(*frames),
            LinkAttribute::NumTxQueues(queues) => limits.tx_queues = Some(*queues),
            LinkAttribute::NumRxQueues(queues) => limits.rx_queues = Some(*queues),
            _ => {}
        }
    }
    limits
}

/// Whether an XDP program is attached.
pub fn has_xdp(attributes: &[LinkAttribute]) -> bool {
    attributes.iter().any(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => xdp.iter().any(
            |xdp| matches!(xdp, LinkXdp::Attached(attached) if *attached != XdpAttached::None),
        ),
        _ => false,
    })
}

/// Whether a device of the tun driver is a tun (layer 3) and not a tap.
pub fn is_tun(infos: &[LinkInfo]) -> bool {
    const IFF_TUN: u32 = 1;
    tun_attribute(infos, IFLA_TUN_TYPE) == Some(IFF_TUN)
}

/// How a tap was made.
pub fn tap(infos: &[LinkInfo]) -> Option<Tap> {
    let flag = |kind| Some(tun_attribute(infos, kind)? != 0);
    Some(Tap {
        vnet_hdr: flag(IFLA_TUN_VNET_HDR)?,
        multi_queue: flag(IFLA_TUN_MULTI_QUEUE)?,
        // Told of multi-queue taps only.
        queues: tun_attribute(infos, IFLA_TUN_NUM_QUEUES).unwrap_or(1),
    })
}

const IFLA_TUN_TYPE: u16 = 3;
const IFLA_TUN_VNET_HDR: u16 = 5;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
const IFLA_TUN_NUM_QUEUES: u16 = 8;

/// A number that the tun driver tells; netlink-packet-route does not read them.
fn tun_attribute(infos: &[LinkInfo], kind: u16) -> Option<u32> {
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Tun(attributes)) => Some(attributes),
        _ => None,
    })?;
    let attribute = data.iter().find(|attribute| attribute.kind() == kind)?;
    let mut value = vec![0; attribute.value_len()];
    attribute.emit_value(&mut value);
    match value.as_slice() {
        [byte] => Some((*byte).into()),
        bytes => Some(u32::from_ne_bytes(bytes.try_into().ok()?)),
    }
}
