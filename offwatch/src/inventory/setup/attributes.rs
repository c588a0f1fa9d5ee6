//! Attributes of traffic control that netlink-packet-route hands on as they are.

use netlink_packet_core::{DecodeError, Nla, NlasIterator};
use netlink_packet_route::tc::{TcAttribute, TcOption, TcStats2};

use crate::facts::qdisc::QueueCounters;

/// Kinds and contents, in the order of the message.
pub(super) type Attributes = Vec<(u16, Vec<u8>)>;

/// Flags in the number of a kind: nested, and in network byte order.
const KIND_FLAGS: u16 = 0xC000;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS_PKT64: u16 = 8;
/// The clock of traffic control ticks so fast on every kernel.
const NS_A_TICK: u64 = 64;

/// What is nested in a content.
pub(super) fn nested(content: &[u8]) -> Result<Attributes, DecodeError> {
    let nested = NlasIterator::new(content);
    let attribute = nested.map(|attribute| {
        let attribute = attribute?;
        Ok((attribute.kind() & !KIND_FLAGS, attribute.value().to_vec()))
    });
    attribute.collect()
}

/// The content of the first attribute of a kind.
pub(super) fn find(attributes: &Attributes, kind: u16) -> Option<&[u8]> {
    let mut attributes = attributes.iter();
    attributes
        .find(|(of, _)| *of == kind)
        .map(|(_, content)| content.as_slice())
}

/// Options of a queueing discipline, class or filter, whether the library
/// knows its kind or not.
pub(super) fn options(attributes: &[TcAttribute]) -> Result<Attributes, DecodeError> {
    let options = attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options.as_slice()),
        _ => None,
    });
    match options.unwrap_or_default() {
        [TcOption::Other(options)] if options.kind() & !KIND_FLAGS == TCA_OPTIONS => {
            nested(&content(options))
        }
        options => Ok(options
            .iter()
            .map(|option| (option.kind() & !KIND_FLAGS, content(option)))
            .collect()),
    }
}

fn content(attribute: &impl Nla) -> Vec<u8> {
    let mut content = vec![0; attribute.value_len()];
    attribute.emit_value(&mut content);
    content
}

/// The kind of a queueing discipline, class or filter.
pub(super) fn kind(attributes: &[TcAttribute]) -> Option<&str> {
    attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Kind(kind) => Some(kind.as_str()),
        _ => None,
    })
}

/// What a queueing discipline or class has counted.
pub(super) fn counters(attributes: &[TcAttribute]) -> QueueCounters {
    let mut counters = QueueCounters::default();
    let stats = attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Stats2(stats) => Some(stats),
        _ => None,
    });
    for stats in stats.flatten() {
        match stats {
            TcStats2::Basic(basic) => {
                counters.bytes = basic.bytes;
                counters.packets = counters.packets.max(basic.packets.into());
            }
            TcStats2::Queue(queue) => {
                counters.drops = queue.drops.into();
                counters.overlimits = queue.overlimits.into();
                counters.requeues = queue.requeues.into();
                counters.backlog_bytes = queue.backlog.into();
                counters.backlog_packets = queue.qlen.into();
            }
            // Told where 32 bits do not hold the packets.
            TcStats2::Other(other) if other.kind() == TCA_STATS_PKT64 => {
                if let Some(packets) = long(&content(other), 0) {
                    counters.packets = packets;
                }
            }
            _ => {}
        }
    }
    counters
}

/// The 32 bits at an offset.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// The 64 bits at an offset.
pub(super) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    bytes.try_into().ok().map(u64::from_ne_bytes)
}

/// The rate of a `struct tc_ratespec`, bytes per second; a rate of 2^32 and
/// more is in an attribute of its own.
pub(super) fn rate(ratespec: Option<u32>, long_rate: Option<&[u8]>) -> Option<u64> {
    let long_rate = long_rate.and_then(|content| long(content, 0));
    let rate = long_rate.or(ratespec.map(u64::from))?;
    (rate != 0).then_some(rate)
}

/// The bytes that a rate sends in a time of traffic control.
pub(super) fn bytes(rate_bytes_per_s: u64, ticks: u32) -> u64 {
    const NS_A_SECOND: u128 = 1_000_000_000;
    let ns = u128::from(ticks) * u128::from(NS_A_TICK);
    let bytes = u128::from(rate_bytes_per_s) * ns / NS_A_SECOND;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
