//! Classes of `htb`, by `RTM_GETTCLASS`.

use std::io;

use netlink_packet_core::DecodeError;
use netlink_packet_route::{RouteNetlinkMessage, tc::TcMessage};

use super::{
    Route,
    attributes::{bytes, counters, find, kind, options, rate, word},
    question,
};
use crate::{
    facts::qdisc::{Handle, HtbClass, Qdisc, Shaper},
    inventory::netlink::malformed,
    sample::offloads::Fact,
};

const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;

/// Adds the classes of a device to its queueing disciplines, if any of these
/// can have some.
pub(super) fn add(route: &mut Route, ifindex: u32, qdiscs: &mut [Qdisc]) {
    let is_htb = |qdisc: &&mut Qdisc| matches!(qdisc.shaper, Shaper::Htb(_));
    let mut htbs = qdiscs.iter_mut().filter(is_htb).peekable();
    if htbs.peek().is_none() {
        return;
    }
    let classes = list(route, ifindex);
    for qdisc in htbs {
        qdisc.shaper = Shaper::Htb(match &classes {
            Ok(classes) => Fact::Known(
                classes
                    .iter()
                    .filter(|class| class.handle.0 >> 16 == qdisc.handle.0 >> 16)
                    .cloned()
                    .collect(),
            ),
            Err(error) => Fact::unavailable(format!("cannot list its classes: {error}")),
        });
    }
}

fn list(route: &mut Route, ifindex: u32) -> io::Result<Vec<HtbClass>> {
    let ask = RouteNetlinkMessage::GetTrafficClass(question(ifindex, 0));
    let mut classes = Vec::new();
    for answer in route.list(ask)? {
        if let RouteNetlinkMessage::NewTrafficClass(message) = answer
            && kind(&message.attributes) == Some("htb")
        {
            classes.push(class(&message).map_err(malformed)?);
        }
    }
    Ok(classes)
}

/// Reads `struct tc_htb_opt`: two rates of 12 bytes each, of which the last
/// four are the rate, then the bursts at both.
pub(super) fn class(message: &TcMessage) -> Result<HtbClass, DecodeError> {
    let options = options(&message.attributes)?;
    let parameters = find(&options, TCA_HTB_PARMS).ok_or("htb without its parameters")?;
    let read = |at: usize, long: u16, burst: usize| {
        let rate = rate(word(parameters, at), find(&options, long))?;
        Some((rate, bytes(rate, word(parameters, burst)?)))
    };
    let (rate, burst) = read(8, TCA_HTB_RATE64, 24).ok_or("htb without a rate")?;
    let (ceil, ceil_burst) = read(20, TCA_HTB_CEIL64, 28).ok_or("htb without a ceil")?;
    Ok(HtbClass {
        handle: Handle(message.header.handle.into()),
        parent: Handle(message.header.parent.into()),
        rate_bytes_per_s: rate,
        burst_bytes: burst,
        ceil_bytes_per_s: ceil,
        ceil_burst_bytes: ceil_burst,
        counters: counters(&message.attributes),
    })
}
