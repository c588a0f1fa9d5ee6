//! Filters that police, by `RTM_GETTFILTER`.

use std::io;

use netlink_packet_core::DecodeError;
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcMessage},
};

use super::{
    Route,
    attributes::{find, kind, options},
    police::{Told, actions, police},
    question,
};
use crate::{
    facts::{
        policer::{Place, PoliceCounters, Policer},
        qdisc::{Handle, Qdisc},
    },
    inventory::netlink::malformed,
    sample::offloads::Fact,
};

/// Kind of a filter, and where its options have actions and a policer in the
/// way from before there were actions, which `tc ... police` still takes. Not
/// every kind has both.
const ACTIONS: [(&str, Option<u16>, Option<u16>); 9] = [
    ("basic", Some(3), Some(4)),
    ("bpf", Some(1), Some(2)),
    ("cgroup", Some(1), Some(2)),
    ("flow", Some(9), Some(10)),
    ("flower", Some(3), None),
    ("fw", Some(4), Some(2)),
    ("matchall", Some(2), None),
    ("route", Some(6), Some(5)),
    ("u32", Some(7), Some(6)),
];
/// Parents of filters on received and on sent frames.
const MIN_INGRESS: u32 = 0xFFFF_FFF2;
const MIN_EGRESS: u32 = 0xFFFF_FFF3;
/// These have no filters.
const WITHOUT_FILTERS: [&str; 11] = [
    "noqueue",
    "noop",
    "pfifo_fast",
    "pfifo",
    "bfifo",
    "pfifo_head_drop",
    "mq",
    "fq",
    "tbf",
    "codel",
    "pie",
];

/// Policers of a device with these queueing disciplines.
pub(super) fn policers(route: &mut Route, ifindex: u32, qdiscs: &[Qdisc]) -> Fact<Vec<Policer>> {
    let mut policers = Vec::new();
    for (parent, place) in places(qdiscs) {
        if let Err(error) = list(route, ifindex, parent, place, &mut policers) {
            return Fact::unavailable(format!("cannot list filters: {error}"));
        }
    }
    Fact::Known(policers)
}

fn places(qdiscs: &[Qdisc]) -> impl Iterator<Item = (u32, Place)> {
    qdiscs.iter().flat_map(|qdisc| {
        let (first, second) = match qdisc.kind.as_str() {
            "ingress" => (Some((MIN_INGRESS, Place::Ingress)), None),
            "clsact" => (
                Some((MIN_INGRESS, Place::Ingress)),
                Some((MIN_EGRESS, Place::Egress)),
            ),
            kind if WITHOUT_FILTERS.contains(&kind) || qdisc.handle == Handle::NONE => (None, None),
            _ => (Some((qdisc.handle.0, Place::Queue(qdisc.handle))), None),
        };
        first.into_iter().chain(second)
    })
}

fn list(
    route: &mut Route,
    ifindex: u32,
    parent: u32,
    place: Place,
    policers: &mut Vec<Policer>,
) -> io::Result<()> {
    let ask = RouteNetlinkMessage::GetTrafficFilter(question(ifindex, parent));
    for answer in route.list(ask)? {
        if let RouteNetlinkMessage::NewTrafficFilter(message) = answer {
            policers.extend(of_filter(&message, place).map_err(malformed)?);
        }
    }
    Ok(())
}

/// Policers of one filter.
pub(super) fn of_filter(message: &TcMessage, place: Place) -> Result<Vec<Policer>, DecodeError> {
    let filter = kind(&message.attributes).unwrap_or_default();
    let Some((_, action, old)) = ACTIONS.iter().find(|(of, ..)| *of == filter) else {
        return Ok(Vec::new());
    };
    let options = options(&message.attributes)?;
    let mut told = Vec::new();
    if let Some(parameters) = old.and_then(|old| find(&options, old)) {
        told.push(Told {
            policer: police(parameters)?,
            // Not beside the policer: the filter has no other action.
            counters: old_counters(&message.attributes),
        });
    }
    if let Some(list) = action.and_then(|action| find(&options, action)) {
        told.extend(actions(list)?);
    }
    // Preference and protocol, the latter in network byte order.
    let info = message.header.info;
    let policers = told.into_iter().map(|told| Policer {
        place,
        filter: filter.to_owned(),
        preference: (info >> 16) as u16,
        protocol: u16::from_be(info as u16),
        counters: told.counters,
        ..told.policer
    });
    Ok(policers.collect())
}

fn old_counters(attributes: &[TcAttribute]) -> Option<PoliceCounters> {
    let stats = attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Stats(stats) => Some(stats),
        _ => None,
    })?;
    Some(PoliceCounters {
        bytes: stats.bytes,
        packets: stats.packets.into(),
        drops: stats.drops.into(),
        overlimits: stats.overlimits.into(),
    })
}
