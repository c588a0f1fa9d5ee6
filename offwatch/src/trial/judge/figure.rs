//! The value of a measure in a period.

use std::borrow::Cow;

use crate::{
    sample::offloads::Fact,
    trial::{
        effect::Measure,
        period::{Period, Way},
    },
};

/// Why there is no value.
pub(super) type Reason = Cow<'static, str>;

/// Headers of most frames: Ethernet, IPv4, and TCP with timestamps.
const HEADER_BYTES: u64 = 14 + 20 + 32;

/// What stands for the payload that arrived, the same in all periods of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// Goodput.
    Goodput,
    /// Bytes of frames without [`HEADER_BYTES`] of each, as goodput is not known. With
    /// them, what only cuts frames would seem to send more, and acknowledgements would
    /// seem to be payload.
    Frames,
}

impl Payload {
    /// Bytes of one direction.
    pub(super) fn bytes(self, way: &Way) -> Result<f64, Reason> {
        match self {
            Self::Goodput => known(&way.goodput_bytes),
            Self::Frames => {
                let headers = HEADER_BYTES.saturating_mul(way.packets);
                Ok(way.bytes.saturating_sub(headers) as f64)
            }
        }
    }

    /// Bytes of both directions.
    pub(super) fn both(self, period: &Period) -> Result<f64, Reason> {
        Ok(self.bytes(&period.received)? + self.bytes(&period.sent)?)
    }
}

/// The value of a measure in a period: a rate a second, nanoseconds a byte, or a
/// share from 0 to 1.
pub(super) fn value(measure: Measure, period: &Period, payload: Payload) -> Result<f64, Reason> {
    let Period { received, sent, .. } = period;
    let per_s = |count: f64| count / period.seconds;
    let cost = |time: &Fact<u64>| {
        let bytes = payload.both(period)?;
        match bytes > 0.0 {
            true => Ok(known(time)? / bytes),
            false => Err("a period carried nothing".into()),
        }
    };
    let both =
        |of: fn(&Way) -> &Fact<u64>| known(of(received)).and_then(|way| Ok(way + known(of(sent))?));
    let packets = (received.packets + sent.packets) as f64;
    match measure {
        Measure::Goodput => payload.both(period).map(per_s),
        Measure::ReceiveGoodput => payload.bytes(received).map(per_s),
        Measure::SendGoodput => payload.bytes(sent).map(per_s),
        Measure::HostCost => cost(&period.cpu.host_ns),
        Measure::SoftirqCost => cost(&period.cpu.softirq_ns),
        Measure::VmCost => cost(&period.cpu.vm_ns),
        Measure::VcpuCost => cost(&period.cpu.vcpu_ns),
        Measure::VhostCost => cost(&period.cpu.vhost_ns),
        Measure::Drops => {
            let drops = both(|way| &way.drops)?;
            share(drops, drops + packets)
        }
        Measure::Retransmits => {
            let again = both(|way| &way.retransmitted_segments)?;
            share(again, both(|way| &way.tcp_segments)?)
        }
        Measure::ChecksumDrops => {
            let drops = known(&period.checksum_drops)?;
            share(drops, drops + packets)
        }
        Measure::Packets => Ok(per_s(packets)),
        Measure::SoftwareSegments => known(&period.software_segments).map(per_s),
        Measure::ChecksumBytes => known(&period.checksum_bytes).map(per_s),
    }
}

fn share(part: f64, of: f64) -> Result<f64, Reason> {
    match of > 0.0 {
        true => Ok(part / of),
        false => Err("a period carried nothing of it".into()),
    }
}

fn known(fact: &Fact<u64>) -> Result<f64, Reason> {
    match fact {
        Fact::Known(value) => Ok(*value as f64),
        Fact::Unavailable(reason) => Err(reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_frames_and_acknowledgements_are_no_payload() {
        let way = |packets, bytes| Way {
            packets,
            bytes,
            ..Way::default()
        };
        let payload = |way| Payload::Frames.bytes(&way);
        let whole = payload(way(1, 45 * 1448 + 66));
        assert_eq!(whole, payload(way(45, 45 * (1448 + 66))));
        assert_eq!(payload(way(1000, 1000 * 66)), Ok(0.0));
        assert_eq!(payload(way(10, 10 * 42)), Ok(0.0));
    }
}
