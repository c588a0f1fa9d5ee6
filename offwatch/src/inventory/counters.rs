//! The kernel's own counters of interfaces (`IFLA_STATS64`).
//!
//! Asked for by themselves (`RTM_GETSTATS`) 10,000 interfaces take 4.6 ms and
//! 72 datagrams, with all their other attributes many times that.

use std::io;

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::Stats64,
    stats::{StatsAttribute, StatsFilterMask, StatsMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::{
    netlink::Requests,
    rolling::{Made, Rolling},
};
use crate::{clock, sample::offloads::KernelCounters};

/// Interfaces in one datagram of the kernel, about.
pub const INTERFACES_A_DATAGRAM: usize = 140;

/// Reads counters of all interfaces a part at a time, again and again.
pub struct CounterSweep(Rolling<RouteNetlinkMessage>);

impl CounterSweep {
    /// Opens a socket in the network namespace of this thread, to read at most so
    /// many datagrams at a time.
    pub fn open(datagrams: usize) -> io::Result<Self> {
        let mut message = StatsMessage::default();
        message.header.filter_mask = StatsFilterMask::Link64;
        let requests = Requests::open(NETLINK_ROUTE)?;
        Ok(Self(Rolling::new(
            requests,
            RouteNetlinkMessage::GetStats(message),
            datagrams,
        )))
    }

    /// Reads the next part.
    pub fn advance(&mut self, mut each: impl FnMut(u32, KernelCounters, Made)) -> io::Result<()> {
        self.0.advance(|message, made| {
            if let RouteNetlinkMessage::NewStats(message) = message
                && let Some(stats) = stats(&message)
            {
                each(message.header.ifindex, counters(stats, made), made);
            }
        })
    }
}

/// Reads counters of single interfaces.
pub struct CounterReader(Requests<RouteNetlinkMessage>);

impl CounterReader {
    /// Opens a socket in the network namespace of this thread.
    pub fn open() -> io::Result<Self> {
        Ok(Self(Requests::open(NETLINK_ROUTE)?))
    }

    /// The counters of an interface now.
    pub fn read(&mut self, ifindex: u32) -> io::Result<KernelCounters> {
        let mut message = StatsMessage::default();
        message.header.ifindex = ifindex;
        message.header.filter_mask = StatsFilterMask::Link64;
        let made = Made {
            not_before_ns: clock::monotonic_ns(),
            now: true,
        };
        let answers = self.0.request(RouteNetlinkMessage::GetStats(message))?;
        let found = answers.iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewStats(message) => stats(message),
            _ => None,
        });
        let stats = found.ok_or(io::ErrorKind::InvalidData)?;
        Ok(counters(stats, made))
    }
}

fn stats(message: &StatsMessage) -> Option<&Stats64> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            StatsAttribute::Link64(stats) => Some(stats),
            _ => None,
        })
}

fn counters(stats: &Stats64, made: Made) -> KernelCounters {
    KernelCounters {
        monotonic_ns: made.not_before_ns,
        rx_packets: stats.rx_packets,
        rx_bytes: stats.rx_bytes,
        rx_dropped: stats.rx_dropped,
        rx_errors: stats.rx_errors,
        tx_packets: stats.tx_packets,
        tx_bytes: stats.tx_bytes,
        tx_dropped: stats.tx_dropped,
        tx_errors: stats.tx_errors,
        tx_carrier_errors: stats.tx_carrier_errors,
    }
}
