use super::{effects, notes};
use crate::{
    sample::offloads::Fact,
    trial::{
        effect::{Effect, Measure, Verdict},
        period::{Cpu, Period, Side, Way},
        schedule,
        settings::Settings,
    },
};

/// Periods of a host on which everything is the same all the time, but for what `change`
/// does to those with the change.
fn periods(rounds: u32, change: impl Fn(&mut Period)) -> Vec<Period> {
    let way = Way {
        packets: 5_000,
        bytes: 51_000_000,
        goodput_bytes: Fact::Known(50_000_000),
        drops: Fact::Known(0),
        tcp_segments: Fact::Known(10_000),
        retransmitted_segments: Fact::Known(100),
    };
    let period = |(round, side)| {
        let mut period = Period {
            round,
            side,
            seconds: 2.0,
            received: way.clone(),
            sent: way.clone(),
            software_segments: Fact::Known(0),
            checksum_bytes: Fact::Known(2_000),
            checksum_drops: Fact::Known(0),
            cpu: Cpu {
                host_ns: Fact::Known(400_000_000),
                softirq_ns: Fact::Known(100_000_000),
                vm_ns: Fact::Known(200_000_000),
                vcpu_ns: Fact::Known(150_000_000),
                vhost_ns: Fact::Known(50_000_000),
            },
        };
        if side == Side::With {
            change(&mut period);
        }
        period
    };
    schedule::order(rounds).map(period).collect()
}

fn effect(periods: &[Period], measure: Measure) -> Effect {
    let effects = effects(periods, &Settings::default());
    let mut found = effects.into_iter().filter(|it| it.measure == measure);
    let effect = found.next().expect("each measure is told of");
    assert!(found.next().is_none(), "once");
    effect
}

fn verdict(periods: &[Period], measure: Measure) -> Verdict {
    effect(periods, measure).verdict
}

fn scaled(fact: &mut Fact<u64>, factor: f64) {
    if let Fact::Known(value) = fact {
        *value = (*value as f64 * factor) as u64;
    }
}

#[test]
fn figures_have_the_units_they_say() {
    let periods = periods(4, |_| ());
    for (measure, value, unit) in [
        (Measure::Goodput, 50e6, "bytes_per_s"),
        (Measure::SendGoodput, 25e6, "bytes_per_s"),
        (Measure::HostCost, 4.0, "ns_per_byte"),
        (Measure::VhostCost, 0.5, "ns_per_byte"),
        (Measure::Retransmits, 0.01, "share"),
        (Measure::Packets, 5_000.0, "per_s"),
        (Measure::ChecksumBytes, 1_000.0, "bytes_per_s"),
    ] {
        let effect = effect(&periods, measure);
        assert_eq!(effect.without, Some(value), "{measure:?}");
        assert_eq!(effect.with, Some(value), "{measure:?}");
        assert_eq!(effect.unit, unit);
        assert_eq!(effect.rounds, [0.0; 4]);
        let least = if unit == "share" { 1.0 } else { 5.0 };
        let Verdict::NoDifference { would_have_seen } = effect.verdict else {
            panic!("{measure:?}: {:?}", effect.verdict);
        };
        assert!((would_have_seen - least).abs() < 1e-9, "{would_have_seen}");
    }
}

#[test]
fn what_is_better_depends_on_the_measure() {
    let double = periods(4, |period| {
        for fact in [
            &mut period.received.goodput_bytes,
            &mut period.sent.goodput_bytes,
            &mut period.checksum_bytes,
        ] {
            scaled(fact, 2.0);
        }
        period.received.packets /= 2;
    });
    assert_eq!(verdict(&double, Measure::Goodput), Verdict::Better);
    assert_eq!(verdict(&double, Measure::HostCost), Verdict::Better);
    assert_eq!(verdict(&double, Measure::ChecksumBytes), Verdict::More);
    assert_eq!(verdict(&double, Measure::Packets), Verdict::Less);
    let half = periods(4, |period| {
        scaled(&mut period.received.goodput_bytes, 0.5);
        scaled(&mut period.cpu.vm_ns, 2.0);
    });
    assert_eq!(verdict(&half, Measure::ReceiveGoodput), Verdict::Worse);
    assert_eq!(verdict(&half, Measure::VmCost), Verdict::Worse);
    let interval = effect(&half, Measure::ReceiveGoodput).difference_percent;
    let interval = interval.expect("an interval");
    assert!((interval.value + 50.0).abs() < 1e-9);
    let same = verdict(&half, Measure::SendGoodput);
    assert!(matches!(same, Verdict::NoDifference { .. }), "{same:?}");
}

#[test]
fn a_difference_must_surely_exceed_the_threshold() {
    let costs = |factor| {
        let periods = periods(10, |period| {
            let noise = f64::from(period.round % 3) * 0.002;
            scaled(&mut period.cpu.host_ns, factor + noise);
        });
        effect(&periods, Measure::HostCost)
    };
    assert_eq!(costs(1.06).verdict, Verdict::Worse);
    assert_eq!(costs(0.93).verdict, Verdict::Better);
    let hardly = costs(1.0495);
    let interval = hardly.difference_percent.expect("an interval");
    assert!(interval.value > 5.0 && interval.low < 5.0, "{interval:?}");
    let Verdict::NoDifference { would_have_seen } = hardly.verdict else {
        panic!("{:?}", hardly.verdict);
    };
    let half_width = interval.high - interval.value;
    assert!((would_have_seen - 5.0 - half_width).abs() < 0.01);
}

#[test]
fn shares_have_thresholds_of_their_own() {
    let lossy = |drops: u64, checksum_drops| {
        periods(4, |period| {
            period.received.drops = Fact::Known(drops);
            period.checksum_drops = Fact::Known(checksum_drops);
            scaled(&mut period.sent.retransmitted_segments, 5.0);
        })
    };
    let few = lossy(9, 0);
    assert!(!verdict(&few, Measure::Drops).is_difference());
    assert!(!verdict(&few, Measure::ChecksumDrops).is_difference());
    let again = effect(&few, Measure::Retransmits);
    assert_eq!(again.verdict, Verdict::Worse);
    let points = again.difference_percent.expect("an interval").value;
    assert!((points - 2.0).abs() < 1e-9, "{points}");
    let many = lossy(11, 2);
    assert_eq!(verdict(&many, Measure::Drops), Verdict::Worse);
    assert_eq!(verdict(&many, Measure::ChecksumDrops), Verdict::Worse);
}

#[test]
fn from_nothing_there_is_more_but_no_percentage() {
    let cut = periods(4, |period| period.software_segments = Fact::Known(9_000));
    let effect = effect(&cut, Measure::SoftwareSegments);
    assert_eq!(effect.verdict, Verdict::More);
    assert_eq!((effect.without, effect.with), (Some(0.0), Some(4_500.0)));
    assert_eq!(effect.difference_percent, None);
    assert!(effect.rounds.is_empty());
    let none = periods(4, |_| ());
    let none = verdict(&none, Measure::SoftwareSegments);
    assert!(matches!(none, Verdict::NoDifference { .. }), "{none:?}");
}

#[test]
fn a_change_that_ends_all_traffic_is_no_want_of_traffic() {
    let dead = periods(4, |period| {
        for way in [&mut period.received, &mut period.sent] {
            way.packets = 0;
            way.bytes = 0;
            way.goodput_bytes = Fact::Known(0);
            way.tcp_segments = Fact::Known(0);
        }
    });
    let goodput = effect(&dead, Measure::Goodput);
    assert_eq!(goodput.verdict, Verdict::Worse);
    assert_eq!(goodput.rounds, [-100.0; 4]);
    assert_eq!(verdict(&dead, Measure::Packets), Verdict::Less);
    let cost = verdict(&dead, Measure::HostCost);
    assert!(!cost.is_difference(), "{cost:?}");
}

#[test]
fn with_little_traffic_nothing_is_judged() {
    let little = |packets, goodput_bytes| {
        let mut periods = periods(4, |period| scaled(&mut period.cpu.host_ns, 3.0));
        for period in &mut periods {
            for way in [&mut period.received, &mut period.sent] {
                way.packets = packets;
                way.goodput_bytes = Fact::Known(goodput_bytes);
            }
        }
        verdict(&periods, Measure::HostCost)
    };
    let because = "72.0kbit/s without the change, at least 80.0kbit/s are needed".into();
    assert_eq!(little(5_000, 9_000), Verdict::TooLittleTraffic { because });
    let because = "96 frames without the change, at least 100 are needed".into();
    assert_eq!(little(12, 90_000), Verdict::TooLittleTraffic { because });
    assert_eq!(little(13, 90_000), Verdict::Worse);
}

#[test]
fn rounds_that_lack_a_value_are_left_out_if_they_are_few() {
    let lacking = |rounds, lack: u32| {
        periods(rounds, |period| {
            scaled(&mut period.cpu.vm_ns, 2.0);
            if period.round <= lack {
                period.cpu.vm_ns = Fact::unavailable("it was migrated");
            }
        })
    };
    let few = lacking(10, 2);
    let effect = effect(&few, Measure::VmCost);
    assert_eq!(effect.verdict, Verdict::Worse);
    assert_eq!(effect.rounds.len(), 8);
    let note = "of some measures, 2 of 10 rounds were left out: it was migrated";
    assert_eq!(notes(&few), [note]);
    let unmeasured = Verdict::NotMeasured {
        because: "it was migrated".into(),
    };
    for (rounds, lack) in [(10, 3), (4, 1), (8, 2)] {
        let many = lacking(rounds, lack);
        assert_eq!(verdict(&many, Measure::VmCost), unmeasured, "{rounds}");
        assert!(notes(&many).is_empty(), "{rounds}");
    }
}

#[test]
fn without_goodput_bytes_of_frames_stand_for_it_everywhere() {
    let lost = periods(4, |period| {
        if period.round == 2 {
            period.sent.goodput_bytes = Fact::unavailable("the capture lost frames");
        }
    });
    // Less 66 bytes of each of 5,000 frames.
    assert_eq!(effect(&lost, Measure::Goodput).without, Some(50.67e6));
    assert_eq!(effect(&lost, Measure::HostCost).rounds.len(), 4);
    let notes = notes(&lost);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].ends_with("goodput: the capture lost frames"),
        "{notes:?}"
    );
}

#[test]
fn only_whole_rounds_count_and_four_are_needed() {
    let mut five = periods(5, |period| scaled(&mut period.cpu.vm_ns, 2.0));
    let last = five.pop().expect("a period");
    assert_eq!(last.side, Side::With);
    let vm = effect(&five, Measure::VmCost);
    assert_eq!((vm.verdict, vm.rounds.len()), (Verdict::Worse, 4));
    five.pop();
    five.pop();
    let vm = effect(&five, Measure::VmCost);
    let because = "3 whole, at least 4 are needed".into();
    assert_eq!(vm.verdict, Verdict::TooFewRounds { because });
    assert_eq!((vm.difference_percent, vm.rounds.len()), (None, 3));
    assert_eq!(vm.without, Some(2.0));
    assert_eq!(effect(&[], Measure::VmCost).without, None);
}

#[test]
fn what_comes_and_goes_by_itself_is_not_judged() {
    let mut uneven = periods(10, |_| ());
    for (index, period) in uneven.iter_mut().enumerate() {
        period.software_segments = Fact::Known([0, 40_000, 3, 9][index % 4]);
    }
    let verdict = verdict(&uneven, Measure::SoftwareSegments);
    let Verdict::NotMeasured { because } = verdict else {
        panic!("{verdict:?}");
    };
    assert!(because.contains("by itself"), "{because}");
}
