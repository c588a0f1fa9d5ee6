//! The figures of one row.

use crate::model::{
    Interface, Port, Rates, Side, SideRates, WorkNs,
    histogram::{self, HistogramRow, Range},
};

/// Figures of an interface, or the sums of several. RX and TX of a VM are from
/// the guest's side, of any other interface from the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Received.
    pub rx: Flow,
    /// Sent.
    pub tx: Flow,
    /// Segments cut in software on the way to the interface.
    pub software_segments_per_s: Option<f64>,
    /// Bytes checksummed in software on the way to the interface.
    pub software_checksum_bytes_per_s: Option<f64>,
    /// The software work is a lower bound.
    pub at_least: bool,
    /// CPU time of that work as a share of one CPU, as it was timed at the
    /// functions that do it.
    pub work_cpu_share: Option<f64>,
    /// Not all of the functions were timed.
    pub work_cpu_at_least: bool,
    /// Segments cut in software, on the way to anywhere, for frames from here.
    pub caused_segments_per_s: Option<f64>,
    /// The work caused is a lower bound.
    pub caused_at_least: bool,
    /// Frames dropped in both directions.
    pub drops_per_s: Option<f64>,
    /// Some of the interfaces cannot be seen: every sum is a lower bound.
    pub partial: bool,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Bytes of frames.
    pub bytes_per_s: Option<f64>,
    /// Frames; a GSO frame is one.
    pub packets_per_s: Option<f64>,
    /// Bytes of GSO frames.
    pub gso_bytes_per_s: Option<f64>,
    /// Frames that are not GSO, and segments that the GSO frames stand for.
    pub segments_per_s: Option<f64>,
}

impl Flow {
    fn of(side: &SideRates) -> Self {
        let single = side.packets_per_s.zip(side.gso_packets_per_s);
        let segments = single.zip(side.gso_segments_per_s);
        Self {
            bytes_per_s: side.bytes_per_s,
            packets_per_s: side.packets_per_s,
            gso_bytes_per_s: side.gso_bytes_per_s,
            segments_per_s: segments.map(|((all, gso), segments)| all - gso + segments),
        }
    }

    /// Both flows together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes_per_s: add(self.bytes_per_s, other.bytes_per_s),
            packets_per_s: add(self.packets_per_s, other.packets_per_s),
            gso_bytes_per_s: add(self.gso_bytes_per_s, other.gso_bytes_per_s),
            segments_per_s: add(self.segments_per_s, other.segments_per_s),
        }
    }

    /// Share of the bytes that came in GSO frames: 0 to 1.
    pub fn gso_share(&self) -> Option<f64> {
        let bytes = self.bytes_per_s.filter(|bytes| *bytes > 0.0)?;
        Some(self.gso_bytes_per_s? / bytes)
    }

    /// Mean bytes of a segment, headers included.
    pub fn segment_bytes(&self) -> Option<f64> {
        let segments = self.segments_per_s.filter(|segments| *segments > 0.0)?;
        Some(self.bytes_per_s? / segments)
    }
}

/// Figures of interfaces, one after the other. Of ten thousand most are at rest: their
/// figures are those of the one before.
#[derive(Clone, Copy, Default)]
pub(crate) struct Series<'model>(Option<(&'model Port, Option<Figures>)>);

impl<'model> Series<'model> {
    /// Figures of the next one; `None` if it cannot be seen.
    pub(crate) fn of(&mut self, interface: &'model Port) -> Option<Figures> {
        let same = self.0.filter(|(last, _)| {
            interface.is_card() == last.is_card() && interface.shares_rates(last)
        });
        let figures = match same {
            Some((_, figures)) => figures,
            None => Figures::of_one(interface),
        };
        self.0 = Some((interface, figures));
        figures
    }
}

impl Figures {
    /// The sums of interfaces. What none of them has is `None`.
    pub fn of<'model>(interfaces: impl IntoIterator<Item = &'model Port>) -> Self {
        let mut seen = 0;
        let mut unseen = 0;
        let mut sum = Self::default();
        let mut series = Series::default();
        for interface in interfaces {
            match series.of(interface) {
                Some(figures) => {
                    seen += 1;
                    sum = sum.plus(figures);
                }
                None => unseen += 1,
            }
        }
        sum.partial = seen > 0 && unseen > 0;
        sum
    }

    /// The sums of network cards of VMs, by their rates.
    pub(crate) fn of_cards(cards: impl Iterator<Item = Rates>) -> Self {
        let figures = cards.map(|rates| Self::of_rates(&rates, true));
        figures.fold(Self::default(), Self::plus)
    }

    /// `None` for an interface that cannot be seen.
    fn of_one(interface: &Port) -> Option<Self> {
        let rates = interface.rates()?;
        Some(Self::of_rates(&rates, interface.is_card()))
    }

    /// Of an interface by its rates, a VM's card or another.
    pub(crate) fn of_rates(rates: &Rates, is_card: bool) -> Self {
        let (ingress, egress) = (&rates.ingress, &rates.egress);
        let (rx, tx) = match is_card {
            true => (egress, ingress),
            false => (ingress, egress),
        };
        let (work_cpu_share, work_cpu_at_least) = rates.work_ns.and_then(work_cpu_share).unzip();
        Self {
            rx: Flow::of(rx),
            tx: Flow::of(tx),
            software_segments_per_s: rates.software_segments_per_s,
            software_checksum_bytes_per_s: rates.software_checksum_bytes_per_s,
            at_least: rates.software_work_approximate,
            work_cpu_share,
            work_cpu_at_least: work_cpu_at_least.unwrap_or(false),
            caused_segments_per_s: rates.caused_segments_per_s,
            caused_at_least: rates.caused_approximate,
            drops_per_s: rx.drops_per_s.zip(tx.drops_per_s).map(|(rx, tx)| rx + tx),
            partial: false,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            rx: self.rx.plus(other.rx),
            tx: self.tx.plus(other.tx),
            software_segments_per_s: add(
                self.software_segments_per_s,
                other.software_segments_per_s,
            ),
            software_checksum_bytes_per_s: add(
                self.software_checksum_bytes_per_s,
                other.software_checksum_bytes_per_s,
            ),
            at_least: self.at_least || other.at_least,
            work_cpu_share: add(self.work_cpu_share, other.work_cpu_share),
            work_cpu_at_least: self.work_cpu_at_least || other.work_cpu_at_least,
            caused_segments_per_s: add(self.caused_segments_per_s, other.caused_segments_per_s),
            caused_at_least: self.caused_at_least || other.caused_at_least,
            drops_per_s: add(self.drops_per_s, other.drops_per_s),
            partial: self.partial || other.partial,
        }
    }
}

/// What the work on the way to an interface took of a CPU, and whether that is
/// a lower bound.
fn work_cpu_share(work: WorkNs) -> Option<(f64, bool)> {
    const NS_PER_S: f64 = 1e9;
    let others = [work.checksum, work.crc32c];
    let ns = work.segmentation? + others.iter().flatten().sum::<f64>();
    Some((ns / NS_PER_S, others.contains(&None)))
}

/// Why that is not known of an interface, if so.
pub fn no_work_cpu_share(interface: &Interface) -> Option<&str> {
    let mut sides = ["to_vm", "tx"].iter();
    sides.find_map(|side| {
        let exact = format!("{side}.software_work.exact");
        let rate = format!("{exact}.segmentation_ns_per_s");
        let unavailable = &interface.unavailable;
        let reason = unavailable.get(&exact).or_else(|| unavailable.get(&rate))?;
        Some(reason.as_str())
    })
}

fn add(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

/// Sizes of the interval, in bytes, in one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes {
    /// GSO frames by the size of their segments (`gso_size`); `None` where that
    /// is not known.
    pub segments: Option<Vec<HistogramRow>>,
    /// Frames by length.
    pub lengths: Option<Vec<HistogramRow>>,
}

impl Sizes {
    /// Of what interfaces received, and of what they sent.
    pub fn of<'model>(
        interfaces: impl IntoIterator<Item = &'model Port, IntoIter: Clone>,
    ) -> (Self, Self) {
        let interfaces = interfaces.into_iter();
        let rx = interfaces.clone().filter_map(|found| found.rx_tx().0);
        let tx = interfaces.filter_map(|found| found.rx_tx().1);
        (Self::sum(rx), Self::sum(tx))
    }

    fn sum<'model>(sides: impl Iterator<Item = &'model Side> + Clone) -> Self {
        let segments = sides
            .clone()
            .filter_map(|side| side.gso_size_interval_histogram.as_deref());
        let lengths = sides.filter_map(|side| side.length_interval_histogram.as_deref());
        Self {
            segments: sum(segments),
            lengths: sum(lengths),
        }
    }

    /// The range in which a percentile of the segment sizes lies.
    pub fn segment_percentile(&self, percent: u64) -> Option<Range> {
        histogram::percentile(self.segments.as_ref()?, percent)
    }
}

/// `None` if there is no histogram.
fn sum<'rows>(
    histograms: impl Iterator<Item = &'rows [HistogramRow]>,
) -> Option<Vec<HistogramRow>> {
    let mut histograms = histograms.peekable();
    histograms.peek()?;
    Some(histogram::sum(histograms))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use offwatch_common::{ExactSlot, Slot};

    use super::*;
    use crate::{
        model::Model,
        sample::{self, Counters, ExactCounters, ExactHooks, Exactness, Method, Nic, Sample},
    };

    /// A VM with a card for each number of frames that it received, and one
    /// that cannot be seen for each `None`.
    fn interfaces(packets: &[Option<u64>]) -> Vec<Port> {
        timed(packets, &[])
    }

    /// The same, where some of the functions that do software work are timed.
    fn timed(packets: &[Option<u64>], functions: &[&str]) -> Vec<Port> {
        let hook = |function: &str| match functions.contains(&function) {
            true => Exactness::Exact(Method::Fexit),
            false => Exactness::Unavailable("this kernel has no fexit".into()),
        };
        let sample = |factor: u64| {
            let cards = packets.iter().enumerate();
            let nics = cards.clone().map(|(index, packets)| Nic {
                dev: Some(format!("t{index}")),
                unobservable: packets.is_none().then(|| "vfio".into()),
                ..Nic::default()
            });
            let interfaces = cards.map(|(index, packets)| {
                let mut slot = Box::<Slot>::default();
                slot.egress.kinds[2].packets = packets.unwrap_or(0) * factor;
                slot.egress.kinds[2].bytes = packets.unwrap_or(0) * factor * 4000;
                slot.egress.gso_segments = packets.unwrap_or(0) * factor * 3;
                slot.egress.gso_sizes[9] = packets.unwrap_or(0) * factor;
                let mut exact = Box::<ExactSlot>::default();
                exact.to_device.segmentation.ns = packets.unwrap_or(0) * factor * 1_000_000;
                exact.to_device.checksum.ns = packets.unwrap_or(0) * factor * 500_000;
                sample::Interface {
                    dev: format!("t{index}").into(),
                    ifindex: index as u32 + 1,
                    counters: Counters::Counted(slot.into()),
                    exact: ExactCounters::Counted(exact.into()),
                    ..sample::Interface::default()
                }
            });
            Sample {
                host: sample::Host {
                    exact: ExactHooks {
                        segmentation: hook("segmentation"),
                        checksum: hook("checksum"),
                        crc32c: hook("crc32c"),
                        ..ExactHooks::default()
                    },
                    ..sample::Host::default()
                },
                interfaces: interfaces.map(Arc::new).collect(),
                vms: vec![sample::Vm {
                    nics: Arc::new(nics.collect()),
                    ..sample::Vm::default()
                }],
                ..Sample::default()
            }
        };
        let earlier = (&sample(1), Duration::from_secs(1));
        let mut model = Model::new(&sample(2), Some(earlier));
        model.vms.remove(0).interfaces
    }

    #[test]
    fn a_vm_is_the_sum_of_its_cards() {
        let figures = Figures::of(&interfaces(&[Some(10), Some(30)]));
        assert_eq!(figures.rx.packets_per_s, Some(40.0));
        assert_eq!(figures.rx.gso_share(), Some(1.0));
        assert_eq!(figures.rx.segments_per_s, Some(120.0));
        assert_eq!(figures.rx.segment_bytes(), Some(4000.0 / 3.0));
        assert_eq!(figures.tx.packets_per_s, Some(0.0));
        assert_eq!(figures.tx.gso_share(), None, "no bytes, no share");
        assert!(!figures.partial);
    }

    #[test]
    fn what_shares_counters_shares_figures_but_not_whose_side_they_are_of() {
        let sample = |packets| {
            let mut slot = Box::<Slot>::default();
            slot.ingress.kinds[0].packets = packets;
            // Nothing but a test has the same counters where anything was counted.
            let counters = Counters::Counted(Arc::from(slot));
            let interface = |ifindex: u32| sample::Interface {
                dev: format!("t{ifindex}").into(),
                ifindex,
                counters: counters.clone(),
                ..sample::Interface::default()
            };
            let nic = Nic {
                dev: Some("t1".into()),
                ..Nic::default()
            };
            Sample {
                interfaces: [1, 2, 3].map(interface).map(Arc::new).into(),
                vms: vec![sample::Vm {
                    nics: Arc::new(vec![nic]),
                    ..sample::Vm::default()
                }],
                ..Sample::default()
            }
        };
        let model = Model::new(&sample(30), Some((&sample(10), Duration::from_secs(1))));
        let (card, others) = (&model.vms[0].interfaces[0], &model.other_interfaces);
        assert!(others[0].shares_rates(card) && others[1].shares_rates(&others[0]));
        let mut series = Series::default();
        let figures = [card, &others[0], &others[1]].map(|port| series.of(port).unwrap());
        let packets = figures.map(|figures| (figures.rx.packets_per_s, figures.tx.packets_per_s));
        let other = (Some(20.0), Some(0.0));
        assert_eq!(packets, [(Some(0.0), Some(20.0)), other, other]);
    }

    #[test]
    fn cpu_time_is_that_of_all_functions() {
        let all = ["segmentation", "checksum", "crc32c"];
        let cards = timed(&[Some(10), Some(30)], &all);
        let figures = Figures::of(&cards);
        // 40 frames of 1.5 ms in a second.
        assert_eq!(figures.work_cpu_share, Some(0.06));
        assert!(!figures.work_cpu_at_least);
        assert_eq!(no_work_cpu_share(&cards[0]), None);

        let some = Figures::of(&timed(&[Some(10)], &all[..1]));
        assert_eq!(some.work_cpu_share, Some(0.01));
        assert!(some.work_cpu_at_least, "checksums were not timed");

        let untimed = interfaces(&[Some(10)]);
        assert_eq!(Figures::of(&untimed).work_cpu_share, None);
        let reason = no_work_cpu_share(&untimed[0]);
        assert_eq!(reason, Some("this kernel has no fexit"));
    }

    #[test]
    fn what_cannot_be_seen_is_no_zero() {
        let unseen = Figures::of(&interfaces(&[None]));
        assert_eq!(unseen.rx.packets_per_s, None);
        assert!(!unseen.partial, "there is nothing it could be at least");
        let partial = Figures::of(&interfaces(&[Some(10), None]));
        assert_eq!(partial.rx.packets_per_s, Some(10.0));
        assert!(partial.partial);
    }

    #[test]
    fn sizes_are_of_all_cards() {
        let cards = interfaces(&[Some(10), None, Some(30)]);
        let (rx, tx) = Sizes::of(&cards);
        assert_eq!(rx.segments, Some(vec![(1280, Some(1535), 40)]));
        assert_eq!(rx.segment_percentile(99), Some((1280, Some(1535))));
        assert_eq!(tx.segment_percentile(99), None);
        assert_eq!(tx.segments, Some(vec![]), "none is not unknown");
        assert_eq!(Sizes::of(&cards[1..2]).0.segments, None);
    }
}
