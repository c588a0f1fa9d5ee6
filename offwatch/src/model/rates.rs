//! What a row of figures takes of an interface: its rates alone, without
//! histograms, sources and reasons, for thousands of interfaces at a time.

use std::time::Duration;

use serde::Serialize;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
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
        let side = |is_sent: bool, totals: fn(&Sight<'_>, &Self) -> SideTotals| {
            let before = before.as_ref().map(|before| totals(before, self));
            let now = totals(&now, self);
            let may_fall = is_sent && now.sent_may_fall();
            SideRates::between(&now, before.as_ref(), self.interval, may_fall)
        };
        let work = self.at_device(&now);
        let work_before = before.as_ref().map(|before| self.at_device(before));
        let caused = self.caused_by(&now);
        let caused_before = before.as_ref().map(|before| self.caused_by(before));
        let grown = |now: Option<u64>, before: Option<Option<u64>>| {
            rate(now, before.flatten(), self.interval, true)
        };
        let (work_shown, caused_shown) = (work.shown(), caused.shown());
        let before_shown = work_before.as_ref().map(Figures::shown);
        let caused_before = caused_before.as_ref().map(Figures::shown);
        let is_caused = caused_shown.segments.or(caused_shown.checksum_bytes);
        Some(Rates {
            ingress: side(false, |sight, joined| {
                SideTotals::of(&sight.slot.ingress, Default::default(), joined.blind)
            }),
            egress: side(true, |sight, joined| {
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
    /// Share of bytes that came in GSO frames, over the interval: 0 to 1.
    pub fn gso_share(&self) -> Option<f64> {
        let bytes = self.bytes_per_s.filter(|bytes| *bytes > 0.0)?;
        Some(self.gso_bytes_per_s? / bytes)
    }

    fn between(
        now: &SideTotals,
        before: Option<&SideTotals>,
        interval: Option<Duration>,
        may_fall: bool,
    ) -> Self {
        let grown = |total: fn(&SideTotals) -> Option<u64>| {
            rate(total(now), before.and_then(total), interval, may_fall)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use offwatch_common::{Counters as _, ExactSlot, Slot, Traffic};

    use crate::{
        model::{Interface, Model, Port, Rates, Side, SideRates, WorkNs},
        sample::{
            self, Counters, ExactCounters, ExactHooks, Exactness, Hook, Kind, Method, Nic, Reads,
            Sample,
        },
    };

    use super::*;

    /// Counters that all differ, and grow with `factor`.
    fn traffic(factor: u64, seed: u64) -> Traffic {
        let mut traffic = Traffic::default();
        for (at, kind) in (seed..).zip(&mut traffic.kinds) {
            (kind.packets, kind.bytes) = (at * factor, 1000 * at * factor);
        }
        traffic.gso_segments = 7 * seed * factor;
        traffic.drop_packets = seed * factor;
        traffic
    }

    fn tap(factor: u64) -> sample::Interface {
        let mut slot = Slot {
            ingress: traffic(factor, 3),
            egress: traffic(factor, 5),
            ..Slot::default()
        };
        slot.egress_work.gso_segments_gone = 90 * factor;
        slot.egress_work.single_frames_added = 60 * factor;
        slot.caused_work.gso_segments_gone = 40 * factor;
        slot.caused_work.single_frames_added = 40 * factor;
        let mut exact = ExactSlot::default();
        exact.to_device.segmentation.segments = 61 * factor;
        exact.to_device.segmentation.ns = 5_000 * factor;
        exact.to_device.checksum.ns = 300 * factor;
        exact.caused.segmentation.segments = 41 * factor;
        assert_ne!(slot.words(), Slot::default().words());
        sample::Interface {
            dev: "t0".into(),
            ifindex: 5,
            kind: Kind::Tap,
            counters: Counters::Counted(slot.into()),
            exact: ExactCounters::Counted(exact.into()),
            ..sample::Interface::default()
        }
    }

    fn hooks(segmentation: bool, others: bool) -> ExactHooks {
        let hook = |is_exact| match is_exact {
            true => Exactness::Exact(Method::Fexit),
            false => Exactness::Unavailable("not traced".into()),
        };
        ExactHooks {
            segmentation: hook(segmentation),
            checksum: hook(others),
            crc32c: hook(others),
            ..ExactHooks::default()
        }
    }

    fn sample(factor: u64, hook: Hook, reads: Reads, exact: ExactHooks, owned: bool) -> Sample {
        let nic = Nic {
            dev: Some("t0".into()),
            ..Nic::default()
        };
        let vm = sample::Vm {
            nics: vec![nic].into(),
            ..sample::Vm::default()
        };
        Sample {
            host: sample::Host {
                hook,
                reads,
                exact,
                ..sample::Host::default()
            },
            interfaces: vec![Arc::new(tap(factor))],
            vms: owned.then_some(vm).into_iter().collect(),
            ..Sample::default()
        }
    }

    fn of_side(side: &Side) -> SideRates {
        SideRates {
            packets_per_s: side.packets_per_s,
            bytes_per_s: side.bytes_per_s,
            gso_packets_per_s: side.gso_packets_per_s,
            gso_segments_per_s: side.gso_segments_per_s,
            gso_bytes_per_s: side.gso_bytes_per_s,
            drops_per_s: side.drops_per_s,
        }
    }

    /// The same figures, from everything that is told of the interface.
    fn of_interface(interface: &Interface) -> Option<Rates> {
        let (ingress, egress) = (interface.sides.ingress()?, interface.sides.egress()?);
        let work = egress.software_work.as_ref()?.exact.as_ref();
        let caused = interface.caused.as_ref();
        Some(Rates {
            ingress: of_side(ingress),
            egress: of_side(egress),
            software_segments_per_s: egress.software_segments_per_s,
            software_checksum_bytes_per_s: egress.software_checksum_bytes_per_s,
            software_work_approximate: egress.software_work_approximate,
            work_ns: work.map(|work| WorkNs {
                segmentation: work.segmentation_ns_per_s,
                checksum: work.checksum_ns_per_s,
                crc32c: work.crc32c_ns_per_s,
            }),
            caused_segments_per_s: caused.and_then(|caused| caused.software_segments_per_s),
            caused_approximate: caused.is_some_and(|caused| caused.software_work_approximate),
        })
    }

    #[test]
    fn rates_are_those_of_the_whole_interface() {
        let second = Duration::from_millis(1_700);
        let exact = [(true, true), (true, false), (false, true), (false, false)];
        for (segmentation, others) in exact {
            for (hook, reads) in [
                (Hook::Tp, Reads::All),
                (Hook::Tc, Reads::All),
                (Hook::Raw, Reads::FieldsOnly),
            ] {
                // Growing, at rest, falling, and the first sample.
                for factors in [(2, Some(1)), (2, Some(2)), (1, Some(2)), (1, None)] {
                    for owned in [true, false] {
                        let of = |factor| {
                            let exact = hooks(segmentation, others);
                            sample(factor, hook, reads, exact, owned)
                        };
                        let (now, before) = (of(factors.0), factors.1.map(of));
                        let earlier = before.as_ref().map(|before| (before, second));
                        let model = Model::new(&now, earlier);
                        let of_vms = model.vms.iter().flat_map(|vm| &vm.interfaces);
                        let ports: Vec<&Port> = of_vms.chain(&model.other_interfaces).collect();
                        assert_eq!(ports.len(), 1);
                        let rates = ports[0].rates();
                        assert_eq!(rates, of_interface(&ports[0].make()), "{now:?}");
                        assert!(rates.is_some());
                    }
                }
            }
        }
    }

    #[test]
    fn what_shares_counters_has_the_same_rates() {
        let (at_rest, other) = (Arc::new(tap(1)), Arc::new(tap(2)));
        let sample = |taps: [&Arc<sample::Interface>; 3]| Sample {
            interfaces: taps
                .into_iter()
                .zip(5..)
                .map(|(tap, ifindex)| {
                    Arc::new(sample::Interface {
                        ifindex,
                        ..(**tap).clone()
                    })
                })
                .collect(),
            ..Sample::default()
        };
        let before = sample([&at_rest, &at_rest, &at_rest]);
        let interval = Duration::from_secs(1);
        let now = sample([&at_rest, &at_rest, &other]);
        let model = Model::new(&now, Some((&before, interval)));
        let ports = &model.other_interfaces;
        assert!(ports[0].shares_rates(&ports[1]));
        assert_eq!(ports[0].rates(), ports[1].rates());
        assert!(!ports[0].shares_rates(&ports[2]), "others now");
        let now = sample([&other, &other, &other]);
        let before = sample([&at_rest, &at_rest, &other]);
        let model = Model::new(&now, Some((&before, interval)));
        let ports = &model.other_interfaces;
        assert!(ports[0].shares_rates(&ports[1]));
        assert!(!ports[0].shares_rates(&ports[2]), "others before");
        assert_ne!(ports[0].rates(), ports[2].rates());
    }
}
