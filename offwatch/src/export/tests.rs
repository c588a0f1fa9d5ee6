//! Snapshots of samples that are made by hand, and how they are written.

use std::{collections::BTreeMap, sync::Arc};

use offwatch_common::{Slot, histogram::gso_size_bucket, kind};

use super::{Exporter, Exposition, Format, Snapshot, Wanted};
use crate::{
    filter::Filter,
    rank::Key,
    sample::{Counters, Hook, Interface, Kind, Nic, Sample, Vm, VmState, VmStats},
};

mod machine;
mod renamed;

const SECOND_NS: u64 = 1_000_000_000;

/// A tap with so many frames of 100 bytes to it, and half as many from it.
fn tap(number: u32, frames: u64) -> Interface {
    let mut slot = Slot::default();
    let count = &mut slot.egress.kinds[kind::PLAIN];
    (count.packets, count.bytes) = (frames, 100 * frames);
    let count = &mut slot.ingress.kinds[kind::PLAIN];
    (count.packets, count.bytes) = (frames / 2, 50 * frames);
    Interface {
        dev: format!("tap{number}").into(),
        ifindex: number,
        generation: u64::from(number),
        kind: Kind::Tap,
        counters: Counters::Counted(slot.into()),
        ..Interface::default()
    }
}

fn vm(name: &str, devs: &[&str]) -> Vm {
    let nics = devs.iter().map(|dev| Nic {
        dev: Some((*dev).to_owned()),
        backend: "tap".into(),
        ..Nic::default()
    });
    Vm {
        name: name.into(),
        state: VmState::Running,
        nics: Arc::new(nics.collect()),
        ..Vm::default()
    }
}

fn sample(second: u64, interfaces: Vec<Interface>, vms: Vec<Vm>) -> Arc<Sample> {
    Arc::new(Sample {
        monotonic_ns: second * SECOND_NS,
        interfaces: interfaces.into_iter().map(Arc::new).collect(),
        vms,
        ..Sample::default()
    })
}

fn exporter(top: usize, key: Key) -> Exporter {
    Exporter::new(Wanted {
        filter: Filter::new(&[], &[]).expect("no pattern"),
        top,
        key,
    })
}

fn written(snapshot: Snapshot, format: Format) -> String {
    let bytes: Vec<u8> = Exposition::new(Arc::new(snapshot), format)
        .flatten()
        .collect();
    String::from_utf8(bytes).expect("UTF-8")
}

/// Series with their values; none is there twice.
fn series(snapshot: Snapshot) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let text = written(snapshot, Format::Text);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let before = all.insert(series.to_owned(), value.to_owned());
        assert_eq!(before, None, "twice: {series}");
    }
    all
}

fn value<'a>(series: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    series.get(name).map_or("absent", String::as_str)
}

#[test]
fn a_card_is_told_from_the_guests_side_and_others_from_the_hosts() {
    let sample = sample(1, vec![tap(1, 10), tap(2, 20)], vec![vm("web", &["tap1"])]);
    let series = series(exporter(0, Key::Cost).advance(&sample, None, None));
    for (name, expected) in [
        (
            "offwatch_vm_receive_packets_total{vm=\"web\",dev=\"tap1\"}",
            "10",
        ),
        (
            "offwatch_vm_transmit_bytes_total{vm=\"web\",dev=\"tap1\"}",
            "500",
        ),
        (
            "offwatch_interface_receive_packets_total{dev=\"tap2\"}",
            "10",
        ),
        (
            "offwatch_interface_transmit_bytes_total{dev=\"tap2\"}",
            "2000",
        ),
        ("offwatch_host_vm_receive_packets_total", "10"),
        ("offwatch_host_interface_transmit_packets_total", "20"),
        (
            "offwatch_interface_info{dev=\"tap2\",kind=\"tap\",bridge=\"\",unowned=\"true\"}",
            "1",
        ),
        ("offwatch_vm_state{vm=\"web\",state=\"running\"}", "1"),
    ] {
        assert_eq!(value(&series, name), expected, "{name}");
    }
}

#[test]
fn sums_keep_what_is_gone_and_series_do_not() {
    let mut exporter = exporter(0, Key::Cost);
    let both = vec![vm("web", &["tap1"]), vm("db", &["tap2"])];
    let first = sample(1, vec![tap(1, 10), tap(2, 20)], both);
    exporter.advance(&first, None, None);
    // One is gone, and another one has its ifindex and name.
    let mut again = tap(2, 5);
    again.generation = 77;
    let next = sample(2, vec![again], vec![vm("db", &["tap2"])]);
    let series = series(exporter.advance(&next, None, None));
    assert_eq!(
        value(&series, "offwatch_host_vm_receive_packets_total"),
        "35"
    );
    let of_gone = |name: &String| name.contains("web") || name.contains("tap1");
    assert!(!series.keys().any(of_gone), "{series:?}");
    let now = "offwatch_vm_receive_packets_total{vm=\"db\",dev=\"tap2\"}";
    assert_eq!(value(&series, now), "5");
}

#[test]
fn work_that_is_derived_never_falls() {
    let mut exporter = exporter(0, Key::Cost);
    let mut seen = Vec::new();
    for (second, segments) in [(1, 90), (2, 60), (3, 91)] {
        let mut tap = tap(1, 10);
        let Counters::Counted(slot) = &mut tap.counters else {
            unreachable!("it is counted");
        };
        let work = &mut Arc::make_mut(slot).egress_work;
        (work.gso_segments_gone, work.single_frames_added) = (segments, segments);
        let sample = sample(second, vec![tap], vec![vm("web", &["tap1"])]);
        let series = series(exporter.advance(&sample, None, None));
        let name = "offwatch_vm_software_segments_total{vm=\"web\",dev=\"tap1\"}";
        let sum = "offwatch_host_software_segments_total";
        seen.push((
            value(&series, name).to_owned(),
            value(&series, sum).to_owned(),
        ));
    }
    let expected = ["90", "90", "91"].map(|value| (value.to_owned(), value.to_owned()));
    assert_eq!(seen, expected);
}

/// A frame that a full ring refuses is counted until it is dropped.
#[test]
fn frames_that_were_taken_back_never_let_a_counter_fall() {
    let mut exporter = exporter(0, Key::Cost);
    let mut seen = Vec::new();
    for (second, frames, drops) in [(1, 11, 0), (2, 10, 8), (3, 12, 8), (4, 11, 9), (5, 14, 9)] {
        let mut tap = tap(1, frames);
        let Counters::Counted(slot) = &mut tap.counters else {
            unreachable!("it is counted");
        };
        let sent = &mut Arc::make_mut(slot).egress;
        sent.drop_packets = drops;
        sent.kinds[kind::GSO] = sent.kinds[kind::PLAIN];
        sent.gso_sizes[2] = frames;
        let sample = sample(second, vec![tap], vec![vm("web", &["tap1"])]);
        let series = series(exporter.advance(&sample, None, None));
        let names = [
            "offwatch_vm_receive_packets_total{vm=\"web\",dev=\"tap1\"}",
            "offwatch_vm_receive_gso_size_bytes_count{vm=\"web\",dev=\"tap1\"}",
            "offwatch_host_vm_receive_packets_total",
        ];
        seen.push(names.map(|name| value(&series, name).parse::<u64>().expect("a number")));
    }
    let expected = [11, 11, 12, 12, 14].map(|frames| [2 * frames, frames, 2 * frames]);
    assert_eq!(seen, expected);
}

#[test]
fn what_cannot_be_seen_is_absent_with_its_reason() {
    let mut hidden = Sample::clone(&sample(
        1,
        vec![tap(1, 10)],
        vec![vm("web", &["tap1", "tap9"]), vm("off", &["tap8"])],
    ));
    hidden.host.hook = Hook::Tc;
    hidden.host.notes = vec!["libvirt does not answer".into(); 2];
    hidden.vms[1].state = VmState::Shutoff;
    let series = series(exporter(0, Key::Cost).advance(&Arc::new(hidden), None, None));
    for absent in [
        "offwatch_vm_software_segments_total",
        "offwatch_vm_receive_drops_total",
        "offwatch_vm_drops_by_class_total",
        "offwatch_vm_segmentation_seconds_total",
        "offwatch_host_software_segments_total",
        "offwatch_host_vm_receive_drops_total",
        "offwatch_vm_cpu_seconds_total",
        "offwatch_vm_receive_gso_size_bytes",
    ] {
        let found = series.keys().find(|name| name.starts_with(absent));
        assert_eq!(found, None);
    }
    for told in [
        "offwatch_unavailable{what=\"software_work\",",
        "offwatch_unavailable{what=\"drops\",",
        "offwatch_unavailable{what=\"note\",reason=\"libvirt does not answer\"}",
        "offwatch_vm_unobservable{vm=\"web\",dev=\"tap9\",reason=\"tap9 is not in the observed",
    ] {
        assert!(series.keys().any(|name| name.starts_with(told)), "{told}");
    }
    let of_off = |name: &String| name.starts_with("offwatch_vm_unobservable{vm=\"off\"");
    assert!(!series.keys().any(of_off), "it is off");
}

#[test]
fn two_claim_one_interface_or_one_name() {
    let vms = vec![
        vm("web", &["tap1", "tap1"]),
        vm("web", &["tap1"]),
        vm("web", &["tap2"]),
    ];
    let sample = sample(1, vec![tap(1, 10), tap(2, 20)], vms);
    // That no series is there twice is asserted in there.
    let series = series(exporter(0, Key::Cost).advance(&sample, None, None));
    assert_eq!(
        value(&series, "offwatch_host_vm_receive_packets_total"),
        "30"
    );
    let second = "offwatch_vm_receive_packets_total{vm=\"web #3\",dev=\"tap2\"}";
    assert_eq!(value(&series, second), "20");
}

#[test]
fn cards_that_cannot_be_told_apart_are_counted() {
    let mut vm = vm("web", &[]);
    let nic = Nic {
        backend: "vhost-user".into(),
        unobservable: Some("its frames bypass the kernel".into()),
        ..Nic::default()
    };
    vm.nics = Arc::new(vec![nic.clone(), nic]);
    let sample = sample(1, Vec::new(), vec![vm]);
    let series = series(exporter(0, Key::Cost).advance(&sample, None, None));
    let name =
        "offwatch_vm_unobservable{vm=\"web\",dev=\"\",reason=\"its frames bypass the kernel\"}";
    assert_eq!(value(&series, name), "2");
}

#[test]
fn top_bounds_all_series_of_interfaces_and_vms() {
    let cards = |frames: fn(u32) -> u64| (1..=20).map(move |at| tap(at, frames(at))).collect();
    let vms = || -> Vec<Vm> {
        let with = (1..=15).map(|at| vm(&format!("vm{at}"), &[&format!("tap{at}")]));
        let without = (16..=40).map(|at| vm(&format!("vm{at}"), &[]));
        with.chain(without).collect()
    };
    let mut exporter = exporter(5, Key::Packets);
    exporter.advance(&sample(1, cards(|_| 0), vms()), None, None);
    let busy: Vec<Interface> = cards(|at| u64::from(at % 7) * 1000);
    let series = series(exporter.advance(&sample(2, busy, vms()), None, None));
    let devs: Vec<&str> = series
        .keys()
        .filter_map(|name| {
            let labels = name.split_once("_receive_packets_total{")?.1;
            Some(labels.split_once("dev=\"")?.1.trim_end_matches("\"}"))
        })
        .collect();
    // Those with 6000 (6, 13, 20) and with 5000 (5, 12, 19), of equals by name.
    assert_eq!(devs.len(), 5, "{devs:?}");
    for most in ["tap6", "tap13", "tap20"] {
        assert!(devs.contains(&most), "{most} in {devs:?}");
    }
    assert_eq!(value(&series, "offwatch_interfaces_left_out"), "15");
    assert_eq!(value(&series, "offwatch_interfaces"), "20");
    assert_eq!(value(&series, "offwatch_vms"), "40");
    let infos = series
        .keys()
        .filter(|name| name.starts_with("offwatch_vm_info{"));
    assert_eq!(infos.count(), 5);
    // From the guests' side: all that was sent to the taps of VMs.
    let all: u64 = (1..=15).map(|at| u64::from(at % 7_u32) * 1000).sum();
    let sum = "offwatch_host_vm_receive_packets_total";
    assert_eq!(value(&series, sum), all.to_string());
}

#[test]
fn sizes_of_segments_are_cumulative_and_exact() {
    let mut tap = tap(1, 0);
    let Counters::Counted(slot) = &mut tap.counters else {
        unreachable!("it is counted");
    };
    let sizes = &mut Arc::make_mut(slot).egress.gso_sizes;
    for (size, frames) in [
        (500, 1),
        (1023, 2),
        (1024, 4),
        (1448, 8),
        (8948, 16),
        (60_000, 32),
    ] {
        sizes[gso_size_bucket(size)] += frames;
    }
    let sample = sample(1, vec![tap], vec![vm("web", &["tap1"])]);
    let snapshot = exporter(0, Key::Cost).advance(&sample, None, None);
    let open = written(snapshot.clone(), Format::OpenMetrics);
    assert!(!open.contains("_gso_size_bytes_count"), "no sum is known");
    let series = series(snapshot);
    let name = |part: &str, le: &str| {
        format!("offwatch_vm_receive_gso_size_bytes_{part}{{vm=\"web\",dev=\"tap1\"{le}}}")
    };
    for (le, frames) in [
        ("511.0", "1"),
        ("1023.0", "3"),
        ("1279.0", "7"),
        ("1535.0", "15"),
        ("2047.0", "15"),
        ("8191.0", "15"),
        ("10239.0", "31"),
        ("16383.0", "31"),
        ("+Inf", "63"),
    ] {
        let le = format!(",le=\"{le}\"");
        assert_eq!(value(&series, &name("bucket", &le)), frames, "{le}");
    }
    assert_eq!(value(&series, &name("count", "")), "63");
    let of_sent = |name: &String| name.starts_with("offwatch_vm_transmit_gso_size_bytes");
    assert!(!series.keys().any(of_sent), "no GSO frame was sent");
}

#[test]
fn bounds_are_ends_of_buckets() {
    for bound in super::snapshot::GSO_SIZE_BOUNDS {
        let bucket = gso_size_bucket(bound);
        assert_eq!(gso_size_bucket(bound + 1), bucket + 1, "{bound}");
    }
}

#[test]
fn names_are_escaped() {
    let mut tap = tap(1, 7);
    tap.dev = "t\"1".into();
    let mut vm = vm("a\"b\\c\nd", &["t\"1"]);
    vm.stats = Some(Arc::new(VmStats {
        cpu_time_ns: Some(1_500_000_000),
        ..VmStats::default()
    }));
    let sample = sample(1, vec![tap], vec![vm]);
    let text = written(
        exporter(0, Key::Cost).advance(&sample, None, None),
        Format::Text,
    );
    let labels = "{vm=\"a\\\"b\\\\c\\nd\",dev=\"t\\\"1\"}";
    let expected = format!("\noffwatch_vm_receive_packets_total{labels} 7\n");
    assert!(text.contains(&expected), "{text}");
    assert!(text.contains("offwatch_vm_cpu_seconds_total{vm=\"a\\\"b\\\\c\\nd\"} 1.5\n"));
}

#[test]
fn chunks_are_short_and_make_the_whole() {
    let snapshot = Arc::new(Snapshot::of_cards(3000));
    for format in [Format::Text, Format::OpenMetrics] {
        let mut lines = 0;
        let mut length = 0;
        for chunk in Exposition::new(Arc::clone(&snapshot), format) {
            assert!(
                !chunk.is_empty() && chunk.len() <= 64 * 1024,
                "{}",
                chunk.len()
            );
            assert_eq!(chunk.last(), Some(&b'\n'), "whole lines");
            lines += chunk.iter().filter(|byte| **byte == b'\n').count();
            length += chunk.len();
        }
        assert!(
            length > 1_000_000 && lines > 3000 * 20,
            "{length} bytes, {lines} lines"
        );
    }
}
