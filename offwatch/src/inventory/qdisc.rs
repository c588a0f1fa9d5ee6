//! Notifications of changed root queueing disciplines, which the kernel does
//! not tell as changes of their interface.

use std::io;

use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader, parse_u32};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::notifications::{Lost, Notifications};

const RTNLGRP_TC: u32 = 4;
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const TC_H_ROOT: u32 = u32::MAX;

/// Receives the notifications. Must live on a tokio runtime.
pub struct QdiscMonitor(Notifications<Header>);

impl QdiscMonitor {
    /// Subscribes. What changes from now on is not missed. Classes and filters,
    /// of which a switch may change thousands, stay out.
    pub fn open() -> io::Result<Self> {
        let types = [RTM_NEWQDISC, RTM_DELQDISC];
        Notifications::of_types(NETLINK_ROUTE, RTNLGRP_TC, &types).map(Self)
    }

    /// Waits until an interface has another root qdisc, and returns its
    /// ifindex. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<u32, Lost> {
        loop {
            let header = self.0.next().await?;
            if header.parent == TC_H_ROOT {
                return Ok(header.ifindex);
            }
        }
    }
}

/// The part of `struct tcmsg` that matters; the options of the qdisc are left
/// alone, whatever they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    ifindex: u32,
    parent: u32,
}

impl NetlinkDeserializable for Header {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, message: &[u8]) -> Result<Self, DecodeError> {
        let field = |at: usize| parse_u32(message.get(at..at + 4).unwrap_or_default());
        Ok(Self {
            ifindex: field(4)?,
            parent: field(12)?,
        })
    }
}
