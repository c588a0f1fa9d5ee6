//! A recording of a host that never was, with something of everything.

use std::{path::Path, sync::Arc};

use offwatch::{
    record::Recorder,
    sample::{
        Counters, DiskStats, ExactCounters, ExactHooks, Exactness, Hook, Host, Interface, Kind,
        Method, Nic, NicStats, Node, Sample, Vcpu, Vm, VmState, VmStats,
        offloads::{Fact, FeatureNames, FeatureSet, Features, Offloads, Tap},
    },
};
use offwatch_common::{ExactSlot, ExactWork, Slot, Traffic, Work, histogram};

/// 2026-03-01 10:00:00 UTC.
const START_UNIX_MS: u64 = 1_772_359_200_000;

/// Frames of one kind in one interval.
struct Frames {
    count: u64,
    bytes: u64,
    /// Segment size of GSO frames.
    gso_size: Option<u64>,
}

fn add(traffic: &mut Traffic, frames: &Frames) {
    let kind = if frames.gso_size.is_some() { 3 } else { 0 };
    traffic.kinds[kind].packets += frames.count;
    traffic.kinds[kind].bytes += frames.count * frames.bytes;
    traffic.lengths[histogram::length_bucket(frames.bytes as u32)] += frames.count;
    if let Some(size) = frames.gso_size {
        traffic.gso_segments += frames.count * (frames.bytes - 66).div_ceil(size);
        traffic.gso_classes[1] += frames.count;
        traffic.gso_sizes[histogram::gso_size_bucket(size as u32)] += frames.count;
    }
}

fn work(segments: u64, waiting: u64) -> Work {
    Work {
        gso_segments_gone: segments + waiting,
        single_frames_added: segments,
        partial_bytes_gone: segments * 100,
        partial_wire_bytes_gone: segments * 120,
        summed_wire_bytes_added: segments * 120,
    }
}

/// An interface after so many seconds. `rate` frames a second, of which the
/// load goes up and down.
fn interface(dev: &str, ifindex: u32, kind: Kind, seconds: u64) -> Interface {
    let mut slot = Box::<Slot>::default();
    let mut loads = 0;
    for second in 0..seconds {
        let load = 100 + 40 * (second % 7) + 5 * (second % 3);
        loads += load;
        let super_frames = |count, gso_size| Frames {
            count,
            bytes: 66 + 44 * gso_size,
            gso_size: Some(gso_size),
        };
        let small = |count, bytes| Frames {
            count,
            bytes,
            gso_size: None,
        };
        match dev {
            "vnet0" => {
                add(&mut slot.ingress, &super_frames(10 * load, 1448));
                add(&mut slot.egress, &small(4 * load, 66));
                slot.caused_work = work(44 * 3 * loads, 0);
            }
            "vnet1" => {
                add(&mut slot.egress, &super_frames(6 * load, 1448));
                add(&mut slot.ingress, &small(2 * load, 66));
                add(&mut slot.ingress, &small(load / 10, 700));
            }
            "vnet2" => {
                add(&mut slot.egress, &super_frames(load, 8948));
                add(&mut slot.ingress, &super_frames(load / 2, 1448));
                slot.egress.drop_packets += load / 50;
            }
            "vnet3" => {
                add(&mut slot.egress, &small(44 * 3 * load, 1514));
                add(&mut slot.ingress, &small(3 * load, 66));
                slot.egress_work = work(44 * 3 * loads, 0);
            }
            "vnet4" => {
                add(&mut slot.egress, &small(2 * load, 1514));
                slot.egress_work = work(2 * loads, 440);
            }
            "tap9" => add(&mut slot.ingress, &small(second % 2, 60)),
            "eno1" => {
                add(&mut slot.egress, &super_frames(load, 1448));
                add(&mut slot.ingress, &small(30 * load, 1514));
            }
            _ => {}
        }
    }
    let mut exact = Box::<ExactSlot>::default();
    match dev {
        "vnet0" => exact.caused = exact_work(44 * 3 * loads),
        "vnet3" => exact.to_device = exact_work(44 * 3 * loads),
        "vnet4" => exact.to_device = exact_work(2 * loads),
        _ => {}
    }
    Interface {
        dev: dev.into(),
        ifindex,
        generation: u64::from(ifindex),
        mtu: 1500,
        offloads: Arc::new(offloads(dev, &kind)),
        exact: ExactCounters::Counted(exact.into()),
        master: (kind != Kind::Bridge).then_some(if dev == "vnet2" { 3 } else { 2 }),
        kind,
        counters: Counters::Counted(slot.into()),
        ..Interface::default()
    }
}

/// So many segments, each of which takes 500 ns.
fn exact_work(segments: u64) -> ExactWork {
    let mut work = ExactWork::default();
    work.segmentation.calls = segments / 44;
    work.segmentation.segments = segments;
    work.segmentation.ns = segments * 500;
    work
}

/// The features that there are.
const FEATURES: [&str; 7] = [
    "tx-scatter-gather",
    "tx-checksum-ip-generic",
    "tx-tcp-segmentation",
    "tx-tcp6-segmentation",
    "tx-generic-segmentation",
    "rx-gro",
    "rx-lro",
];

/// Everything on, but TSO for the guest that declines it, and nothing known of
/// bridges.
fn offloads(dev: &str, kind: &Kind) -> Offloads {
    let bits = |features: &[&str]| {
        let bit = |name: &str| FEATURES.iter().position(|known| *known == name);
        let bits = features.iter().filter_map(|name| bit(name));
        let word = bits.fold(0_u32, |word, bit| word | 1 << bit);
        FeatureSet::from_words(&[word]).expect("one word")
    };
    let all = &FEATURES[..6];
    let features = Features {
        changeable: bits(all),
        wanted: bits(all),
        active: match dev {
            "vnet3" => bits(&[FEATURES[0], FEATURES[1], FEATURES[4], FEATURES[5]]),
            _ => bits(all),
        },
        never_changed: bits(&[]),
    };
    Offloads {
        features: match kind {
            Kind::Bridge => Fact::unavailable("bridges were not asked"),
            _ => Fact::Known(features),
        },
        tap: (*kind == Kind::Tap).then_some(Tap {
            vnet_hdr: true,
            multi_queue: false,
            queues: 1,
        }),
        ..Offloads::default()
    }
}

/// What libvirt tells of a VM after so many seconds.
fn stats(id: u32, cards: &[&str], seconds: u64) -> VmStats {
    let id = u64::from(id);
    // A different share in each second.
    let busy: u64 = (0..seconds).map(|second| (second * 7 + id * 3) % 11).sum();
    let disk = |name: &str, factor: u64| DiskStats {
        name: name.into(),
        read_requests: Some(busy * factor),
        read_bytes: Some(busy * factor * 4096),
        write_requests: Some(seconds * factor),
        write_bytes: Some(seconds * factor * 512),
    };
    let nic = |dev: &&str| NicStats {
        name: (*dev).into(),
        rx_bytes: Some(busy * 1000),
        rx_packets: Some(busy * 2),
        tx_bytes: Some(seconds * id * 300),
        tx_packets: Some(seconds * id),
        ..NicStats::default()
    };
    VmStats {
        monotonic_ns: monotonic_ns(seconds),
        start: id,
        cpu_time_ns: Some(3_600_000_000_000 * id + busy * 100_000_000),
        vcpus: Some(vec![Vcpu {
            time_ns: Some(busy * 90_000_000),
            pcpu: Some(id as u32 % 4),
            ..Vcpu::default()
        }]),
        memory_kib: Some(id * 1_048_576),
        disks: Some(vec![disk("vda", 1), disk("vdb", id)]),
        nics: Some(
            cards
                .iter()
                .filter(|card| **card != "vfio")
                .map(nic)
                .collect(),
        ),
        ..VmStats::default()
    }
}

fn monotonic_ns(number: u64) -> u64 {
    1_000_000_000_000 + number * 1_000_000_000
}

fn vm(number: u64, name: &str, id: Option<u32>, cards: &[&str]) -> Vm {
    let nics = cards.iter().map(|card| match *card {
        "vfio" => Nic {
            backend: "vfio".into(),
            unobservable: Some("vfio: the device belongs to the guest".into()),
            ..Nic::default()
        },
        dev => Nic {
            dev: Some(dev.into()),
            backend: "tap".into(),
            ..Nic::default()
        },
    });
    Vm {
        name: name.into(),
        uuid: id.map(|id| format!("{id:08}-0000-4000-8000-525400000000").into()),
        id,
        state: match id {
            Some(_) => VmState::Running,
            None => VmState::Shutoff,
        },
        nics: Arc::new(nics.collect()),
        // Nobody tells of the one with the hardware.
        stats: id
            .filter(|id| *id != 5)
            .map(|id| Arc::new(stats(id, cards, number))),
        ..Vm::default()
    }
}

/// One sample, so many seconds after the first one.
fn sample(number: u64, seconds: u64) -> Sample {
    let tap = |dev: &str, ifindex| interface(dev, ifindex, Kind::Tap, number);
    Sample {
        facts: None,
        time_unix_ms: START_UNIX_MS + seconds * 1000,
        monotonic_ns: monotonic_ns(number),
        host: Host {
            name: "kvm1".into(),
            kernel: "6.18.44".into(),
            online_cpus: 4,
            node: Some(Arc::new(Node {
                host_name: "kvm1".into(),
                arch: "x86_64".into(),
                online_cpus: 4,
                cpus: 4,
                mhz: Some(2600),
                memory_kib: 33_554_432,
            })),
            hook: Hook::Tp,
            exact: ExactHooks {
                segmentation: Exactness::Exact(Method::Fexit),
                checksum: Exactness::Unavailable("skb_checksum_help is not traced".into()),
                crc32c: Exactness::Unavailable("skb_crc32c_csum_help is not traced".into()),
                unattributed: Box::new(exact_work(number * 20)),
                ..ExactHooks::default()
            },
            feature_names: FeatureNames(FEATURES.map(String::from).to_vec()),
            unattributed: Some(work(number * 20, 0)),
            notes: match number {
                4 => vec!["libvirt does not answer; names are those of a minute ago".into()],
                _ => Vec::new(),
            },
            ..Host::default()
        },
        interfaces: [
            interface("br0", 2, Kind::Bridge, number),
            interface("br-storage", 3, Kind::Bridge, number),
            interface("eno1", 4, Kind::Physical, number),
            tap("vnet0", 5),
            tap("vnet1", 6),
            tap("vnet2", 7),
            tap("vnet3", 8),
            tap("vnet4", 9),
            tap("tap9", 10),
        ]
        .map(Arc::new)
        .into(),
        vms: vec![
            vm(number, "web", Some(1), &["vnet0"]),
            vm(number, "db", Some(2), &["vnet1", "vnet2"]),
            vm(number, "legacy", Some(3), &["vnet3"]),
            vm(
                number,
                "bürö-日本-with-a-long-name",
                Some(4),
                &["vnet4", "vfio"],
            ),
            vm(number, "gpu", Some(5), &["vfio"]),
            vm(number, "off", None, &[]),
        ],
    }
}

/// Records so many samples, `apart` seconds from one to the next by the clock
/// on the wall; rates are always of one second.
pub(crate) fn record(path: &Path, samples: u64, apart: u64) {
    let mut recorder = Recorder::create(path, None).expect("writable");
    for number in 0..samples {
        let sample = sample(number, number * apart);
        recorder.write(&sample, false).expect("written");
    }
}
