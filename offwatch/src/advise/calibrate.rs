//! What a trial on this host tells of the cost of a frame. Pure.
//!
//! A trial measures what a change of features costs as a whole. The periods with it
//! and without it tell how many segments, frames and bytes were cut, carried and
//! summed more; segments and bytes have a price, and what remains is the frames'.

use super::{
    price::Range,
    unit::UnitCost,
    window::{Carrier, Window},
};
use crate::trial::{Conclusion, Measure, Period, Side, Trial};

/// What a frame costs on this host.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Frames of guests that are carried that way.
    pub carrier: Carrier,
    /// What a frame more takes on its way to a guest, nanoseconds, with the
    /// acknowledgements that it brings.
    pub frame_ns: Range,
    /// Of which VM or interface.
    pub of: String,
    /// Rounds that were measured.
    pub rounds: u64,
    /// It is what the VM's process takes alone: what the whole host takes could not be
    /// told from what else ran.
    pub vm_alone: bool,
    end_unix_ms: u64,
}

/// With fewer frames more for a byte the cost of one drowns: a frame of 1,500 bytes
/// where there was a quarter of one.
const FEWEST_FRAMES_PER_BYTE: f64 = 1.0 / 6_000.0;
/// By how much a frame's cost differed between rates of 20 and 300 Mbit/s, MSS of 700
/// and 1448 bytes, and senders on the host and in a guest, from that in the middle.
const SPREAD: f64 = 0.15;
/// What a frame takes on the whole host, in multiples of what it takes in the process
/// of a VM that carries its frames itself: 9.4 of 6.1 us.
const BESIDE_THE_VM: f64 = 1.6;
/// A difference whose interval is wider than this share of it, to either side, tells
/// of what else ran.
const WIDEST: f64 = 0.25;

impl Calibration {
    /// Of a trial, for a window; `None` if it is of another host or kernel, was ended
    /// before, claims no difference, or makes too few frames of others.
    pub(super) fn of(trial: &Trial, window: &Window<'_>) -> Option<Self> {
        let host = &window.host;
        if trial.host.name != host.name
            || trial.host.kernel != host.kernel
            || trial.conclusion != Conclusion::Complete
            || trial.change.is_none()
        {
            return None;
        }
        let of_host = added(trial, Measure::HostCost).filter(is_precise);
        let vm_alone = of_host.is_none();
        let added_ns = of_host.or_else(|| added(trial, Measure::VmCost))?;
        let sides = [Side::Without, Side::With].map(|side| Sum::of(&trial.periods, side));
        let [without, with] = sides;
        let (without, with) = (without?, with?);
        let frames = with.frames - without.frames;
        if frames.abs() < FEWEST_FRAMES_PER_BYTE {
            return None;
        }
        let others = (with.segments - without.segments) * UnitCost::segment(window).ns.value
            + (with.summed - without.summed) * UnitCost::checksum_byte(window).ns.value;
        // Whoever sends cuts.
        let others = if vm_alone { 0.0 } else { others };
        let frame = |added_ns: f64| (added_ns - others) / frames;
        let (one, other) = (frame(added_ns.low), frame(added_ns.high));
        let value = frame(added_ns.value);
        let beside_the_vm = if vm_alone { BESIDE_THE_VM } else { 1.0 };
        let frame_ns = Range::new(
            value,
            one.min(other).max(0.0) * (1.0 - SPREAD),
            one.max(other) * (1.0 + SPREAD) * beside_the_vm,
        );
        (value > 0.0).then(|| Self {
            carrier: carrier(&trial.periods),
            frame_ns,
            of: name(trial),
            rounds: trial.periods.len() as u64 / 2,
            vm_alone,
            end_unix_ms: trial.end_unix_ms,
        })
    }

    /// Whether that trial told it.
    pub(super) fn is_of(&self, trial: &Trial) -> bool {
        self.end_unix_ms == trial.end_unix_ms && self.of == name(trial)
    }

    /// The newest for guests that are carried that way.
    pub(super) fn newest(of: &[Self], carrier: Carrier) -> Option<&Self> {
        of.iter()
            .filter(|found| found.carrier == carrier)
            .max_by_key(|found| found.end_unix_ms)
    }
}

/// What the change adds to each byte by a measure, nanoseconds, if a difference is
/// claimed.
fn added(trial: &Trial, measure: Measure) -> Option<Range> {
    let mut effects = trial.effects.iter();
    let cost = effects.find(|effect| effect.measure == measure)?;
    let without_ns = cost.without?;
    let percent = cost.difference_percent?;
    let ns = |percent: f64| without_ns * percent / 100.0;
    let added = Range::new(ns(percent.value), ns(percent.low), ns(percent.high));
    cost.verdict.is_difference().then_some(added)
}

fn is_precise(added: &Range) -> bool {
    (added.high - added.low) / 2.0 <= added.value.abs() * WIDEST
}

/// The VM or the interfaces of a trial.
pub(super) fn name(trial: &Trial) -> String {
    let devs = || trial.subject.devs.keys().cloned().collect::<Vec<_>>();
    let vm = trial.subject.vm.clone();
    vm.unwrap_or_else(|| devs().join(", "))
}

/// Who carried the frames: vhost's threads ran, or a process of the VM and none of
/// them.
fn carrier(periods: &[Period]) -> Carrier {
    let vhost = periods
        .iter()
        .filter_map(|period| period.cpu.vhost_ns.known());
    match vhost.max() {
        Some(0) => Carrier::Process,
        Some(_) => Carrier::Vhost,
        None => Carrier::Unknown,
    }
}

/// What was carried for each byte of goodput.
struct Sum {
    frames: f64,
    segments: f64,
    summed: f64,
}

impl Sum {
    /// `None` if something is not known of all periods, or nothing was carried.
    fn of(periods: &[Period], side: Side) -> Option<Self> {
        let of_side = || periods.iter().filter(|period| period.side == side);
        let goodput: Option<u64> = of_side()
            .map(|period| {
                let ways = [&period.received, &period.sent];
                ways.map(|way| way.goodput_bytes.known().copied())
                    .into_iter()
                    .sum::<Option<u64>>()
            })
            .sum();
        let bytes = || {
            let each = of_side().map(|period| period.received.bytes + period.sent.bytes);
            each.sum::<u64>()
        };
        let bytes = goodput.unwrap_or_else(bytes);
        if bytes == 0 {
            return None;
        }
        let per_byte = |count: u64| count as f64 / bytes as f64;
        let segments: Option<u64> = of_side()
            .map(|period| period.software_segments.known().copied())
            .sum();
        let summed: Option<u64> = of_side()
            .map(|period| period.checksum_bytes.known().copied())
            .sum();
        Some(Self {
            frames: per_byte(of_side().map(|period| period.received.packets).sum()),
            segments: per_byte(segments?),
            summed: per_byte(summed?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene, trial};

    fn calibrated(trial: &Trial) -> Option<Calibration> {
        let tap = Made::tap("vnet0", 7).vm("web").to(Frames::tcp(100, 40));
        let (before, after) = Scene::default().with(tap).samples();
        Calibration::of(trial, &Window::new(&before, &after))
    }

    #[test]
    fn a_frame_costs_what_remains_beside_the_segments() {
        // 300 % of 2 ns are 6,000,000 ns for 680 segments and 660 frames more of a MB.
        let found = calibrated(&trial(300.0)).expect("it tells");
        let expected = (6_000_000.0 - 680.0 * 460.0) / 660.0;
        assert!((found.frame_ns.value - expected).abs() < 1e-6, "{found:?}");
        let low = (5_400_000.0 - 680.0 * 460.0) / 660.0 * 0.85;
        assert!((found.frame_ns.low - low).abs() < 1e-6, "{found:?}");
        assert_eq!(found.carrier, Carrier::Process);
        assert_eq!((&*found.of, found.rounds), ("web", 4));
    }

    #[test]
    fn where_the_host_does_other_things_the_vm_tells() {
        let mut noisy = trial(300.0);
        let host = noisy.effects.len() - 1;
        let mut of_vm = noisy.effects[host].clone();
        of_vm.measure = Measure::VmCost;
        noisy.effects.push(of_vm);
        assert!(calibrated(&noisy).is_some_and(|found| !found.vm_alone));
        let percent = noisy.effects[host].difference_percent.as_mut();
        percent.expect("measured").high = 900.0;
        let found = calibrated(&noisy).expect("the VM tells");
        assert!(found.vm_alone);
        let expected = 6_000_000.0 / 660.0;
        assert!((found.frame_ns.value - expected).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn only_what_this_host_measured_counts() {
        let without = |change: fn(&mut Trial)| {
            let mut trial = trial(300.0);
            change(&mut trial);
            calibrated(&trial)
        };
        assert_eq!(calibrated(&trial(4.0)), None, "no difference is claimed");
        assert_eq!(calibrated(&trial(-50.0)), None, "more frames at less cost");
        assert_eq!(without(|trial| trial.host.kernel = "6.12.31".into()), None);
        assert_eq!(without(|trial| trial.host.name = "other".into()), None);
        assert_eq!(without(|trial| trial.change = None), None);
        assert_eq!(without(|trial| trial.periods.clear()), None);
        let aborted = |trial: &mut Trial| {
            trial.conclusion = Conclusion::Aborted {
                because: "a signal".into(),
            };
        };
        assert_eq!(without(aborted), None);
        let as_many = |trial: &mut Trial| {
            for period in &mut trial.periods {
                period.received.packets = 680;
            }
        };
        assert_eq!(without(as_many), None);
    }

    #[test]
    fn the_newest_of_the_same_way_is_taken() {
        let mut newer = trial(200.0);
        newer.end_unix_ms += 1;
        let mut vhost = trial(100.0);
        vhost.end_unix_ms += 2;
        for period in &mut vhost.periods {
            period.cpu.vhost_ns = crate::sample::offloads::Fact::Known(1);
        }
        let all: Vec<_> = [&trial(300.0), &newer, &vhost]
            .into_iter()
            .filter_map(calibrated)
            .collect();
        let newest = |carrier| Calibration::newest(&all, carrier).map(|found| found.end_unix_ms);
        assert_eq!(newest(Carrier::Process), Some(newer.end_unix_ms));
        assert_eq!(newest(Carrier::Vhost), Some(vhost.end_unix_ms));
        assert_eq!(newest(Carrier::Unknown), None);
    }
}
