//! The parameters of a `police` action.

use netlink_packet_core::DecodeError;

use super::attributes::{Attributes, bytes, find, long, nested, rate, word};
use crate::facts::policer::{PoliceCounters, Policer, Verdict};

const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_ACT_STATS: u16 = 4;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_STATS_PKT64: u16 = 8;
const TCA_POLICE_TBF: u16 = 1;
const TCA_POLICE_RATE64: u16 = 8;
const TCA_POLICE_PEAKRATE64: u16 = 9;
const TCA_POLICE_PKTRATE64: u16 = 10;
/// What the kernel makes of an MTU that is not given.
const NO_MTU: u32 = u32::MAX;

/// What is told of a policer, and what it has counted.
pub(super) struct Told {
    pub(super) policer: Policer,
    pub(super) counters: Option<PoliceCounters>,
}

/// Policers in a list of actions.
pub(super) fn actions(list: &[u8]) -> Result<Vec<Told>, DecodeError> {
    let mut found = Vec::new();
    for (_, action) in nested(list)? {
        let action = nested(&action)?;
        let is_police = find(&action, TCA_ACT_KIND).is_some_and(|kind| kind == b"police\0");
        if !is_police {
            continue;
        }
        let parameters = find(&action, TCA_ACT_OPTIONS).ok_or("police without its options")?;
        let counters = match find(&action, TCA_ACT_STATS) {
            Some(stats) => counters(&nested(stats)?),
            None => None,
        };
        found.push(Told {
            policer: police(parameters)?,
            counters,
        });
    }
    Ok(found)
}

/// Reads `struct tc_police`: index, action, limit, burst, MTU, then two rates
/// of 12 bytes each, of which the last four are the rate.
pub(super) fn police(parameters: &[u8]) -> Result<Policer, DecodeError> {
    let attributes = nested(parameters)?;
    let bucket = find(&attributes, TCA_POLICE_TBF).ok_or("police without its parameters")?;
    let read = |at| word(bucket, at).ok_or("police with parameters cut off");
    let long_of = |kind| find(&attributes, kind);
    let rate_bytes_per_s = rate(Some(read(28)?), long_of(TCA_POLICE_RATE64));
    let burst = read(12)?;
    Ok(Policer {
        rate_bytes_per_s,
        burst_bytes: rate_bytes_per_s.map(|rate| bytes(rate, burst)),
        peak_bytes_per_s: rate(Some(read(40)?), long_of(TCA_POLICE_PEAKRATE64)),
        mtu_bytes: Some(read(16)?).filter(|mtu| *mtu != NO_MTU && *mtu != 0),
        rate_packets_per_s: rate(None, long_of(TCA_POLICE_PKTRATE64)),
        exceed: verdict(read(4)?.cast_signed()),
        ..Policer::default()
    })
}

fn verdict(action: i32) -> Verdict {
    match action {
        0 => Verdict::Pass,
        1 => Verdict::Reclassify,
        2 => Verdict::Drop,
        -1 | 3 => Verdict::Continue,
        other => Verdict::Other(other),
    }
}

/// `TCA_ACT_STATS`.
fn counters(stats: &Attributes) -> Option<PoliceCounters> {
    let basic = find(stats, TCA_STATS_BASIC)?;
    let queue = find(stats, TCA_STATS_QUEUE)?;
    let packets = find(stats, TCA_STATS_PKT64).and_then(|packets| long(packets, 0));
    Some(PoliceCounters {
        bytes: long(basic, 0)?,
        packets: packets.or(word(basic, 8).map(u64::from))?,
        drops: word(queue, 8)?.into(),
        overlimits: word(queue, 16)?.into(),
    })
}
