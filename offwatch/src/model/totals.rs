//! Totals of interfaces alone, for what keeps no model: the same figures as those of
//! [`super::Interface`].

use std::{borrow::Cow, sync::Arc};

use offwatch_common::{Slot, Traffic, drop_class};

use super::{Cost, Joined, figures::Shown, side::SideTotals};
use crate::sample::{self, Blind, Sample};

/// A sample, of which totals are made.
pub(crate) struct Moment {
    joined: Joined,
    /// Which classes of drops can be told.
    classes: [bool; drop_class::COUNT],
}

/// Totals of an interface.
pub(crate) struct Totals<'sample> {
    /// What the host received from it.
    pub(crate) ingress: SideTotals,
    /// Work done on the way to it.
    pub(crate) work: Shown,
    /// Work done for frames that came from it.
    pub(crate) caused: Shown,
    /// Nanoseconds of the work on the way to it, where they are taken.
    pub(crate) segmentation_ns: Option<u64>,
    /// The same of checksums, those that are part of segmentation left out.
    pub(crate) checksum_ns: Option<u64>,
    /// Frames dropped by class.
    pub(crate) drops: [Option<u64>; drop_class::COUNT],
    /// The counters themselves.
    pub(crate) slot: &'sample Slot,
}

impl Moment {
    /// Of a sample.
    pub(crate) fn of(sample: &Arc<Sample>) -> Self {
        let unknown = &sample.host.exact.unknown_drops;
        Self {
            classes: drop_class::NAMES.map(|name| !unknown.contains_key(name)),
            joined: Joined::new(Arc::clone(sample), None),
        }
    }

    /// What cannot be seen.
    pub(crate) fn blind(&self) -> Blind {
        self.joined.blind
    }

    /// The totals of an interface of the sample; none if it is not counted.
    pub(crate) fn totals<'sample>(
        &'sample self,
        found: &'sample sample::Interface,
    ) -> Option<Totals<'sample>> {
        let joined = &self.joined;
        let sight = joined.sight(found)?;
        let at_device = joined.at_device(&sight);
        let work = at_device.shown();
        let (segmentation_ns, checksum_ns) = at_device.total_ns();
        let exact = sight.exact.filter(|_| joined.blind.drops.is_none());
        let drops = std::array::from_fn(|class| {
            let counted = exact.filter(|_| self.classes[class])?;
            Some(counted.drops[class])
        });
        Some(Totals {
            ingress: SideTotals::of(&sight.slot.ingress, Shown::default(), joined.blind),
            work,
            caused: joined.caused_by(&sight).shown(),
            segmentation_ns,
            checksum_ns,
            drops,
            slot: sight.slot,
        })
    }

    /// Totals of what the host sent to an interface.
    pub(crate) fn sent(&self, traffic: &Traffic, work: Shown) -> SideTotals {
        SideTotals::of(traffic, work, self.joined.blind)
    }

    /// Work whose source is not known.
    pub(crate) fn unattributed(&self) -> Shown {
        let host = &self.joined.sample.host;
        self.joined.unattributed_figures(host).shown()
    }

    /// What work costs here.
    pub(crate) fn cost(&self) -> Cost {
        Cost::of(&self.joined.sample, &mut Default::default())
    }

    /// The name of the interface with an ifindex.
    pub(crate) fn name_of(&self, ifindex: u32) -> Cow<'_, str> {
        self.joined.name_of(ifindex)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{model::Model, record::Replay};

    #[test]
    fn totals_are_those_of_the_whole_interface() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lab.jsonl");
        let mut replay = Replay::open(&path).expect("a recording");
        let mut compared = 0;
        while let Some(next) = replay.next_sample().expect("whole") {
            let sample = Arc::new(next.sample);
            let moment = Moment::of(&sample);
            let model = Model::new(&sample, None);
            let of_vms = model.vms.iter().flat_map(|vm| &vm.interfaces);
            for port in of_vms.chain(&model.other_interfaces) {
                let found = sample.interfaces.iter();
                let mut found = found.filter(|found| Some(found.ifindex) == port.ifindex());
                let Some(totals) = found.next().and_then(|found| moment.totals(found)) else {
                    continue;
                };
                let sent = moment.sent(&totals.slot.egress, totals.work);
                for (side, whole) in [
                    (totals.ingress, port.sides.ingress()),
                    (sent, port.sides.egress()),
                ] {
                    let whole = whole.expect("counted");
                    assert_eq!(side.packets_total, whole.packets_total);
                    assert_eq!(side.gso_bytes_total, whole.gso_bytes_total);
                    assert_eq!(side.oversize_packets_total, whole.oversize_packets_total);
                    assert_eq!(side.drops_total, whole.drops_total);
                    assert_eq!(side.software_segments_total, whole.software_segments_total);
                }
                let caused = port.caused.as_ref();
                assert_eq!(
                    totals.caused.segments,
                    caused.and_then(|caused| caused.software_segments_total)
                );
                compared += 1;
            }
        }
        assert!(compared > 10, "{compared}");
    }
}
