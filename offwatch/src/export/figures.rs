//! What a sample tells of one interface, in numbers.

use offwatch_common::{Traffic, histogram};

use super::{
    families::FEATURES,
    past::{Counted, Past, Side},
    snapshot::{Figure, Figures, GSO_SIZE_BOUNDS, GsoSizes},
};
use crate::{
    model::{Moment, Shown, Totals},
    sample::{Counters, Interface},
};

/// The figures of an interface, and what of them is summed.
pub(super) fn of_interface(
    moment: &Moment,
    totals: &Totals<'_>,
    past: &mut Past,
    found: &Interface,
    of_vm: bool,
) -> (Figures, Counted) {
    let mut figures = Figures::default();
    if let Counters::Counted(slot) = &found.counters {
        past.sent.raise(slot);
    }
    let sent = moment.sent(past.sent.of(totals.slot), totals.work);
    let (receive, transmit) = match of_vm {
        true => (&sent, &totals.ingress),
        false => (&totals.ingress, &sent),
    };
    figures.set_side(Figure::ReceivePackets, receive);
    figures.set_side(Figure::TransmitPackets, transmit);
    let work = past.work.raise(totals.work);
    let caused = past.caused.raise(totals.caused);
    let has = |shown: &Shown| shown.segments.or(shown.checksum_bytes).is_some();
    let approximate = |shown: &Shown| has(shown).then_some(shown.approximate.into());
    for (figure, value) in [
        (Figure::SoftwareSegments, work.segments),
        (Figure::SoftwareChecksumBytes, work.checksum_bytes),
        (Figure::SoftwareWorkApproximate, approximate(&work)),
        (Figure::SegmentationNs, totals.segmentation_ns),
        (Figure::ChecksumNs, totals.checksum_ns),
        (Figure::CausedSegments, caused.segments),
        (Figure::CausedChecksumBytes, caused.checksum_bytes),
        (Figure::CausedApproximate, approximate(&caused)),
        (
            Figure::FeatureChanges,
            found.offloads.features_changed.known().copied(),
        ),
    ] {
        figures.set(figure, value);
    }
    let ns = [totals.segmentation_ns, totals.checksum_ns];
    let counted = Counted {
        ingress: Side::of(&totals.ingress),
        egress: Side::of(&sent),
        segments: work.segments.unwrap_or(0),
        caused: caused.segments.unwrap_or(0),
        checksum_bytes: work.checksum_bytes.unwrap_or(0),
        work_ns: ns.into_iter().flatten().sum(),
    };
    (figures, counted)
}

/// GSO frames up to each bound; none before the first.
pub(super) fn gso_sizes(traffic: &Traffic) -> Option<Box<GsoSizes>> {
    let all: u64 = traffic.gso_sizes.iter().sum();
    if all == 0 {
        return None;
    }
    let mut sizes = [all; GSO_SIZE_BOUNDS.len() + 1];
    for (size, bound) in sizes.iter_mut().zip(GSO_SIZE_BOUNDS) {
        let buckets = &traffic.gso_sizes[..=histogram::gso_size_bucket(bound)];
        *size = buckets.iter().sum();
    }
    Some(sizes.into())
}

/// The numbers that the kernel gives [`FEATURES`], where it has them.
pub(super) type FeatureBits = [Option<usize>; FEATURES.len()];

/// Which of [`FEATURES`] there are, and which are on.
pub(super) fn features(bits: &FeatureBits, found: &Interface) -> (u16, u16) {
    let Some(known) = found.offloads.features.known() else {
        return (0, 0);
    };
    let mut has = (0, 0);
    for (at, bit) in bits.iter().enumerate() {
        if let Some(bit) = bit {
            has.0 |= 1 << at;
            has.1 |= u16::from(known.active.contains(*bit)) << at;
        }
    }
    has
}
