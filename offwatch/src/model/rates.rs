//! What a row of figures takes of an interface: its rates alone, without
//! histograms, sources and reasons, for thousands of interfaces at a time.

use std::time::Duration;

use super::{
    Joined,
    figures::{Figures, Sight},
    side::{SideTotals, rate},
};
use crate::sample;

/// Rates of an interface: the same figures as those of [`super::Interface`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// What the host received from the interface: what a guest sent.
    pub ingress: SideRates,
    /// What the host sent to it: what a guest received.
    pub egress: SideRates,
    /// Segments cut in software on the way to it.
    pub software_segments_per_s: Option<f64>,
    /// Bytes checksummed in software on the way to it.
    pub software_checksum_bytes_per_s: Option<f64>,
    /// That work is a lower bound.
    pub software_work_approximate: bool,
    /// Nanoseconds a second of that work, where it is timed.
    pub work_ns: Option<WorkNs>,
    /// Segments cut in software for frames from here.
    pub caused_segments_per_s: Option<f64>,
    /// That work is a lower bound.
    pub caused_approximate: bool,
}

/// Rates of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SideRates {
    /// Frames.
    pub packets_per_s: Option<f64>,
    /// Bytes.
    pub bytes_per_s: Option<f64>,
    /// GSO frames.
    pub gso_packets_per_s: Option<f64>,
    /// Segments that they stand for.
    pub gso_segments_per_s: Option<f64>,
    /// Their bytes.
    pub gso_bytes_per_s: Option<f64>,
    /// Frames dropped.
    pub drops_per_s: Option<f64>,
}

/// Nanoseconds a second that software work takes, by the functions that do it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkNs {
    /// `__skb_gso_segment`.
    pub segmentation: Option<f64>,
    /// `skb_checksum_help`.
    pub checksum: Option<f64>,
    /// `skb_crc32c_csum_help`.
    pub crc32c: Option<f64>,
}

impl Joined {
    /// The rates of an interface; none if it is not counted.
    pub(super) fn rates(
        &self,
        found: &sample::Interface,
        before: Option<&sample::Interface>,
    ) -> Option<Rates> {
        let now = self.sight(found)?;
        let before = before.and_then(|before| self.sight_before(before));
        let side = |totals: fn(&Sight<'_>, &Self) -> SideTotals| {
            let before = before.as_ref().map(|before| totals(before, self));
            SideRates::between(&totals(&now, self), before.as_ref(), self.interval)
        };
        let work = self.at_device(&now);
        let work_before = before.as_ref().map(|before| self.at_device(before));
        let caused = self.from_here(&now);
        let caused_before = before.as_ref().map(|before| self.from_here(before));
        let grown = |now: Option<u64>, before: Option<Option<u64>>| {
            rate(now, before.flatten(), self.interval, true)
        };
        let (work_shown, caused_shown) = (work.shown(), caused.shown());
        let before_shown = work_before.as_ref().map(Figures::shown);
        let caused_before = caused_before.as_ref().map(Figures::shown);
        let is_caused = caused_shown.segments.or(caused_shown.checksum_bytes);
        Some(Rates {
            ingress: side(|sight, joined| {
                SideTotals::of(&sight.slot.ingress, Default::default(), joined.blind)
            }),
            egress: side(|sight, joined| {
                SideTotals::of(&sight.slot.egress, Default::default(), joined.blind)
            }),
            software_segments_per_s: grown(
                work_shown.segments,
                before_shown.map(|shown| shown.segments),
            ),
            software_checksum_bytes_per_s: grown(
                work_shown.checksum_bytes,
                before_shown.map(|shown| shown.checksum_bytes),
            ),
            software_work_approximate: work_shown.approximate,
            work_ns: work.work_ns(work_before, self.interval),
            caused_segments_per_s: grown(
                caused_shown.segments,
                caused_before.map(|shown| shown.segments),
            ),
            caused_approximate: is_caused.is_some() && caused_shown.approximate,
        })
    }
}

impl SideRates {
    fn between(now: &SideTotals, before: Option<&SideTotals>, interval: Option<Duration>) -> Self {
        let grown = |total: fn(&SideTotals) -> Option<u64>| {
            rate(total(now), before.and_then(total), interval, false)
        };
        Self {
            packets_per_s: grown(|totals| totals.packets_total),
            bytes_per_s: grown(|totals| totals.bytes_total),
            gso_packets_per_s: grown(|totals| totals.gso_packets_total),
            gso_segments_per_s: grown(|totals| totals.gso_segments_total),
            gso_bytes_per_s: grown(|totals| totals.gso_bytes_total),
            drops_per_s: grown(|totals| totals.drops_total),
        }
    }
}
