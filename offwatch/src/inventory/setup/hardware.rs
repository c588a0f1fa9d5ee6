//! Channels, rings and the link of a device with a driver of its own, by the
//! kernel's ethtool netlink, one device at a time: a listing would hold every
//! tap as well.

use std::io;

use ethtool::{
    EthtoolAttr, EthtoolChannelAttr, EthtoolCmd, EthtoolHeader, EthtoolLinkModeAttr,
    EthtoolLinkModeDuplex, EthtoolMessage, EthtoolRingAttr,
};
use netlink_packet_generic::GenlMessage;
use netlink_sys::protocols::NETLINK_GENERIC;

use super::driver::Drivers;
use crate::{
    facts::hardware::{Channels, Duplex, Hardware, LinkMode, Rings},
    inventory::{features::Family, netlink::Requests},
    sample::offloads::Fact,
};

/// Compact bit sets; the names of link modes are of no interest.
const COMPACT_BITSETS: u32 = 1;

/// Asks drivers.
pub(super) struct HardwareReader {
    drivers: io::Result<Drivers>,
    requests: io::Result<(Family, Requests<GenlMessage<EthtoolMessage>>)>,
}

impl HardwareReader {
    /// For the network namespace of this thread.
    pub(super) fn open() -> Self {
        Self {
            drivers: Drivers::open(),
            requests: Family::resolve()
                .and_then(|family| Ok((family, Requests::open(NETLINK_GENERIC)?))),
        }
    }

    /// Asks the driver of a device.
    pub(super) fn read(&mut self, ifindex: u32, dev: &str) -> Hardware {
        let driver = match &self.drivers {
            Ok(drivers) => drivers.of(dev).map_err(|error| reason(&error)),
            Err(error) => Err(reason(error)),
        };
        let mut ask = |command, nest: fn(Vec<EthtoolHeader>) -> EthtoolAttr| {
            let (family, requests) = match &mut self.requests {
                Ok(requests) => requests,
                Err(error) => return Err(reason(error)),
            };
            let message = EthtoolMessage {
                cmd: command,
                nlas: vec![nest(vec![
                    EthtoolHeader::DevIndex(ifindex),
                    EthtoolHeader::Flags(COMPACT_BITSETS),
                ])],
            };
            let answers = requests.request(family.message(message));
            let answers = answers.map_err(|error| reason(&error))?;
            Ok(answers.into_iter().flat_map(|answer| answer.payload.nlas))
        };
        Hardware {
            driver: fact(driver),
            channels: fact(
                ask(EthtoolCmd::ChannelGet, |header| {
                    EthtoolAttr::Channel(EthtoolChannelAttr::Header(header))
                })
                .map(channels),
            ),
            rings: fact(
                ask(EthtoolCmd::RingGet, |header| {
                    EthtoolAttr::Ring(EthtoolRingAttr::Header(header))
                })
                .map(rings),
            ),
            link: fact(
                ask(EthtoolCmd::LinkModeGet, |header| {
                    EthtoolAttr::LinkMode(EthtoolLinkModeAttr::Header(header))
                })
                .map(link),
            ),
        }
    }
}

fn fact<T>(result: Result<T, String>) -> Fact<T> {
    match result {
        Ok(known) => Fact::Known(known),
        Err(reason) => Fact::unavailable(reason),
    }
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => "its driver does not tell".to_owned(),
        _ => format!("ethtool: {error}"),
    }
}

fn channels(attributes: impl Iterator<Item = EthtoolAttr>) -> Channels {
    let mut channels = Channels::default();
    for attribute in attributes {
        let EthtoolAttr::Channel(attribute) = attribute else {
            continue;
        };
        match attribute {
            EthtoolChannelAttr::RxCount(count) => channels.rx = Some(count),
            EthtoolChannelAttr::RxMax(count) => channels.rx_max = Some(count),
            EthtoolChannelAttr::TxCount(count) => channels.tx = Some(count),
            EthtoolChannelAttr::TxMax(count) => channels.tx_max = Some(count),
            EthtoolChannelAttr::CombinedCount(count) => channels.combined = Some(count),
            EthtoolChannelAttr::CombinedMax(count) => channels.combined_max = Some(count),
            _ => {}
        }
    }
    channels
}

fn rings(attributes: impl Iterator<Item = EthtoolAttr>) -> Rings {
    let mut rings = Rings::default();
    for attribute in attributes {
        let EthtoolAttr::Ring(attribute) = attribute else {
            continue;
        };
        match attribute {
            EthtoolRingAttr::Rx(count) => rings.rx = Some(count),
            EthtoolRingAttr::RxMax(count) => rings.rx_max = Some(count),
            EthtoolRingAttr::Tx(count) => rings.tx = Some(count),
            EthtoolRingAttr::TxMax(count) => rings.tx_max = Some(count),
            _ => {}
        }
    }
    rings
}

fn link(attributes: impl Iterator<Item = EthtoolAttr>) -> LinkMode {
    const UNKNOWN_SPEED: u32 = u32::MAX;
    let mut link = LinkMode::default();
    for attribute in attributes {
        match attribute {
            EthtoolAttr::LinkMode(EthtoolLinkModeAttr::Speed(speed)) => {
                link.speed_mbit_per_s = (speed != UNKNOWN_SPEED && speed != 0).then_some(speed);
            }
            EthtoolAttr::LinkMode(EthtoolLinkModeAttr::Duplex(duplex)) => {
                link.duplex = match duplex {
                    EthtoolLinkModeDuplex::Half => Some(Duplex::Half),
                    EthtoolLinkModeDuplex::Full => Some(Duplex::Full),
                    _ => None,
                };
            }
            _ => {}
        }
    }
    link
}
