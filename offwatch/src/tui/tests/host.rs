//! A host that never was.

use std::{sync::Arc, time::Duration};

use offwatch_common::Slot;

use crate::{
    model::Model,
    sample::{self, Counters, DiskStats, Kind, Nic, NicStats, Sample, VmStats},
};

/// VMs with their interfaces and the bytes that each receives, a VM whose card
/// cannot be seen, and a bridge.
fn sample(vms: &[(&str, &[(&str, u64)])], factor: u64) -> Sample {
    let mut sample = Sample {
        time_unix_ms: 36_000_000 + factor * 1000,
        monotonic_ns: factor * 1_000_000_000,
        ..Sample::default()
    };
    sample.host.name = "kvm1".into();
    sample.host.online_cpus = 1;
    sample.host.kernel = "6.18".into();
    let mut add = |dev: &str, kind: Kind, bytes: u64| {
        let mut slot = Box::<Slot>::default();
        slot.egress.kinds[2].bytes = bytes * factor;
        slot.egress.kinds[2].packets = bytes * factor / 1000;
        slot.egress.gso_sizes[9] = bytes * factor / 1000;
        slot.egress.lengths[10] = bytes * factor / 1000;
        let ifindex = sample.interfaces.len() as u32 + 1;
        let interface = sample::Interface {
            dev: dev.into(),
            ifindex,
            master: (kind == Kind::Tap).then_some(1),
            kind,
            counters: Counters::Counted(slot.into()),
            ..sample::Interface::default()
        };
        sample.interfaces.push(Arc::new(interface));
    };
    add("br0", Kind::Bridge, 0);
    for (dev, bytes) in vms.iter().flat_map(|(_, cards)| *cards) {
        add(dev, Kind::Tap, *bytes);
    }
    let vms = vms
        .iter()
        .zip(1_u32..)
        .map(|((name, cards), id)| sample::Vm {
            name: (*name).into(),
            id: Some(id),
            stats: Some(Arc::new(stats(id, factor))),
            state: sample::VmState::Running,
            nics: cards
                .iter()
                .map(|(dev, _)| Nic {
                    dev: Some((*dev).into()),
                    ..Nic::default()
                })
                .collect::<Vec<_>>()
                .into(),
            ..sample::Vm::default()
        });
    let passthrough = sample::Vm {
        name: "gpu".into(),
        nics: vec![Nic {
            backend: "vfio".into(),
            unobservable: Some("vfio: the device belongs to the guest".into()),
            ..Nic::default()
        }]
        .into(),
        ..sample::Vm::default()
    };
    sample.vms = vms.chain([passthrough]).collect();
    sample
}

/// What libvirt tells of a VM: the more the larger its id.
fn stats(id: u32, factor: u64) -> VmStats {
    let used = u64::from(id) * factor;
    VmStats {
        monotonic_ns: factor * 1_000_000_000,
        start: id.into(),
        cpu_time_ns: Some(used * 100_000_000),
        memory_kib: Some(1024),
        disks: Some(vec![DiskStats {
            name: "vda".into(),
            read_requests: Some(used * 10),
            read_bytes: Some(0),
            write_requests: Some(0),
            write_bytes: Some(0),
        }]),
        nics: Some(vec![NicStats {
            name: format!("card{id}"),
            rx_bytes: Some(used * 1000),
            rx_packets: Some(0),
            tx_bytes: Some(0),
            tx_packets: Some(0),
            ..NicStats::default()
        }]),
        ..VmStats::default()
    }
}

pub(super) const VMS: &[(&str, &[(&str, u64)])] = &[
    ("web", &[("t0", 125_000_000)]),
    ("db", &[("t1", 1_000_000), ("t2", 500_000_000)]),
    ("mail", &[("t3", 2_000_000)]),
];

pub(super) fn model(vms: &[(&str, &[(&str, u64)])]) -> Model {
    Model::new(
        &sample(vms, 2),
        Some((&sample(vms, 1), Duration::from_secs(1))),
    )
}

/// The model of a first sample.
pub(super) fn first_model() -> Model {
    Model::new(&sample(VMS, 1), None)
}
