use super::*;
use crate::sample::{Counters, Interface, Nic, VmStats};

const SECOND: u64 = 1_000_000_000;

/// A tap of a VM, after so many seconds: each has 100 frames of 1,000 bytes to it, one
/// more is dropped, and the VM runs for half of it.
fn reading(seconds: u64) -> Reading {
    let kernel = KernelCounters {
        monotonic_ns: seconds * SECOND,
        tx_packets: 100 * seconds,
        tx_bytes: 100_000 * seconds,
        tx_dropped: seconds,
        ..KernelCounters::default()
    };
    let tap = Interface {
        dev: "vnet0".into(),
        ifindex: 7,
        generation: 1,
        kernel: Fact::Known(kernel),
        counters: Counters::Unavailable("BPF is not permitted".into()),
        ..Interface::default()
    };
    let vm = Vm {
        name: "web".into(),
        pid: Some(9),
        nics: Arc::new(vec![Nic {
            dev: Some("vnet0".into()),
            ..Nic::default()
        }]),
        vhost_cpu_ns: Some(seconds * SECOND / 4),
        stats: Some(Arc::new(VmStats {
            monotonic_ns: seconds * SECOND,
            cpu_time_ns: Some(seconds * SECOND / 2),
            ..VmStats::default()
        })),
        ..Vm::default()
    };
    let captured = Captured {
        egress: TcpCount {
            segments: 100 * seconds,
            ..TcpCount::default()
        },
        flows: [(1, 90_000 * seconds), (2, 5)].into(),
        ..Captured::default()
    };
    Reading {
        sample: Arc::new(Sample {
            monotonic_ns: seconds * SECOND,
            interfaces: vec![Arc::new(tap)],
            vms: vec![vm],
            ..Sample::default()
        }),
        captured: [(7, Ok(captured))].into(),
        cpu: Ok(CpuTimes {
            softirq_ns: seconds * 1000,
            ..CpuTimes::default()
        }),
    }
}

fn tap(window: &Window) -> &Figures {
    window.interfaces[&7].known().expect("measured")
}

#[test]
fn without_bpf_the_kernels_counters_are_enough() {
    let window = Window::between(&reading(3), &reading(5));
    let Figures { vm, egress, .. } = tap(&window);
    assert_eq!((window.seconds, vm.as_deref()), (2.0, Some("web")));
    assert_eq!((egress.packets, egress.bytes), (200, 200_000));
    assert_eq!(egress.drops, Fact::Known(2));
    assert_eq!(egress.tcp.known().map(|tcp| tcp.segments), Some(200));
    assert_eq!(tap(&window).checksum_drops.known(), None);
    let flows: HashMap<u64, u64> = [(1, 180_000)].into();
    assert_eq!(window.flows[&7], flows, "the other connection is idle");
    let web = &window.vms["web"];
    assert_eq!((&web.cpu_ns, web.bytes), (&Fact::Known(SECOND), 200_000));
    assert_eq!(web.vhost_ns, Fact::Known(SECOND / 2));
    assert_eq!(window.cpu.known().map(|cpu| cpu.softirq_ns), Some(2000));
}

#[test]
fn what_the_capture_lost_is_no_number() {
    let mut later = reading(5);
    let captured = later.captured.get_mut(&7).and_then(|it| it.as_mut().ok());
    captured.expect("captured").lost_frames = 3;
    let window = Window::between(&reading(3), &later);
    let reason = tap(&window).egress.tcp.reason();
    assert_eq!(reason, Some("the capture lost 3 frames"));
    assert_eq!(window.flows.get(&7), None);
    // What was lost before the window is not.
    let mut last = later.clone();
    last.sample = reading(6).sample;
    let window = Window::between(&later, &last);
    assert!(tap(&window).egress.tcp.known().is_some());
}

#[test]
fn what_was_not_read_again_is_stale() {
    let with = |change: fn(&mut Sample, &Sample)| {
        let (first, mut last) = (reading(3), reading(5));
        change(Arc::make_mut(&mut last.sample), &first.sample);
        Window::between(&first, &last)
    };
    let window = with(|last, first| last.interfaces.clone_from(&first.interfaces));
    let reason = window.interfaces[&7].reason().expect("nothing is known");
    assert!(
        reason.starts_with("the kernel's counters were not read again"),
        "{reason}"
    );
    let window = with(|last, first| last.vms[0].stats.clone_from(&first.vms[0].stats));
    let reason = window.vms["web"].cpu_ns.reason();
    assert_eq!(reason, Some("there is no newer answer of what the VM uses"));
    let window = with(|last, _| {
        let tap = Arc::make_mut(&mut last.interfaces[0]);
        tap.generation = 2;
    });
    let reason = window.interfaces[&7].reason();
    assert_eq!(reason, Some("it was made within the window"));
    let window = with(|last, _| {
        let stats = last.vms[0].stats.as_mut().expect("known");
        Arc::make_mut(stats).start = 1;
    });
    let reason = window.vms["web"].cpu_ns.reason();
    assert_eq!(reason, Some("the VM was started within the window"));
}
