use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use super::*;
use crate::{
    measure::{CpuReading, CpuTimes, Reading},
    sample::{
        Counters, Interface, Sample,
        offloads::{KernelCounters, Offloads},
    },
};

const SECOND: u64 = 1_000_000_000;
const TAP: u32 = 7;

/// A tap after so many seconds. Each has 100 frames to the guest, of 1,500 bytes, one of
/// them UDP; the rest is TCP with 1,400 bytes of payload, 10 of its segments sent again.
/// 50 empty acknowledgements of 60 bytes come back. Each second takes a CPU for half of
/// it.
fn moment(seconds: u64) -> Moment {
    let kernel = KernelCounters {
        monotonic_ns: seconds * SECOND,
        tx_packets: 100 * seconds,
        tx_bytes: 150_000 * seconds,
        tx_dropped: 3 * seconds,
        rx_packets: 50 * seconds,
        rx_bytes: 3_000 * seconds,
        ..KernelCounters::default()
    };
    let tap = Interface {
        dev: "vnet0".into(),
        ifindex: TAP,
        generation: 1,
        kernel: Fact::Known(kernel),
        counters: Counters::Unavailable("BPF is not permitted".into()),
        ..Interface::default()
    };
    let captured = Captured {
        egress: TcpCount {
            segments: 99 * seconds,
            bytes: 99 * 1_400 * seconds,
            again_segments: 10 * seconds,
            again_bytes: 10 * 1_400 * seconds,
            frame_bytes: 99 * 1_500 * seconds,
            frames: 99 * seconds,
            ..TcpCount::default()
        },
        ingress: TcpCount {
            frame_bytes: 3_000 * seconds,
            frames: 50 * seconds,
            ..TcpCount::default()
        },
        ..Captured::default()
    };
    Moment {
        at: Instant::now(),
        reading: Reading {
            sample: Arc::new(Sample {
                monotonic_ns: seconds * SECOND,
                interfaces: vec![Arc::new(tap)],
                ..Sample::default()
            }),
            captured: std::collections::HashMap::new(),
            cpu: Err("not asked".into()),
        },
        counts: Counts {
            monotonic_ns: seconds * SECOND,
            counters: BTreeMap::from([(TAP, Fact::Known(kernel))]),
            captured: BTreeMap::from([(TAP, Fact::Known(captured))]),
        },
        host: Fact::Known(CpuReading {
            monotonic_ns: seconds * SECOND,
            online_cpus: 1,
            times: CpuTimes {
                idle_ns: seconds * SECOND / 2,
                softirq_ns: seconds * SECOND / 10,
                ..CpuTimes::default()
            },
        }),
        vm: Fact::Known(VmCpu {
            vm_ns: Fact::Known(seconds * 500),
            vcpus_ns: Fact::Known(BTreeMap::from([(1, seconds * 200), (2, seconds * 100)])),
            vhost_ns: Fact::unavailable("it has none"),
        }),
        own: std::time::Duration::from_millis(seconds * 20),
    }
}

/// Changes the interface of a sample.
fn edit(moment: &mut Moment, edit: impl FnOnce(&mut Interface)) {
    let sample = Arc::make_mut(&mut moment.reading.sample);
    edit(Arc::make_mut(&mut sample.interfaces[0]));
}

#[test]
fn a_period_is_what_passed_between_two_moments() {
    let period = period((3, Side::With), &moment(1), &moment(3)).expect("a period");
    assert_eq!((period.round, period.side), (3, Side::With));
    assert!((period.seconds - 2.0).abs() < 1e-9);
    let to = &period.received;
    assert_eq!((to.packets, to.bytes), (200, 300_000));
    // What was sent again is not payload; the datagram is.
    let goodput = 2 * (89 * 1_400 + 1_500 - 42);
    assert_eq!(to.goodput_bytes, Fact::Known(goodput));
    assert_eq!(to.tcp_segments, Fact::Known(198));
    assert_eq!(to.retransmitted_segments, Fact::Known(20));
    assert_eq!(to.drops, Fact::Known(6));
    let from = &period.sent;
    assert_eq!((from.packets, from.bytes), (100, 6_000));
    assert_eq!(from.goodput_bytes, Fact::Known(0));
    // Busy for a second of the two, of which offwatch's own time is none of the change's.
    assert_eq!(period.cpu.host_ns, Fact::Known(SECOND - 40_000_000));
    assert_eq!(period.cpu.softirq_ns, Fact::Known(SECOND / 5));
    assert_eq!(period.cpu.vm_ns, Fact::Known(1_000));
    assert_eq!(period.cpu.vcpu_ns, Fact::Known(600));
    assert_eq!(period.cpu.vhost_ns.reason(), Some("it has none"));
    assert_eq!(
        period.software_segments.reason(),
        Some("software work cannot be seen")
    );
    let rate = rate(&moment(1).counts, &moment(3).counts).expect("a rate");
    assert_eq!(rate.goodput_per_s, Some(goodput as f64 / 2.0));
    assert!((rate.bytes_per_s - 153_000.0).abs() < 1e-6);
}

#[test]
fn what_the_capture_lost_is_no_goodput() {
    let (before, mut now) = (moment(1), moment(3));
    if let Some(Fact::Known(captured)) = now.counts.captured.get_mut(&TAP) {
        captured.lost_frames = 5;
    }
    let period = period((1, Side::Without), &before, &now).expect("a period");
    let reason = period.received.goodput_bytes.reason();
    assert_eq!(reason, Some("the capture lost 5 frames"));
    assert_eq!(
        period.received.bytes, 300_000,
        "which is known all the same"
    );
    let rate = rate(&before.counts, &now.counts).expect("a rate");
    assert_eq!(rate.goodput_per_s, None);
}

#[test]
fn features_that_changed_meanwhile_make_no_period() {
    let changes = |count| Offloads {
        features_changed: Fact::Known(count),
        ..Offloads::default()
    };
    let (mut before, mut now) = (moment(1), moment(3));
    edit(&mut before, |tap| tap.offloads = Arc::new(changes(4)));
    edit(&mut now, |tap| tap.offloads = Arc::new(changes(6)));
    let because = period((1, Side::With), &before, &now).expect_err("a change");
    assert!(
        because.starts_with("features of vnet0 were changed"),
        "{because}"
    );
    edit(&mut now, |tap| tap.offloads = Arc::new(changes(4)));
    assert!(period((1, Side::With), &before, &now).is_ok());
}

#[test]
fn an_interface_that_is_gone_makes_no_period() {
    let (before, mut now) = (moment(1), moment(3));
    now.counts
        .counters
        .insert(TAP, Fact::unavailable("its counters cannot be read: gone"));
    let because = period((1, Side::With), &before, &now).expect_err("gone");
    assert_eq!(because, "its counters cannot be read: gone");
}

#[test]
fn headers_that_a_cut_adds_are_no_payload() {
    let udp = TcpCount::default();
    // 40 datagrams of 400 bytes as one frame, and as 40.
    assert_eq!(other_payload(1, 42 + 40 * 400, &udp), 16_000);
    assert_eq!(other_payload(40, 40 * 442, &udp), 16_000);
    // 40 segments of 1,448 bytes that GRO merged to one frame before it was captured.
    let merged = TcpCount {
        frames: 1,
        frame_bytes: 66 + 40 * 1_448,
        ..TcpCount::default()
    };
    assert_eq!(other_payload(40, 40 * (66 + 1_448), &merged), 0);
}
