//! What is compared: each measure is a quotient of two counts of a window, so that
//! windows can be added.

use std::borrow::Cow;

use serde::Serialize;

use super::Settings;
use crate::{
    measure::{Figures, Window},
    sample::offloads::Fact,
};

/// Something that is measured of an interface. Directions are the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Bytes a second, both ways.
    Throughput,
    /// Bytes a second that the guest receives.
    ReceiveThroughput,
    /// Bytes a second that it sends.
    SendThroughput,
    /// Share of frames that are dropped on their way to it.
    ReceiveDrops,
    /// Share of frames that are dropped on their way from it.
    SendDrops,
    /// Share of TCP segments to it that are sent again.
    ReceiveRetransmits,
    /// Share of TCP segments from it that are sent again.
    SendRetransmits,
    /// Share of frames that are dropped for a checksum.
    ChecksumDrops,
    /// CPU time of the VM per byte of all its interfaces.
    Cost,
    /// CPU time of its vhost threads per byte.
    VhostCost,
}

/// How a measure is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// Harm is a fall by more than this part.
    Fall(f64),
    /// Harm is a rise by more than this part.
    Rise(f64),
    /// Harm is a difference of more than this.
    Difference(f64),
}

/// Two counts, the one divided by the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Quotient {
    pub(super) count: f64,
    pub(super) of: f64,
}

impl Quotient {
    /// `None` of nothing.
    pub(super) fn value(&self) -> Option<f64> {
        (self.of > 0.0).then(|| self.count / self.of)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            of: self.of + other.of,
        }
    }
}

/// Below so much CPU time in a window, ticks of 10 ms are too coarse.
const FEWEST_CPU_NS: u64 = 100_000_000;

impl Measure {
    pub(super) const ALL: [Self; 10] = [
        Self::Throughput,
        Self::ReceiveThroughput,
        Self::SendThroughput,
        Self::ReceiveDrops,
        Self::SendDrops,
        Self::ReceiveRetransmits,
        Self::SendRetransmits,
        Self::ChecksumDrops,
        Self::Cost,
        Self::VhostCost,
    ];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::ReceiveThroughput => "throughput to the guest",
            Self::SendThroughput => "throughput from the guest",
            Self::ReceiveDrops => "drops on the way to the guest",
            Self::SendDrops => "drops on the way from the guest",
            Self::ReceiveRetransmits => "retransmissions to the guest",
            Self::SendRetransmits => "retransmissions from the guest",
            Self::ChecksumDrops => "drops for a wrong checksum",
            Self::Cost => "CPU time of the VM per byte",
            Self::VhostCost => "CPU time of vhost per byte",
        }
    }

    /// The unit of its values.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Throughput | Self::ReceiveThroughput | Self::SendThroughput => "bytes_per_s",
            Self::Cost | Self::VhostCost => "ns_per_byte",
            Self::ReceiveDrops
            | Self::SendDrops
            | Self::ReceiveRetransmits
            | Self::SendRetransmits
            | Self::ChecksumDrops => "share",
        }
    }

    pub(super) fn limit(self, settings: &Settings) -> Limit {
        match self {
            Self::Throughput | Self::ReceiveThroughput | Self::SendThroughput => {
                Limit::Fall(settings.throughput_fall_percent / 100.0)
            }
            Self::Cost | Self::VhostCost => Limit::Rise(settings.cost_rise_percent / 100.0),
            Self::ReceiveDrops | Self::SendDrops => {
                Limit::Difference(settings.drops_percent / 100.0)
            }
            Self::ReceiveRetransmits | Self::SendRetransmits => {
                Limit::Difference(settings.retransmits_percent / 100.0)
            }
            Self::ChecksumDrops => Limit::Difference(settings.checksum_drops_percent / 100.0),
        }
    }

    /// Its value in a window, or why there is none.
    pub(super) fn of(
        self,
        window: &Window,
        figures: &Figures,
    ) -> Result<Quotient, Cow<'static, str>> {
        let (receive, send) = (&figures.egress, &figures.ingress);
        let rate = |bytes: u64| Ok(quotient(bytes, window.seconds));
        match self {
            Self::Throughput => rate(figures.bytes()),
            Self::ReceiveThroughput => rate(receive.bytes),
            Self::SendThroughput => rate(send.bytes),
            Self::ReceiveDrops => share(&receive.drops, receive.packets),
            Self::SendDrops => share(&send.drops, send.packets),
            Self::ReceiveRetransmits => known(&receive.tcp).map(again),
            Self::SendRetransmits => known(&send.tcp).map(again),
            Self::ChecksumDrops => share(&figures.checksum_drops, figures.packets()),
            Self::Cost | Self::VhostCost => {
                let vm = figures.vm.as_ref().and_then(|vm| window.vms.get(vm));
                let vm = vm.ok_or("it belongs to no known VM")?;
                let used = match self {
                    Self::Cost => *known(&vm.cpu_ns)?,
                    _ => *known(&vm.vhost_ns)?,
                };
                if used < FEWEST_CPU_NS {
                    return Err("too little CPU time to be measured".into());
                }
                Ok(quotient(used, vm.bytes as f64))
            }
        }
    }
}

fn quotient(count: u64, of: f64) -> Quotient {
    Quotient {
        count: count as f64,
        of,
    }
}

fn known<T>(fact: &Fact<T>) -> Result<&T, Cow<'static, str>> {
    match fact {
        Fact::Known(value) => Ok(value),
        Fact::Unavailable(reason) => Err(reason.clone()),
    }
}

fn share(lost: &Fact<u64>, passed: u64) -> Result<Quotient, Cow<'static, str>> {
    let lost = *known(lost)?;
    Ok(quotient(lost, (passed + lost) as f64))
}

fn again(count: &crate::measure::tcp::TcpCount) -> Quotient {
    quotient(count.again_segments, count.segments as f64)
}
