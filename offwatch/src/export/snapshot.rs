//! The values of one moment, compact: labels are text that was made once, figures
//! are numbers in arrays.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    advice::Told,
    enforcement::Enforced,
    own::Own,
    past::{Counted, Side},
    past_vm::Used,
    value::Value,
};

/// Figures of an interface. Those that come twice are of both directions, received
/// and transmitted from the side that the family tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    ReceivePackets,
    ReceiveBytes,
    ReceiveGsoPackets,
    ReceiveGsoSegments,
    ReceiveGsoBytes,
    ReceivePartialPackets,
    ReceiveOversizePackets,
    ReceiveDrops,
    TransmitPackets,
    TransmitBytes,
    TransmitGsoPackets,
    TransmitGsoSegments,
    TransmitGsoBytes,
    TransmitPartialPackets,
    TransmitOversizePackets,
    TransmitDrops,
    SoftwareSegments,
    SoftwareChecksumBytes,
    /// 0 or 1.
    SoftwareWorkApproximate,
    SegmentationNs,
    ChecksumNs,
    CausedSegments,
    CausedChecksumBytes,
    /// 0 or 1.
    CausedApproximate,
    FeatureChanges,
}

impl Figure {
    /// How many there are.
    pub(super) const COUNT: usize = Self::FeatureChanges as usize + 1;
}

/// Figures that are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    known: u32,
    values: [u64; Figure::COUNT],
}

impl Figures {
    pub(super) fn get(&self, figure: Figure) -> Option<u64> {
        let at = figure as usize;
        (self.known >> at & 1 == 1).then(|| self.values[at])
    }

    /// How much more each is than it was.
    pub(super) fn since(&self, then: &Self) -> Self {
        let mut since = *self;
        for (value, then) in since.values.iter_mut().zip(then.values) {
            *value = value.saturating_sub(then);
        }
        since
    }

    pub(super) fn set(&mut self, figure: Figure, value: Option<u64>) {
        self.set_at(figure as usize, value);
    }

    pub(super) fn set_at(&mut self, at: usize, value: Option<u64>) {
        if let Some(value) = value {
            self.known |= 1 << at;
            self.values[at] = value;
        }
    }
}

/// Upper ends of the buckets of segment sizes, bytes: some of those in which the
/// kernel's programs count, so that no bucket is an estimate.
pub(super) const GSO_SIZE_BOUNDS: [u32; 8] = [511, 1023, 1279, 1535, 2047, 8191, 10_239, 16_383];

/// GSO frames by segment size: up to each bound, and all.
pub(super) type GsoSizes = [u64; GSO_SIZE_BOUNDS.len() + 1];

/// An interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// `vm` and `dev`, or `dev` alone.
    pub(super) labels: Arc<str>,
    /// The same, with what the interface is.
    pub(super) info: Arc<str>,
    pub(super) figures: Figures,
    /// None before the first GSO frame.
    pub(super) receive_gso_sizes: Option<Box<GsoSizes>>,
    pub(super) transmit_gso_sizes: Option<Box<GsoSizes>>,
    /// By [`offwatch_common::drop_class`].
    pub(super) drops: [Option<u64>; offwatch_common::drop_class::COUNT],
    /// Which features of [`super::families::FEATURES`] the kernel has.
    pub(super) features: u16,
    /// Those that are on.
    pub(super) active: u16,
}

/// A VM.
#[derive(Clone, Debug, Default)]
pub(super) struct VmRow {
    /// As labels call it.
    pub(super) name: Arc<str>,
    /// `vm`.
    pub(super) labels: Arc<str>,
    /// The same, with who told of it.
    pub(super) info: Arc<str>,
    pub(super) state: &'static str,
    pub(super) id: Option<u32>,
    pub(super) vcpus: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_maximum_bytes: Option<u64>,
    pub(super) used: Used,
}

/// Sums over all interfaces there are and were, each direction from the side that the
/// metrics of its interfaces are from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) vm_receive: Side,
    pub(super) vm_transmit: Side,
    pub(super) interface_receive: Side,
    pub(super) interface_transmit: Side,
    pub(super) segments: u64,
    pub(super) checksum_bytes: u64,
}

impl Sums {
    /// Adds what was counted of an interface since the sample before.
    pub(super) fn add(&mut self, grown: &Counted, of_vm: bool) {
        let (receive, transmit) = match of_vm {
            // What the host sends to a card is what its VM receives.
            true => (&mut self.vm_transmit, &mut self.vm_receive),
            false => (&mut self.interface_receive, &mut self.interface_transmit),
        };
        receive.add(grown.ingress);
        transmit.add(grown.egress);
        self.segments += grown.segments;
        self.checksum_bytes += grown.checksum_bytes;
    }
}

/// Values of the host.
#[derive(Clone, Debug, Default)]
pub(super) struct HostValues {
    pub(super) info: Box<str>,
    pub(super) vms: u64,
    pub(super) interfaces: u64,
    pub(super) left_out: u64,
    pub(super) sums: Sums,
    /// GSO frames can be told from others.
    pub(super) has_gso: bool,
    pub(super) has_drops: bool,
    /// Software work can be seen: segments, and checksummed bytes.
    pub(super) has_work: (bool, bool),
    /// Segments and checksummed bytes whose source is not known.
    pub(super) unattributed: (Option<u64>, Option<u64>),
    /// What a segment and a checksummed byte cost, seconds.
    pub(super) cost: (Option<f64>, Option<f64>),
    /// When the sample was taken, and when the oldest statistics of a VM in it were
    /// told, milliseconds since the Unix epoch.
    pub(super) sample_unix_ms: Option<u64>,
    pub(super) statistics_unix_ms: Option<u64>,
    pub(super) online_cpus: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) unavailable: Vec<Series>,
    /// Cards of VMs that cannot be seen.
    pub(super) unobservable: Vec<Series>,
    /// Other interfaces that are not counted.
    pub(super) uncounted: Vec<Series>,
}

/// A series that is not of an interface or VM, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) labels: Box<str>,
    pub(super) value: Value,
}

/// The values of one moment of a host.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When the sample was taken; none of a recording.
    pub(super) taken: Option<Instant>,
    /// What it took to take it.
    pub(super) took: Option<Duration>,
    /// Cards of VMs.
    pub(super) cards: Vec<Row>,
    /// Other interfaces.
    pub(super) interfaces: Vec<Row>,
    pub(super) vms: Vec<VmRow>,
    pub(super) host: HostValues,
    /// Advice, and which of it is about what is shown; none with `--no-advice`.
    pub(super) advice: Option<(Arc<Told>, Vec<u32>)>,
    /// None where there is no journal, or none that can be read.
    pub(super) enforced: Option<Enforced>,
    /// What is told of this process while it runs; none of a recording.
    pub(super) own: Option<Arc<Own>>,
}

impl Snapshot {
    /// With when its sample was taken, what that took, and what the exporter tells of
    /// itself.
    #[must_use]
    pub fn taken(mut self, at: Instant, took: Duration, own: &Arc<Own>) -> Self {
        self.taken = Some(at);
        self.took = Some(took);
        self.own = Some(Arc::clone(own));
        self
    }

    /// How long ago its sample was taken; zero of a recording.
    pub fn age(&self) -> Duration {
        self.taken.map_or(Duration::ZERO, |taken| taken.elapsed())
    }
}

#[cfg(test)]
impl Snapshot {
    /// One with so many cards of VMs, each with all its counters.
    pub(crate) fn of_cards(cards: usize) -> Self {
        let row = |number: usize| {
            let figures = Figures {
                known: (1 << Figure::COUNT) - 1,
                values: [number as u64; Figure::COUNT],
            };
            Row {
                labels: format!("vm=\"vm{number}\",dev=\"tap{number}\"").into(),
                info: format!("vm=\"vm{number}\",dev=\"tap{number}\",kind=\"tap\"").into(),
                figures,
                ..Row::default()
            }
        };
        Self {
            cards: (0..cards).map(row).collect(),
            ..Self::default()
        }
    }
}
