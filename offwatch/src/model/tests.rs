use offwatch_common::{ExactSlot, NS_BUCKETS, Slot};
use serde_json::Value;

use super::*;
use crate::sample::{self, Counters, ExactCounters, Exactness, Method, Nic, Sample};

const SECOND: Duration = Duration::from_secs(1);

fn tap(dev: &str, ifindex: u32, generation: u64, packets: u64) -> sample::Interface {
    let mut slot = Box::<Slot>::default();
    slot.egress.kinds[0].packets = packets;
    slot.egress.kinds[0].bytes = packets * 100;
    sample::Interface {
        dev: dev.into(),
        ifindex,
        generation,
        kind: Kind::Tap,
        counters: Counters::Counted(slot.into()),
        ..sample::Interface::default()
    }
}

fn vm(name: &str, dev: Option<&str>) -> sample::Vm {
    let nic = Nic {
        dev: dev.map(Into::into),
        backend: "tap".into(),
        ..Nic::default()
    };
    sample::Vm {
        name: name.into(),
        nics: vec![nic].into(),
        ..sample::Vm::default()
    }
}

fn sample(interfaces: Vec<sample::Interface>, vms: Vec<sample::Vm>) -> Sample {
    Sample {
        interfaces: interfaces.into_iter().map(Arc::new).collect(),
        vms,
        ..Sample::default()
    }
}

fn to_vm(model: &Model, vm: usize) -> &Side {
    model.vms[vm].interfaces[0]
        .sides
        .egress()
        .expect("the interface is counted")
}

#[test]
fn rates_are_differences_over_the_interval() {
    let before = sample(vec![tap("t0", 5, 1, 100)], vec![vm("web", Some("t0"))]);
    let now = sample(vec![tap("t0", 5, 1, 400)], vec![vm("web", Some("t0"))]);
    let model = Model::new(&now, Some((&before, SECOND * 2)));
    assert_eq!(to_vm(&model, 0).packets_total, Some(400));
    assert_eq!(to_vm(&model, 0).packets_per_s, Some(150.0));
    assert_eq!(to_vm(&model, 0).bytes_per_s, Some(15_000.0));
}

#[test]
fn interval_histograms_hold_the_interval_alone() {
    let at = |frames: [u64; 2]| {
        let mut interface = tap("t0", 5, 1, 0);
        let mut slot = Box::<Slot>::default();
        slot.egress.gso_sizes[9] = frames[0];
        slot.egress.lengths[0] = frames[1];
        interface.counters = Counters::Counted(slot.into());
        sample(vec![interface], vec![vm("web", Some("t0"))])
    };
    let model = Model::new(&at([7, 3]), Some((&at([5, 3]), SECOND)));
    let side = to_vm(&model, 0);
    assert_eq!(side.gso_size_histogram, Some(vec![(1280, Some(1535), 7)]));
    let grown = Some(vec![(1280, Some(1535), 2)]);
    assert_eq!(side.gso_size_interval_histogram, grown);
    assert_eq!(side.length_interval_histogram, Some(vec![]));
}

#[test]
fn the_first_sample_has_totals_and_no_rates() {
    let now = sample(vec![tap("t0", 5, 1, 400)], vec![vm("web", Some("t0"))]);
    let model = Model::new(&now, None);
    assert_eq!(to_vm(&model, 0).packets_total, Some(400));
    assert_eq!(to_vm(&model, 0).packets_per_s, None);
    let reasons = &model.vms[0].interfaces[0].unavailable;
    assert_eq!(reasons["to_vm.packets_per_s"], "first sample");
}

#[test]
fn a_new_tap_with_an_old_name_or_ifindex_inherits_nothing() {
    let before = sample(vec![tap("t0", 5, 1, 1_000)], vec![vm("old", Some("t0"))]);
    for (ifindex, generation) in [(5, 2), (6, 1)] {
        let now = sample(
            vec![tap("t0", ifindex, generation, 10)],
            vec![vm("new", Some("t0"))],
        );
        let model = Model::new(&now, Some((&before, SECOND)));
        assert_eq!(to_vm(&model, 0).packets_total, Some(10));
        assert_eq!(to_vm(&model, 0).packets_per_s, None, "ifindex {ifindex}");
    }
}

#[test]
fn order_does_not_matter() {
    let vms = || vec![vm("a", Some("t0")), vm("b", Some("t1"))];
    let before = sample(vec![tap("t0", 5, 1, 0), tap("t1", 6, 2, 0)], vms());
    let now = sample(vec![tap("t1", 6, 2, 7), tap("t0", 5, 1, 3)], vms());
    let model = Model::new(&now, Some((&before, SECOND)));
    assert_eq!(to_vm(&model, 0).packets_per_s, Some(3.0));
    assert_eq!(to_vm(&model, 1).packets_per_s, Some(7.0));
}

#[test]
fn taps_without_a_vm_are_unowned_and_loopback_is_left_out() {
    let lo = sample::Interface {
        kind: Kind::Loopback,
        ..tap("lo", 1, 1, 9)
    };
    let bridge = sample::Interface {
        kind: Kind::Bridge,
        ..tap("br0", 2, 2, 9)
    };
    let now = sample(
        vec![lo, bridge, tap("t0", 5, 3, 1), tap("t1", 6, 4, 1)],
        vec![vm("web", Some("t0"))],
    );
    let model = Model::new(&now, None);
    let others: Vec<_> = model
        .other_interfaces
        .iter()
        .map(|found| (found.dev.as_deref().unwrap_or_default(), found.unowned))
        .collect();
    assert_eq!(others, [("br0", false), ("t1", true)]);
}

#[test]
fn what_cannot_be_seen_is_null_with_a_reason() {
    let mut passthrough = vm("gpu", None);
    let nics = Arc::make_mut(&mut passthrough.nics);
    nics[0].backend = "vfio".into();
    nics[0].unobservable = Some("vfio: the device belongs to the guest".into());
    let now = sample(vec![], vec![passthrough, vm("moved", Some("t9"))]);
    let model = Model::new(&now, Some((&sample(vec![], vec![]), SECOND)));

    let card = &model.vms[0].interfaces[0];
    assert_eq!(
        card.sides,
        Sides::Vm {
            from_vm: None,
            to_vm: None
        }
    );
    assert_eq!(card.kind, "vfio");
    assert_eq!(
        card.unavailable["to_vm"],
        "vfio: the device belongs to the guest"
    );
    let moved = &model.vms[1].interfaces[0];
    assert_eq!(
        moved.unavailable["from_vm"],
        "t9 is not in the observed network namespace"
    );
}

/// Each null below `path` has a reason. Rows of histograms are arrays, in which
/// null means that there is no upper end.
fn assert_explained(what: &str, path: &str, value: &Value, unavailable: &Value) {
    match value {
        Value::Null => {
            let reason = unavailable[path].as_str().unwrap_or_default();
            assert!(
                !reason.is_empty(),
                "{what}: {path} is null without a reason"
            );
        }
        Value::Object(fields) => {
            for (field, value) in fields {
                assert_explained(what, &format!("{path}.{field}"), value, unavailable);
            }
        }
        _ => {}
    }
}

#[test]
fn every_null_in_json_has_its_reason() {
    const FEXIT: Exactness = Exactness::Exact(Method::Fexit);
    let mut all = ExactHooks {
        segmentation: FEXIT,
        checksum: FEXIT,
        crc32c: FEXIT,
        ..ExactHooks::default()
    };
    let partly = ExactHooks {
        crc32c: Exactness::Unavailable("it has a .part.0".into()),
        ..all.clone()
    };
    let drop_class = ("full_ring".to_owned(), "no reasons".to_owned());
    all.unknown_drops.extend([drop_class]);
    let not_cut = ExactCounters::Counted(Arc::default());
    let mut slot = ExactSlot::default();
    // The last one, which has no end, is among them.
    slot.to_device.segmentation.ns_histogram = [1; NS_BUCKETS];
    let cut = ExactCounters::Counted(slot.into());

    let mut interface = tap("t0", 5, 1, 4);
    for hook in [Hook::Tp, Hook::Tc] {
        for hooks in [&ExactHooks::default(), &all, &partly] {
            for exact in [&ExactCounters::default(), &not_cut, &cut] {
                interface.exact.clone_from(exact);
                let mut now = sample(vec![interface.clone()], vec![vm("web", Some("t0"))]);
                now.host.hook = hook;
                now.host.exact.clone_from(hooks);
                let json = serde_json::to_value(Model::new(&now, None)).expect("plain data");
                let what = format!("{hook:?} {hooks:?} {exact:?}");
                let host = &json["host"];
                for path in ["unattributed", "exact_hooks", "cost"] {
                    assert_explained(&what, path, &host[path], &host["unavailable"]);
                }
                let shown = &json["vms"][0]["interfaces"][0];
                for path in ["from_vm", "to_vm", "caused", "drops_by_class_total"] {
                    assert_explained(&what, path, &shown[path], &shown["unavailable"]);
                }
            }
        }
    }
}

#[test]
fn tc_shows_neither_work_nor_drops() {
    let mut now = sample(vec![tap("t0", 5, 1, 4)], vec![vm("web", Some("t0"))]);
    now.host.hook = Hook::Tc;
    let model = Model::new(&now, None);
    assert_eq!(to_vm(&model, 0).software_segments_total, None);
    assert_eq!(to_vm(&model, 0).drops_total, None);
    assert_eq!(model.vms[0].interfaces[0].caused, None);
    assert_eq!(model.host.unattributed, None);
}

#[test]
fn kinds_add_up() {
    let mut interface = tap("t0", 5, 1, 0);
    let mut slot = Box::<Slot>::default();
    for (index, kind) in slot.egress.kinds.iter_mut().enumerate() {
        kind.packets = 10_u64.pow(index as u32);
        kind.bytes = 2 * kind.packets;
    }
    interface.counters = Counters::Counted(slot.into());
    let model = Model::new(&sample(vec![interface], vec![vm("web", Some("t0"))]), None);
    let side = to_vm(&model, 0);
    assert_eq!(side.packets_total, Some(1111));
    assert_eq!(
        side.partial_packets_total,
        Some(1010),
        "plain PARTIAL and GSO PARTIAL"
    );
    assert_eq!(
        side.gso_packets_total,
        Some(1100),
        "GSO with and without PARTIAL"
    );
    assert_eq!(side.gso_bytes_total, Some(2200));
}

#[test]
fn a_counter_or_a_clock_that_went_backwards_gives_no_rate() {
    let at = |packets| sample(vec![tap("t0", 5, 1, packets)], vec![vm("web", Some("t0"))]);
    let fewer = Model::new(&at(10), Some((&at(400), SECOND)));
    assert_eq!(to_vm(&fewer, 0).packets_per_s, None);
    let reasons = &fewer.vms[0].interfaces[0].unavailable;
    assert_eq!(reasons["to_vm.packets_per_s"], "the counter went backwards");
    let backwards = Model::new(&at(400), Some((&at(10), Duration::ZERO)));
    assert_eq!(to_vm(&backwards, 0).packets_per_s, None);
    let reasons = &backwards.vms[0].interfaces[0].unavailable;
    assert!(reasons["to_vm.packets_per_s"].starts_with("no interval"));
}

/// A frame that a full ring refuses is counted until it is dropped.
#[test]
fn a_frame_that_was_taken_back_is_no_rate() {
    let at = |packets, drops| {
        let mut tap = tap("t0", 5, 1, packets);
        let mut slot = Slot::clone(tap.counted().expect("counted"));
        slot.egress.drop_packets = drops;
        slot.egress.lengths[3] = packets;
        tap.counters = Counters::Counted(slot.into());
        sample(vec![tap], vec![vm("web", Some("t0"))])
    };
    let taken_back = Model::new(&at(10, 8), Some((&at(11, 7), SECOND)));
    let side = to_vm(&taken_back, 0);
    assert_eq!(side.packets_per_s, Some(0.0));
    assert_eq!(side.drops_per_s, Some(1.0));
    assert_eq!(side.length_interval_histogram, Some(Vec::new()));
    let unavailable = &taken_back.vms[0].interfaces[0].unavailable;
    assert!(!unavailable.contains_key("to_vm.packets_per_s"));
}

#[test]
fn what_cannot_be_read_is_null_with_its_reason_and_never_zero() {
    let mut sample = sample(vec![tap("vnet0", 3, 1, 5)], vec![vm("web", Some("vnet0"))]);
    sample.host.reads = Reads::FieldsOnly;
    let model = Model::new(&sample, None);
    let interface = &model.vms[0].interfaces[0];
    let to_vm = interface.sides.egress().expect("it is counted");
    assert_eq!((to_vm.packets_total, to_vm.drops_total), (Some(5), Some(0)));
    assert_eq!(to_vm.partial_packets_total, Some(0), "a field of the skb");
    assert_eq!(to_vm.gso_packets_total, None);
    assert_eq!(to_vm.oversize_packets_total, None);
    assert_eq!(to_vm.software_segments_total, None);
    assert_eq!(to_vm.gso_size_histogram, None);
    assert_eq!(
        (&interface.caused, &model.host.unattributed),
        (&None, &None)
    );
    for field in [
        "to_vm.gso_packets_total",
        "to_vm.oversize_packets_per_s",
        "to_vm.software_segments_total",
        "to_vm.gso_size_histogram",
        "from_vm.gso_packets_by_class_total",
        "caused",
    ] {
        let reason = interface.unavailable.get(field).map(String::as_str);
        assert!(
            reason.is_some_and(|reason| reason.contains("lockdown")),
            "{field}: {reason:?}"
        );
    }
    assert!(!interface.unavailable.contains_key("to_vm.packets_total"));
}
