use std::sync::Arc;

use super::*;
use crate::sample::{Host, Node, PcpuTime, Sample, StatsSource, Vcpu, Vm};

const SECOND: u64 = 1_000_000_000;

fn stats(seconds: u64, start: u64, cpu_seconds: u64) -> VmStats {
    VmStats {
        monotonic_ns: seconds * SECOND,
        start,
        cpu_time_ns: Some(cpu_seconds * SECOND),
        memory_kib: Some(256),
        ..VmStats::default()
    }
}

fn vm(uuid: &str, stats: VmStats) -> Vm {
    Vm {
        name: "vm".into(),
        uuid: Some(uuid.into()),
        id: Some(1),
        stats: Some(Arc::new(stats)),
        ..Vm::default()
    }
}

fn sample(seconds: u64, vms: Vec<Vm>) -> Sample {
    Sample {
        monotonic_ns: seconds * SECOND,
        host: Host {
            node: Some(Arc::new(Node {
                online_cpus: 2,
                memory_kib: 1000,
                ..Node::default()
            })),
            ..Host::default()
        },
        vms,
        ..Sample::default()
    }
}

fn disk(name: &str, reads: u64) -> DiskStats {
    DiskStats {
        name: name.into(),
        read_requests: Some(reads),
        ..DiskStats::default()
    }
}

/// The usage of the last sample's first VM.
fn usage(samples: &[Sample]) -> Usage {
    let mut history = UsageHistory::default();
    samples.iter().for_each(|sample| history.advance(sample));
    let last = samples.last().unwrap();
    let (_, usage) = history.usages(&last.vms).next().unwrap();
    usage.unwrap().clone()
}

#[test]
fn cpu_is_a_share_of_the_whole_host() {
    let used = usage(&[
        sample(10, vec![vm("a", stats(10, 1, 5))]),
        sample(13, vec![vm("a", stats(13, 1, 8))]),
    ]);
    assert_eq!(used.cpu_time_ns(), Some(3 * SECOND));
    assert_eq!(used.cpu_percent(), Some(50.0));
    assert_eq!(used.memory_percent(), Some(25));
}

#[test]
fn a_first_sample_has_totals_alone() {
    let used = usage(&[sample(10, vec![vm("a", stats(10, 1, 5))])]);
    assert_eq!((used.interval_ns(), used.cpu_percent()), (None, None));
    assert_eq!(used.now.cpu_time_ns, Some(5 * SECOND));
}

#[test]
fn only_the_same_start_of_the_same_vm_is_compared() {
    let before = sample(10, vec![vm("a", stats(10, 1, 5)), vm("b", stats(10, 2, 7))]);
    // Another order: by UUID, not by position, and both have one name.
    let swapped = sample(11, vec![vm("b", stats(11, 2, 8)), vm("a", stats(11, 1, 9))]);
    assert_eq!(
        usage(&[before.clone(), swapped]).cpu_time_ns(),
        Some(SECOND)
    );
    // Started again in between.
    let again = sample(11, vec![vm("a", stats(11, 3, 9))]);
    assert_eq!(usage(&[before.clone(), again]).before, None);
    // Told by another source, which counts from elsewhere.
    let by_process = VmStats {
        source: StatsSource::Proc,
        ..stats(11, 1, 9)
    };
    let other = sample(11, vec![vm("a", by_process)]);
    assert_eq!(usage(&[before.clone(), other]).before, None);
    // Gone for a while.
    let away = sample(11, vec![vm("b", stats(11, 2, 8))]);
    let back = sample(12, vec![vm("a", stats(12, 1, 9))]);
    assert_eq!(usage(&[before, away, back]).before, None);
}

#[test]
fn without_an_answer_the_last_figures_stay_and_grow_older() {
    let first = sample(10, vec![vm("a", stats(10, 1, 5))]);
    let second = sample(13, vec![vm("a", stats(13, 1, 8))]);
    let mut silent = second.clone();
    silent.monotonic_ns = 17 * SECOND;
    let samples = [first, second, silent];
    let used = usage(&samples);
    assert_eq!(used.cpu_percent(), Some(50.0));
    assert_eq!((used.age_ns, used.is_stale), (4 * SECOND, true));
    // Nothing is counted twice when it answers again.
    let answered = sample(19, vec![vm("a", stats(19, 1, 9))]);
    let used = usage(&[&samples[..], &[answered]].concat());
    assert_eq!(used.cpu_time_ns(), Some(SECOND));
    assert_eq!((used.interval_ns(), used.age_ns), (Some(6 * SECOND), 0));
    assert!(!used.is_stale);
}

#[test]
fn devices_are_joined_by_name_and_summed() {
    let with = |seconds, disks| VmStats {
        disks: Some(disks),
        ..stats(seconds, 1, 0)
    };
    let unplugged = usage(&[
        sample(
            1,
            vec![vm("a", with(1, vec![disk("vda", 10), disk("vdb", 7)]))],
        ),
        sample(
            2,
            vec![vm("a", with(2, vec![disk("vdc", 5), disk("vda", 14)]))],
        ),
    ]);
    let disks: Vec<_> = unplugged.disks().collect();
    assert_eq!(disks.len(), 1, "one was there at both ends: {disks:?}");
    assert_eq!(disks[0].0, "vda");
    let sum = unplugged.disk().unwrap();
    assert_eq!((sum.read_requests, sum.write_requests), (Some(4), None));

    let both = usage(&[
        sample(
            1,
            vec![vm("a", with(1, vec![disk("vda", 10), disk("vdb", 7)]))],
        ),
        sample(
            2,
            vec![vm("a", with(2, vec![disk("vda", 11), disk("vdb", 9)]))],
        ),
    ]);
    assert_eq!(both.disk().unwrap().read_requests, Some(3));
    // A counter that fell says nothing, and the other one still does.
    let fallen = usage(&[
        sample(
            1,
            vec![vm("a", with(1, vec![disk("vda", 10), disk("vdb", 7)]))],
        ),
        sample(
            2,
            vec![vm("a", with(2, vec![disk("vda", 1), disk("vdb", 9)]))],
        ),
    ]);
    assert_eq!(fallen.disk().unwrap().read_requests, Some(2));
    let none = usage(&[
        sample(1, vec![vm("a", with(1, Vec::new()))]),
        sample(2, vec![vm("a", with(2, Vec::new()))]),
    ]);
    assert_eq!(none.disk(), None);
}

fn nic(generation: Option<u64>, rx_bytes: u64) -> NicStats {
    NicStats {
        name: "tap0".into(),
        generation,
        rx_bytes: Some(rx_bytes),
        ..NicStats::default()
    }
}

#[test]
fn cards_are_compared_with_those_of_the_same_counter() {
    let with = |seconds, nic| VmStats {
        nics: Some(vec![nic]),
        ..stats(seconds, 1, 0)
    };
    let received = |before, now| {
        let used = usage(&[
            sample(1, vec![vm("a", with(1, before))]),
            sample(2, vec![vm("a", with(2, now))]),
        ]);
        used.nic().and_then(|delta| delta.rx_bytes)
    };
    assert_eq!(received(nic(None, 5), nic(None, 8)), Some(3));
    assert_eq!(received(nic(Some(4), 5), nic(Some(4), 8)), Some(3));
    // Another tap of the same name.
    assert_eq!(received(nic(Some(4), 5), nic(Some(5), 8)), None);
    // libvirt counts from elsewhere than offwatch.
    assert_eq!(received(nic(None, 5), nic(Some(5), 8)), None);
    // A frame that a full ring refuses is counted until it is dropped.
    assert_eq!(received(nic(Some(4), 8), nic(Some(4), 5)), Some(0));
    assert_eq!(received(nic(None, 8), nic(None, 5)), None);
    assert_eq!(received(nic(Some(4), 5), nic(None, 8)), None);
}

#[test]
fn a_physical_cpu_by_libvirts_figures_or_by_where_virtual_cpus_stayed() {
    let vcpu = |number, pcpu, ns| Vcpu {
        number,
        pcpu: Some(pcpu),
        time_ns: Some(ns),
        ..Vcpu::default()
    };
    let with = |seconds, vcpus, pcpus| VmStats {
        vcpus: Some(vcpus),
        pcpus,
        ..stats(seconds, 1, 0)
    };
    let moved = usage(&[
        sample(
            1,
            vec![vm("a", with(1, vec![vcpu(0, 3, 10), vcpu(1, 3, 10)], None))],
        ),
        sample(
            2,
            vec![vm("a", with(2, vec![vcpu(0, 3, 17), vcpu(1, 2, 90)], None))],
        ),
    ]);
    let pcpu = moved.pcpu(3);
    assert_eq!((pcpu.time_ns, pcpu.vcpu_time_ns), (None, Some(7)));
    assert!(pcpu.is_approximate);
    assert_eq!(moved.pcpu(2).vcpu_time_ns, None);
    let times = |all, vcpus| {
        Some(vec![PcpuTime {
            number: 3,
            time_ns: Some(all),
            vcpu_time_ns: Some(vcpus),
        }])
    };
    let told = usage(&[
        sample(1, vec![vm("a", with(1, Vec::new(), times(10, 5)))]),
        sample(2, vec![vm("a", with(2, Vec::new(), times(30, 8)))]),
    ]);
    let expected = PcpuDelta {
        time_ns: Some(20),
        vcpu_time_ns: Some(3),
        is_approximate: false,
    };
    assert_eq!(told.pcpu(3), expected);
}

#[test]
fn every_null_in_json_has_its_reason() {
    let bare = VmStats {
        monotonic_ns: SECOND,
        ..VmStats::default()
    };
    for stats in [bare, stats(1, 1, 1)] {
        let mut sample = sample(1, vec![vm("a", stats)]);
        sample.host.node = None;
        let json = serde_json::to_value(usage(&[sample])).unwrap();
        for (field, value) in json.as_object().unwrap() {
            let reason = &json["unavailable"][field];
            assert_eq!(value.is_null(), reason.is_string(), "{field}: {json}");
        }
    }
}
