//! What is told of the machine, and of advice before there is any.

use super::*;
use crate::sample::{DiskStats, Node, Vcpu, VcpuState};

#[test]
fn what_a_vm_and_its_host_have_is_told() {
    let vcpu = |state| Vcpu {
        state,
        ..Vcpu::default()
    };
    let disk = |read, written| DiskStats {
        read_bytes: Some(read),
        write_bytes: Some(written),
        ..DiskStats::default()
    };
    let mut web = vm("web", &[]);
    web.stats = Some(Arc::new(VmStats {
        monotonic_ns: 5 * SECOND_NS,
        vcpus: Some(
            [VcpuState::Running, VcpuState::Blocked, VcpuState::Offline]
                .map(vcpu)
                .into(),
        ),
        memory_kib: Some(1024),
        memory_max_kib: Some(2048),
        disks: Some(vec![disk(7, 70), disk(5, 50)]),
        ..VmStats::default()
    }));
    let mut told = Sample::clone(&sample(9, Vec::new(), vec![web, vm("db", &[])]));
    told.time_unix_ms = 1_700_000_000_250;
    told.host.online_cpus = 4;
    told.host.node = Some(Arc::new(Node {
        memory_kib: 8_000,
        ..Node::default()
    }));
    let series = series(exporter(0, Key::Cost).advance(&Arc::new(told), None, None));
    for (name, expected) in [
        ("offwatch_vm_vcpus{vm=\"web\"}", "2"),
        ("offwatch_vm_vcpus{vm=\"db\"}", "absent"),
        ("offwatch_vm_memory_bytes{vm=\"web\"}", "1048576"),
        ("offwatch_vm_memory_maximum_bytes{vm=\"web\"}", "2097152"),
        ("offwatch_vm_memory_maximum_bytes{vm=\"db\"}", "absent"),
        ("offwatch_vm_disk_read_bytes_total{vm=\"web\"}", "12"),
        ("offwatch_vm_disk_write_bytes_total{vm=\"web\"}", "120"),
        ("offwatch_vm_disk_read_requests_total{vm=\"web\"}", "absent"),
        ("offwatch_host_online_cpus", "4"),
        ("offwatch_host_memory_bytes", "8192000"),
        ("offwatch_sample_timestamp_seconds", "1700000000.25"),
        // Told four seconds earlier.
        ("offwatch_vm_statistics_timestamp_seconds", "1699999996.25"),
    ] {
        assert_eq!(value(&series, name), expected, "{name}");
    }
}

#[test]
fn advice_is_counted_from_the_start_where_it_is_on() {
    let sample = sample(1, Vec::new(), Vec::new());
    let count = "offwatch_advice_evaluations_total";
    let before = series(exporter(0, Key::Cost).advance(&sample, Some(&Arc::default()), None));
    assert_eq!(value(&before, count), "0");
    for name in [
        "offwatch_advice_window_seconds",
        "offwatch_advice_last_evaluation_timestamp_seconds",
    ] {
        assert_eq!(value(&before, name), "absent", "there was no evaluation");
    }
    let off = series(exporter(0, Key::Cost).advance(&sample, None, None));
    assert_eq!(value(&off, count), "absent", "--no-advice");
}
