//! Queueing disciplines, by `RTM_GETQDISC`.

use std::io;

use netlink_packet_core::DecodeError;
use netlink_packet_route::{RouteNetlinkMessage, tc::TcMessage};

use super::{
    Qdiscs, Route,
    attributes::{Attributes, bytes, counters, find, kind, options, rate, word},
    question,
};
use crate::{
    facts::qdisc::{Handle, Qdisc, Shaper, TokenBucket},
    inventory::netlink::malformed,
    sample::offloads::Fact,
};

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_PRATE64: u16 = 5;

/// Those of all devices. The kernel leaves out the ones that it made by itself
/// below another.
pub(super) fn list(route: &mut Route) -> io::Result<Qdiscs> {
    let ask = RouteNetlinkMessage::GetQueueDiscipline(question(0, 0));
    let mut qdiscs = Qdiscs::new();
    let mut wrong = None;
    route.each(ask, |answer| {
        if let RouteNetlinkMessage::NewQueueDiscipline(message) = answer {
            let ifindex = message.header.index.cast_unsigned();
            match qdisc(&message) {
                Ok(qdisc) => qdiscs.entry(ifindex).or_default().push(qdisc),
                Err(error) => wrong = Some(malformed(error)),
            }
        }
    })?;
    wrong.map_or(Ok(()), Err)?;
    Ok(qdiscs)
}

pub(super) fn qdisc(message: &TcMessage) -> Result<Qdisc, DecodeError> {
    let kind = kind(&message.attributes).ok_or("a queueing discipline without a kind")?;
    let shaper = match kind {
        "tbf" => {
            let options = options(&message.attributes)?;
            Shaper::Tbf(tbf(&options).ok_or("tbf without its parameters")?)
        }
        // Its classes are asked for later.
        "htb" => Shaper::Htb(Fact::unavailable("its classes were not listed")),
        _ => Shaper::None,
    };
    Ok(Qdisc {
        kind: kind.to_owned(),
        handle: Handle(message.header.handle.into()),
        parent: Handle(message.header.parent.into()),
        shaper,
        counters: counters(&message.attributes),
    })
}

/// Reads `struct tc_tbf_qopt`: two rates of 12 bytes each, of which the last
/// four are the rate, then limit, burst and burst at the peak rate.
fn tbf(options: &Attributes) -> Option<TokenBucket> {
    let parameters = find(options, TCA_TBF_PARMS)?;
    let rate_of = |at, long| rate(word(parameters, at), find(options, long));
    let rate = rate_of(8, TCA_TBF_RATE64)?;
    let peak = rate_of(20, TCA_TBF_PRATE64);
    let peak_ticks = word(parameters, 32)?;
    Some(TokenBucket {
        rate_bytes_per_s: rate,
        burst_bytes: bytes(rate, word(parameters, 28)?),
        peak_bytes_per_s: peak,
        peak_burst_bytes: peak.map(|peak| bytes(peak, peak_ticks)),
        limit_bytes: word(parameters, 24)?,
    })
}
