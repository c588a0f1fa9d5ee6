use std::sync::Arc;

use super::*;
use crate::measure::{VmFigures, Way, tcp::TcpCount};

/// What an interface does in a window of 10 s.
#[derive(Clone)]
struct Made {
    ifindex: u32,
    vm: Option<&'static str>,
    bytes: u64,
    packets: u64,
    drops: u64,
    again: u64,
    cpu_ns: Option<u64>,
    is_captured: bool,
    /// Connections and their payload.
    flows: Vec<(u64, u64)>,
}

/// 1 Mbyte/s to the guest, in connection number `ifindex`.
fn made(ifindex: u32) -> Made {
    Made {
        ifindex,
        vm: None,
        bytes: 10_000_000,
        packets: 7_000,
        drops: 0,
        again: 0,
        cpu_ns: None,
        is_captured: true,
        flows: vec![(u64::from(ifindex), 9_500_000)],
    }
}

fn window(made: &[Made]) -> Window {
    let mut window = Window {
        seconds: 10.0,
        ..Window::default()
    };
    for it in made {
        let tcp = TcpCount {
            segments: 7_000,
            again_segments: it.again,
            ..TcpCount::default()
        };
        let egress = Way {
            packets: it.packets,
            bytes: it.bytes,
            drops: Fact::Known(it.drops),
            tcp: match it.is_captured {
                true => Fact::Known(tcp),
                false => Fact::unavailable("the capture lost 3 frames"),
            },
        };
        let figures = Figures {
            dev: Arc::from(format!("tap{}", it.ifindex)),
            vm: it.vm.map(Into::into),
            egress,
            features_changed: Fact::Known(0),
            ..Figures::default()
        };
        if let (Some(vm), Some(cpu_ns)) = (it.vm, it.cpu_ns) {
            let figures = VmFigures {
                cpu_ns: Fact::Known(cpu_ns),
                bytes: it.bytes,
                ..VmFigures::default()
            };
            window.vms.insert(vm.into(), figures);
        }
        let flows = it.flows.iter().copied().collect();
        window.flows.insert(it.ifindex, flows);
        window.interfaces.insert(it.ifindex, Fact::Known(figures));
    }
    window
}

/// Three windows before and after; interface 1 is changed, the others are controls.
fn judged_of(before: [Vec<Made>; 3], after: [Vec<Made>; 3]) -> (Judged, Controls) {
    let windows = |all: [Vec<Made>; 3]| all.map(|made| window(&made));
    let evidence = Evidence {
        before: &windows(before),
        after: &windows(after),
        exposed: &[1],
        others: &[2, 3],
    };
    let mut judgement = judge(&Settings::default(), &evidence);
    (judgement.interfaces.remove(0), judgement.controls)
}

fn judged(before: &[Made], after: &[Made]) -> (Judged, Controls) {
    let three = |made: &[Made]| [made.to_vec(), made.to_vec(), made.to_vec()];
    judged_of(three(before), three(after))
}

fn harms(judged: &Judged) -> Vec<Measure> {
    let harms = judged.findings.iter().filter(|finding| finding.harm);
    harms.map(|finding| finding.measure).collect()
}

#[test]
fn nothing_new_is_no_harm() {
    let (judged, controls) = judged(&[made(1), made(2)], &[made(1), made(2)]);
    assert_eq!(
        (judged.dev.as_str(), &judged.verdict),
        ("tap1", &Verdict::Unharmed)
    );
    assert_eq!(harms(&judged), []);
    assert_eq!(controls.used, [(2, "tap2".to_owned())]);
    assert!(judged.not_judged.contains_key(&Measure::Cost), "no VM");
    assert!(
        judged.not_judged.contains_key(&Measure::SendDrops),
        "not counted"
    );
}

#[test]
fn a_fall_of_throughput_is_harm_beyond_its_limit() {
    let slower = |bytes| Made { bytes, ..made(1) };
    for (bytes, expected) in [(7_900_000, Verdict::Harm), (8_100_000, Verdict::Unharmed)] {
        let (judged, _) = judged(&[made(1), made(2)], &[slower(bytes), made(2)]);
        assert_eq!(judged.verdict, expected, "{bytes}");
    }
    let (judged, _) = judged(&[made(1)], &[slower(0)]);
    let both = [Measure::Throughput, Measure::ReceiveThroughput];
    assert_eq!(
        harms(&judged),
        both,
        "the direction without traffic is not judged"
    );
    let finding = &judged.findings[0];
    assert_eq!((finding.before, finding.after), (1_000_000.0, 0.0));
    assert_eq!(
        (finding.change, finding.limit, finding.noise),
        (-1.0, 0.2, 0.0)
    );
}

#[test]
fn what_befalls_the_controls_excuses_and_never_accuses() {
    let half = |ifindex| Made {
        bytes: 5_000_000,
        ..made(ifindex)
    };
    let twice = |ifindex| Made {
        bytes: 20_000_000,
        ..made(ifindex)
    };
    let before = [made(1), made(2), made(3)];
    let (all_fell, controls) = judged(&before, &[half(1), half(2), half(3)]);
    assert_eq!(
        (all_fell.verdict, controls.used.len()),
        (Verdict::Unharmed, 2)
    );
    let (alone, _) = judged(&before, &[half(1), made(2), made(3)]);
    assert_eq!(alone.verdict, Verdict::Harm);
    let (others_rose, _) = judged(&before, &[made(1), twice(2), twice(3)]);
    assert_eq!(others_rose.verdict, Verdict::Unharmed);
    // They rose; that is no reason to expect less of a fall.
    let (fell, _) = judged(&before, &[half(1), twice(2), twice(3)]);
    assert_eq!(fell.findings[0].change, -0.5);
}

#[test]
fn who_talks_with_the_changed_one_is_no_control() {
    let half = |ifindex| Made {
        bytes: 5_000_000,
        ..made(ifindex)
    };
    let peer = |made: Made| Made {
        flows: vec![(1, 5_000_000), (2, 4_000_000)],
        ..made
    };
    let before = [made(1), peer(made(2))];
    let (judged, controls) = judged(&before, &[half(1), peer(half(2))]);
    assert_eq!(judged.verdict, Verdict::Harm, "both ends of it fell");
    assert_eq!(controls.used, []);
    assert!(
        controls.left_out[0].1.contains("talks with"),
        "{controls:?}"
    );
}

#[test]
fn a_control_has_traffic_of_known_ends_and_another_vm() {
    let of = |made: Made| {
        let (_, controls) = judged(&[self::made(1), made.clone()], &[self::made(1), made]);
        let left_out = controls.left_out.first().cloned();
        left_out.map(|(_, because)| because).unwrap_or_default()
    };
    let idle = Made {
        bytes: 90_000,
        ..made(2)
    };
    assert!(of(idle).contains("9000 bytes/s before"));
    let unknown = Made {
        flows: vec![(2, 4_000_000)],
        ..made(2)
    };
    assert!(of(unknown).contains("not known"));
    let ours = |ifindex| Made {
        vm: Some("web"),
        ..made(ifindex)
    };
    let (_, controls) = judged(&[ours(1), ours(2)], &[ours(1), ours(2)]);
    assert_eq!(controls.left_out[0].1, "it belongs to web, too");
}

#[test]
fn drops_are_a_share_and_few_are_chance() {
    let dropping = |drops| Made { drops, ..made(1) };
    for (drops, expected) in [(3, 0), (8, 1), (700, 1)] {
        let (judged, _) = judged(&[made(1), made(2)], &[dropping(drops), made(2)]);
        assert_eq!(harms(&judged).len(), expected, "{drops}");
    }
    let few = Made {
        packets: 300,
        drops: 3,
        ..made(1)
    };
    let (judged, _) = judged(&[made(1)], &[few]);
    assert_eq!(harms(&judged), [], "1 %, but 9 frames");
}

#[test]
fn what_is_within_the_noise_is_neither_harm_nor_a_pass() {
    let unclear = |judged: &Judged| judged.findings.iter().any(|finding| finding.unclear);
    let dropping = |drops| vec![Made { drops, ..made(1) }];
    let calm = || [dropping(70), dropping(70), dropping(70)];
    let (judged, _) = judged_of(calm(), [dropping(140), dropping(140), dropping(140)]);
    assert_eq!(harms(&judged), [Measure::ReceiveDrops]);
    assert!(!unclear(&judged));
    let noisy = [dropping(0), dropping(70), dropping(140)];
    let (judged, _) = judged_of(noisy, [dropping(140), dropping(140), dropping(140)]);
    assert_eq!(harms(&judged), []);
    assert!(unclear(&judged), "{:?}", judged.findings);
    let slower = |bytes| vec![Made { bytes, ..made(1) }];
    let noisy = [slower(6_000_000), slower(10_000_000), slower(14_000_000)];
    let (judged, _) = judged_of(
        noisy,
        [slower(6_000_000), slower(5_000_000), slower(5_000_000)],
    );
    assert_eq!(
        judged.verdict,
        Verdict::Unharmed,
        "{:?}",
        judged.findings[0]
    );
    assert!(unclear(&judged), "{:?}", judged.findings);
    let fine = slower(9_000_000);
    let (judged, _) = judged_of(
        [slower(6_000_000), slower(10_000_000), slower(14_000_000)],
        [fine.clone(), fine.clone(), fine],
    );
    assert!(!unclear(&judged), "{:?}", judged.findings);
}

#[test]
fn what_is_sent_again_is_judged_where_it_is_known() {
    let again = |again| Made { again, ..made(1) };
    let (judged_again, _) = judged(&[again(7)], &[again(90)]);
    assert_eq!(harms(&judged_again), [Measure::ReceiveRetransmits]);
    let lossy = |again| Made {
        is_captured: false,
        again,
        ..made(1)
    };
    // One window is enough; none before is told; none after is no pass.
    let (some, _) = judged_of(
        [vec![lossy(0)], vec![again(0)], vec![lossy(0)]],
        [vec![lossy(0)], vec![lossy(0)], vec![again(700)]],
    );
    assert_eq!(some.verdict, Verdict::Harm);
    let (never, _) = judged(&[lossy(0)], &[lossy(0)]);
    let told = &never.not_judged[&Measure::ReceiveRetransmits];
    assert_eq!(
        (never.verdict, told.as_ref()),
        (Verdict::Unharmed, "the capture lost 3 frames")
    );
    let (lost, _) = judged(&[again(0)], &[lossy(0)]);
    let Verdict::Unmeasured { because } = lost.verdict else {
        panic!("{lost:?}");
    };
    assert!(
        because.contains("no more: the capture lost 3 frames"),
        "{because}"
    );
}

#[test]
fn cost_is_cpu_time_per_byte() {
    let used = |cpu_ns| Made {
        vm: Some("web"),
        cpu_ns: Some(cpu_ns),
        ..made(1)
    };
    for (cpu_ns, expected) in [(2_900_000_000, 0), (3_100_000_000, 1)] {
        let (judged, _) = judged(&[used(2_000_000_000)], &[used(cpu_ns)]);
        assert_eq!(harms(&judged).len(), expected, "{cpu_ns}");
    }
    let (judged, _) = judged(&[used(90_000_000)], &[used(95_000_000)]);
    assert!(
        judged.not_judged.contains_key(&Measure::Cost),
        "ticks are too coarse"
    );
}

#[test]
fn too_little_traffic_is_no_verdict() {
    let idle = Made {
        bytes: 90_000,
        ..made(1)
    };
    let few = Made {
        packets: 33,
        ..made(1)
    };
    for (before, after, told) in [
        (
            idle.clone(),
            made(1),
            "9000 bytes/s before the change; 10000 are needed (floor_bytes_per_s)",
        ),
        (
            few.clone(),
            made(1),
            "99 frames before the change; 100 are needed (floor_packets)",
        ),
        (
            made(1),
            few,
            "99 frames after the change; 100 are needed (floor_packets)",
        ),
    ] {
        let (judged, _) = judged(&[before], &[after]);
        let expected = Verdict::TooLittleTraffic {
            because: told.to_owned(),
            before: told.contains("before"),
        };
        assert_eq!(judged.verdict, expected);
    }
    // Where the others are idle, too, it is not the change.
    let quiet = |ifindex| Made {
        bytes: 90_000,
        ..made(ifindex)
    };
    let (judged, _) = judged(&[made(1), made(2)], &[quiet(1), quiet(2)]);
    assert!(
        matches!(judged.verdict, Verdict::TooLittleTraffic { .. }),
        "{judged:?}"
    );
}

#[test]
fn an_interface_that_is_gone_is_unmeasured() {
    let (judged, _) = judged(&[made(1), made(2)], &[made(2)]);
    let because = "it is gone".to_owned();
    assert_eq!(judged.verdict, Verdict::Unmeasured { because });
    assert_eq!(judged.dev, "tap1");
}
