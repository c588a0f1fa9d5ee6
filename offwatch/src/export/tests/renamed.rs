//! Interfaces that come to labels of others.

use super::*;

/// A tap with such a name, and as many GSO frames as others to it.
fn named(number: u32, dev: &str, frames: u64) -> Interface {
    let mut tap = tap(number, frames);
    tap.dev = dev.into();
    let Counters::Counted(slot) = &mut tap.counters else {
        unreachable!("it is counted");
    };
    Arc::make_mut(slot).egress.gso_sizes[gso_size_bucket(1448)] = frames;
    tap
}

#[test]
fn names_that_are_swapped_begin_anew() {
    let mut exporter = exporter(0, Key::Cost);
    let vms = || vec![vm("web", &["q1"]), vm("db", &["q2"])];
    let mut told = |second, interfaces, vms| {
        series(exporter.advance(&sample(second, interfaces, vms), None, None))
    };
    told(1, vec![named(1, "q1", 10), named(2, "q2", 5_000)], vms());
    let swapped = |more: u64| vec![named(1, "q2", 10 + more), named(2, "q1", 5_000 + more)];
    let received = |vm: &str, dev: &str| {
        format!("offwatch_vm_receive_packets_total{{vm=\"{vm}\",dev=\"{dev}\"}}")
    };
    let sizes = |vm: &str, dev: &str| {
        format!("offwatch_vm_receive_gso_size_bytes_count{{vm=\"{vm}\",dev=\"{dev}\"}}")
    };
    for (second, more, expected, expected_sizes) in
        [(2, 3, "0", "absent"), (3, 7, "4", "4"), (4, 9, "6", "6")]
    {
        let now = told(second, swapped(more), vms());
        for (vm, dev) in [("web", "q1"), ("db", "q2")] {
            assert_eq!(value(&now, &received(vm, dev)), expected, "{vm}, {second}");
            assert_eq!(
                value(&now, &sizes(vm, dev)),
                expected_sizes,
                "{vm}, {second}"
            );
        }
        let all = "offwatch_host_vm_receive_packets_total";
        assert_eq!(
            value(&now, all),
            (5_010 + 2 * more).to_string(),
            "sums go on"
        );
    }
    // Away from its VM: the host has sent seven frames more to it.
    let renamed = vec![named(1, "zz", 19)];
    let now = told(5, renamed, vec![vm("db", &["q2"])]);
    let sent = "offwatch_interface_transmit_packets_total{dev=\"zz\"}";
    assert_eq!(value(&now, sent), "0");
    let now = told(6, vec![named(1, "zz", 26)], vec![vm("db", &["q2"])]);
    assert_eq!(value(&now, sent), "7");
}
