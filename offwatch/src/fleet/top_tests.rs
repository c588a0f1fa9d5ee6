use super::*;
use crate::fleet::{
    answer::tests::{matrix, vector},
    hosts::Target,
    rows::{CARD_RATES, Rows},
    span::{SAMPLED, Spans},
};

const VMS: [&str; 4] = [
    "job=o,instance=a:1,vm=web,dev=t0",
    "job=o,instance=b:1,vm=web,dev=t0",
    "job=o,instance=b:1,vm=db,dev=t1",
    "job=o,instance=b:1,vm=new,dev=t2",
];

fn hosts() -> Vec<Host> {
    let host = |name: &str| Host {
        host: name.into(),
        target: Target::new("o", &format!("{name}:1")),
        ..Host::default()
    };
    let mut hosts = vec![host("a"), host("b")];
    let reason = ("drops".to_owned(), "no tracepoint".to_owned());
    hosts[1].cannot_see.extend([reason]);
    hosts
}

/// VMs with these rates, by the end of the counter's name.
fn vms(rates: &[(&str, [Option<f64>; 4])]) -> Vec<Vm> {
    let hosts = hosts();
    let mut rows = Rows::of(&hosts);
    let now = VMS.map(|vm| format!("__name__=offwatch_vm_receive_packets_total,{vm}"));
    let now: Vec<_> = now.iter().map(|labels| (&**labels, 1.0)).collect();
    rows.learn(&vector(&now).series);
    let clock = |host: &str| format!("__name__={SAMPLED},job=o,instance={host}:1");
    let stamps: &[(f64, f64)] = &[(0.5, 0.25), (15.5, 15.0), (28.5, 28.25)];
    let (a, b) = (clock("a"), clock("b"));
    let stamps = matrix(&[(&a, stamps), (&b, stamps)]);
    let mut spans = Spans::new(&[SAMPLED], &stamps.series);
    spans.learn(&matrix(&[(VMS[3], &[(28.5, 1.0)])]).series);
    rows.cover(&hosts, &spans);
    for (counter, values) in rates {
        let counter = format!("offwatch_vm_{counter}_total");
        let rate = CARD_RATES.into_iter().find(|(name, _)| *name == counter);
        let known = VMS.into_iter().zip(values);
        let known = known.filter_map(|(vm, value)| Some((vm, (*value)?)));
        let known: Vec<_> = known.collect();
        rows.card_rates(rate.expect("a counter"), &vector(&known).series, &spans);
    }
    rows.vms()
}

fn top(vms: Vec<Vm>, key: Key, is_reversed: bool, limit: usize) -> Top {
    let fleet = Fleet::new((0, "http://p:9090"), (hosts(), Vec::new()), &[]);
    Top::new(fleet, vms, Order { key, is_reversed }, limit, 120)
}

fn ranked(top: &Top) -> Vec<String> {
    let names = top.vms.iter();
    names
        .map(|vm| format!("{}/{}", top.fleet.names[vm.host], vm.name))
        .collect()
}

const PACKETS: [Option<f64>; 4] = [Some(5.0), Some(9.0), Some(7.0), None];

#[test]
fn vms_are_ranked_over_all_hosts() {
    let rates = [
        ("receive_packets", PACKETS),
        ("transmit_bytes", [Some(8.0), Some(1.0), None, None]),
    ];
    let by = |key, is_reversed, limit| ranked(&top(vms(&rates), key, is_reversed, limit));
    assert_eq!(
        by(Key::Packets, false, 0),
        ["b/web", "b/db", "a/web", "b/new"]
    );
    assert_eq!(
        by(Key::Packets, true, 0),
        ["a/web", "b/db", "b/web", "b/new"]
    );
    assert_eq!(by(Key::Packets, false, 2), ["b/web", "b/db"]);
    assert_eq!(by(Key::NetTx, false, 1), ["a/web"]);
    assert_eq!(by(Key::Name, false, 0), ["b/db", "b/new", "a/web", "b/web"]);
}

#[test]
fn costs_of_all_hosts_are_of_one_kind() {
    let segments = (
        "software_segments",
        [Some(100.0), Some(900.0), Some(0.0), None],
    );
    let mut rates = vec![("receive_packets", PACKETS), segments];
    // Only host a tells what it takes: 0.9 of a CPU is not less than 900 segments.
    let timed = |vm: &mut Vm, seconds| {
        let time = "offwatch_vm_segmentation_seconds_total";
        let place = CARD_RATES.into_iter().find(|(name, _)| *name == time);
        let (_, place) = place.expect("a counter");
        for card in vm.cards.values_mut() {
            *place(card) = Some(seconds);
        }
    };
    let mut vms_timed = vms(&rates);
    timed(&mut vms_timed[0], 0.9);
    let some = top(vms_timed.clone(), Key::Cost, false, 2);
    assert_eq!(ranked(&some), ["b/web", "a/web"]);
    assert!(
        some.text().contains("ranked by segments"),
        "{}",
        some.text()
    );
    vms_timed[1..].iter_mut().for_each(|vm| timed(vm, 0.1));
    let all = top(vms_timed, Key::Cost, false, 2);
    assert_eq!(ranked(&all)[0], "a/web");
    assert!(!all.text().contains("ranked by segments"));
    rates.clear();
    assert_eq!(top(vms(&rates), Key::Cost, false, 0).vms.len(), 4);
}

#[test]
fn the_table_is_that_of_top_with_the_host_in_front() {
    let rates = [
        ("receive_packets", PACKETS),
        ("transmit_packets", PACKETS),
        (
            "receive_bytes",
            [Some(1000.0), Some(125.0), Some(0.0), None],
        ),
        ("receive_drops", [Some(0.0), None, None, None]),
        ("transmit_drops", [Some(3.0), None, None, None]),
    ];
    let text = top(vms(&rates), Key::NetRx, false, 0).text();
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0].join(" "),
        "offwatch fleet top - 00:00:00 UTC - hosts: 2 - VMs: 4 of 4 - by netrx - over 2 min"
    );
    assert_eq!(lines[1][..4], ["HOST", "VM", "DEV", "RXbit/s"]);
    assert_eq!(lines[2][..7], ["a", "web", "t0", "8.00k", "-", "5", "5"]);
    assert_eq!(lines[2][lines[2].len() - 2..], ["3", "28s"]);
    assert_eq!(lines[0].last(), Some(&"min"));
    assert_eq!(lines[1].last(), Some(&"OVER"));
    assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
    assert_eq!(lines[3][..4], ["b", "web", "t0", "1.00k"]);
    assert_eq!(lines[5], [&["b", "new", "t2"][..], &["-"; 12]].concat());
    let notes = text.lines().skip(6).collect::<Vec<_>>();
    assert_eq!(
        notes,
        [
            "b, new t2: fewer than two scrapes of it in 2 min",
            "b: drops cannot be seen: no tracepoint"
        ]
    );
}

#[test]
fn null_has_a_reason_in_json() {
    let rates = [
        ("receive_packets", PACKETS),
        ("receive_bytes", [Some(0.0); 4]),
    ];
    let json = top(vms(&rates), Key::Packets, false, 0).json();
    assert_eq!(
        (&json["schema"], &json["vms_total"]),
        (&SCHEMA.into(), &4.into())
    );
    assert_eq!(json["is_partial"], false);
    let vm = &json["vms"][0];
    assert_eq!(
        (&vm["host"], &vm["instance"], &vm["vm"]),
        (&"b".into(), &"b:1".into(), &"web".into())
    );
    assert_eq!(vm["cpu_percent"], Value::Null);
    assert_eq!(vm["unavailable"]["cpu_percent"], "not told by its host");
    let card = &vm["interfaces"][0];
    assert_eq!(card["to_vm"]["packets_per_s"], 9.0);
    assert_eq!(card["to_vm"]["bytes_per_s"], 0.0, "0 is not null");
    assert_eq!(card["to_vm"]["unavailable"]["drops_per_s"], "no tracepoint");
    let untold = "not told by its host, or not twice in 2 min";
    assert_eq!(
        card["caused"]["unavailable"]["software_segments_per_s"],
        untold
    );
    let new = &json["vms"][3]["interfaces"][0];
    assert_eq!(
        new["unavailable"]["to_vm"],
        "fewer than two scrapes of it in 2 min"
    );
    assert_eq!(new["to_vm"], Value::Null);
}

#[test]
fn what_vms_are_ranked_by_is_shown_and_missed_where_it_is_not_told() {
    let mut vms = vms(&[("receive_packets", PACKETS)]);
    vms[0].memory_bytes = Some(512.0 * 1024.0 * 1024.0);
    let text = top(vms.clone(), Key::Memory, false, 0).text();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[1].last(), Some(&"MEM"));
    assert_eq!((rows[2][1], rows[2].last()), ("web", Some(&"512MiB")));
    assert_eq!(rows[3].last(), Some(&"-"));
    assert!(
        text.contains("b does not tell what VMs are ranked by: %MEM"),
        "{text}"
    );
    assert!(!text.contains("a does not tell"), "{text}");
    let json = top(vms.clone(), Key::Memory, false, 0).json();
    assert_eq!(json["notes"].as_array().map(Vec::len), Some(1));
    let text = top(vms, Key::Name, false, 0).text();
    assert!(!text.contains("does not tell"), "{text}");
}
