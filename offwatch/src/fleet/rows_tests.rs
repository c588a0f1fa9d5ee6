use super::*;
use crate::fleet::{
    answer::tests::{matrix, vector},
    span::SAMPLED,
};

fn host(instance: &str) -> Host {
    Host {
        target: Target::new("o", instance),
        online_cpus: Some(4),
        ..Host::default()
    }
}

/// A VM with one card that was scraped twice, and one that was not.
fn vms() -> Vec<Vm> {
    let hosts = [host("a:1"), host("b:1")];
    let mut rows = Rows::of(&hosts);
    let on_a = |rest: &str| format!("job=o,instance=a:1,{rest}");
    let now = [
        "__name__=offwatch_vm_info,vm=web,uuid=u-1,source=libvirt",
        "__name__=offwatch_vm_state,vm=web,state=running",
        "__name__=offwatch_vm_id,vm=web",
        "__name__=offwatch_vm_interface_info,vm=web,dev=t0,kind=tap,bridge=br0",
        "__name__=offwatch_vm_receive_packets_total,vm=web,dev=t0",
        "__name__=offwatch_vm_software_work_approximate,vm=web,dev=t0",
        "__name__=offwatch_vm_interface_info,vm=web,dev=t1,kind=tap",
        "__name__=offwatch_vm_receive_packets_total,vm=web,dev=t1",
        "__name__=offwatch_vm_unobservable,vm=web,dev=t2,reason=SR-IOV",
        "__name__=offwatch_vm_interface_info,vm=web,dev=t3,kind=tap",
    ]
    .map(on_a);
    let now: Vec<(&str, f64)> = now.iter().map(|labels| (&**labels, 1.0)).collect();
    rows.learn(&vector(&now).series);
    // Another target with the job of one and the instance of another is neither.
    rows.learn(&vector(&[("__name__=offwatch_vm_id,job=p,instance=a:1,vm=x", 1.0)]).series);
    let stamps = on_a("__name__=offwatch_sample_timestamp_seconds");
    let stamps = matrix(&[(&stamps, &[(10.0, 9.0), (70.0, 69.0)])]);
    let mut spans = Spans::new(&[SAMPLED], &stamps.series);
    spans.learn(&matrix(&[(&on_a("vm=web,dev=t1"), &[(70.0, 5.0)])]).series);
    for (rate, value) in CARD_RATES.into_iter().zip(1..) {
        let of = on_a("vm=web,dev=t0");
        // What is gone, but has been there in the window, is not shown.
        let (card, vm) = (on_a("vm=web,dev=gone"), on_a("vm=gone,dev=t0"));
        let of = [(&*of, f64::from(value)), (&*card, 5.0), (&*vm, 5.0)];
        rows.card_rates(rate, &vector(&of).series, &spans);
    }
    for rate in VM_RATES {
        rows.vm_rates(
            rate,
            &vector(&[(&on_a("vm=web"), 0.5), (&on_a("vm=gone"), 0.5)]).series,
            &spans,
        );
    }
    rows.cover(&hosts, &spans);
    rows.vms()
}

#[test]
fn rates_are_from_the_hosts_side_inside() {
    let vms = vms();
    assert_eq!(vms.len(), 1, "{vms:?}");
    let web = &vms[0];
    assert_eq!(
        (web.host, &*web.name, web.uuid.as_deref()),
        (0, "web", Some("u-1"))
    );
    assert_eq!(web.state.as_deref(), Some("running"));
    assert_eq!(web.cpu_percent(), Some(12.5), "half a CPU of four");
    let card = &web.cards["t0"];
    assert_eq!(
        (card.kind.as_deref(), card.bridge.as_deref()),
        (Some("tap"), Some("br0"))
    );
    let side = |first: i32, drops: i32| SideRates {
        packets_per_s: Some(first.into()),
        bytes_per_s: Some((first + 1).into()),
        gso_packets_per_s: Some((first + 2).into()),
        gso_segments_per_s: Some((first + 3).into()),
        gso_bytes_per_s: Some((first + 4).into()),
        drops_per_s: Some(drops.into()),
    };
    let expected = Rates {
        // What the guest receives is what the host sends.
        egress: side(1, 6),
        ingress: side(7, 12),
        software_segments_per_s: Some(13.0),
        software_checksum_bytes_per_s: Some(14.0),
        software_work_approximate: true,
        caused_segments_per_s: Some(15.0),
        caused_approximate: false,
        work_ns: Some(WorkNs {
            segmentation: Some(16e9),
            checksum: Some(17e9),
            crc32c: Some(0.0),
        }),
    };
    assert_eq!(card.rates(), Some(expected));
    assert_eq!(card.covered_seconds, Some(60.0));
}

#[test]
fn a_card_without_rates_has_a_reason() {
    let vms = vms();
    let reasons = [
        ("t1", "fewer than two scrapes of it in 2 min"),
        ("t2", "SR-IOV"),
        ("t3", "its host does not count it"),
    ];
    for (dev, reason) in reasons {
        let card = &vms[0].cards[dev];
        assert_eq!(card.rates(), None, "{dev}");
        assert_eq!(card.no_rates("2 min"), reason);
    }
    assert_eq!(vms[0].cards.len(), 4);
}

#[test]
fn vms_that_are_off_are_inactive() {
    let vm = |source: &str, state: &str, id| Vm {
        source: Some(source.into()),
        state: Some(state.into()),
        id,
        ..Vm::default()
    };
    assert!(vm("libvirt", "running", Some(3.0)).is_active());
    assert!(!vm("libvirt", "shut off", None).is_active());
    assert!(vm("proc", "running", None).is_active());
    assert!(!vm("status", "shut off", None).is_active());
    assert!(Vm::default().is_active(), "of which only a card is told");
}
