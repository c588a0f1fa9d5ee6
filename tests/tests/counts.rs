//! What offwatch counts is what crossed the tap, to the frame and the byte:
//! against the kernel's own counters and against the virtio headers that the
//! guest's side saw.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use offwatch_common::histogram;
use offwatch_tests::{
    Guest, GuestConfig, Lab, Truth,
    frames::{FrameSpec, L4, Segmentation},
    guest::{Counts, Family},
    kernel,
    observer::{Observer, Seen, grown, hooks},
    scaled,
    skip::left_out,
    skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
    udp::{UdpOptions, udp_stream},
};
use serde_json::Value;

/// Of each of the two streams of UDP.
const DATAGRAMS: u64 = 130_000;

#[test]
fn btf_tracepoints_count_what_crosses_the_tap() -> Result<()> {
    counts_what_crosses_the_tap("tp")
}

#[test]
fn raw_tracepoints_count_what_crosses_the_tap() -> Result<()> {
    counts_what_crosses_the_tap("raw")
}

#[test]
fn tc_programs_count_what_crosses_the_tap() -> Result<()> {
    counts_what_crosses_the_tap("tc")
}

fn counts_what_crosses_the_tap(hook: &'static str) -> Result<()> {
    skip_unless_lab!();
    if hooks(&[hook]).is_empty() {
        return Ok(());
    }
    if let Some(reason) = kernel::USO.lacking() {
        left_out(&format!("super-frames of UDP: {reason}"));
    }
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    // A multi-queue tap is one interface.
    lab.add_guest(GuestConfig {
        queues: 2,
        ..GuestConfig::new("db", 2)
    })?;
    let observer = Observer::start(lab.host(), &["--hook", hook])?;
    lab.wait_quiet()?;
    let before = snapshot(&lab, &observer)?;

    exchange(&lab)?;

    lab.wait_quiet()?;
    let after = snapshot(&lab, &observer)?;
    let mut packets = 0;
    for (guest, (before, after)) in lab.guests().iter().zip(before.iter().zip(&after)) {
        let counts = after.0.since(&before.0);
        packets += counts.from_vm.packets + counts.to_vm.packets;
        ensure!(
            counts.kernel.tx_dropped == 0,
            "the test itself dropped frames"
        );
        let what = format!("{hook}, {} from the VM", guest.name());
        check(&what, &counts.from_vm, &before.1.from_vm, &after.1.from_vm)?;
        let what = format!("{hook}, {} to the VM", guest.name());
        check(&what, &counts.to_vm, &before.1.to_vm, &after.1.to_vm)?;
        // The kernel's own view of the same.
        for (field, side, kernel) in [
            ("packets_total", 0, counts.kernel.rx_packets),
            ("bytes_total", 0, counts.kernel.rx_bytes),
            ("packets_total", 1, counts.kernel.tx_packets),
            ("bytes_total", 1, counts.kernel.tx_bytes),
        ] {
            let sides = |seen: &Seen| [seen.from_vm.clone(), seen.to_vm.clone()][side].clone();
            let seen = grown(&sides(&after.1), &sides(&before.1), field)?;
            assert_eq!(
                seen,
                kernel,
                "{hook}, {}: {field} of the kernel",
                guest.name()
            );
        }
        if hook != "tc" {
            let segments = grown(&after.1.to_vm, &before.1.to_vm, "software_segments_total")?;
            let checksums = grown(
                &after.1.to_vm,
                &before.1.to_vm,
                "software_checksum_bytes_total",
            )?;
            assert_eq!(
                (segments, checksums),
                (0, 0),
                "every offload is accepted: no work"
            );
        }
    }
    // Each datagram of both streams crosses both taps.
    assert!(
        packets >= 4 * scaled(DATAGRAMS),
        "both taps, both ways: only {packets} frames"
    );
    Ok(())
}

fn snapshot(lab: &Lab, observer: &Observer) -> Result<Vec<(Counts, Seen)>> {
    let model = observer.now()?;
    lab.guests()
        .iter()
        .map(|guest| Ok((guest.counts()?, Seen::of(&model, guest)?)))
        .collect()
}

/// TCP and UDP, IPv4 and IPv6, whole and in super-frames, tagged and not.
fn exchange(lab: &Lab) -> Result<()> {
    let (web, db) = (lab.guest(0).endpoint(), lab.guest(1).endpoint());
    std::thread::scope(|scope| -> Result<()> {
        let udp = [(&web, &db, Family::V4), (&db, &web, Family::V6)].map(|(from, to, family)| {
            scope.spawn(move || {
                udp_stream(from, to, &UdpOptions::new(family, scaled(DATAGRAMS), 300))
            })
        });
        for family in [Family::V4, Family::V6] {
            let small = TcpOptions {
                max_segment_bytes: Some(536),
                ..TcpOptions::new(family, scaled(30_000_000))
            };
            tcp_stream(&web, &db, &TcpOptions::new(family, scaled(100_000_000)))?;
            tcp_stream(&db, &web, &small)?;
            let uso = UdpOptions {
                segmentation: true,
                ..UdpOptions::new(family, scaled(5_000), 1200)
            };
            udp_stream(&db, &web, &uso)?;
        }
        for frame in tagged_frames(lab) {
            let (frame, header) = frame.build()?;
            lab.guest(0).inject(&frame, header)?;
        }
        for udp in udp {
            udp.join().expect("a thread that sends UDP")?;
        }
        Ok(())
    })
}

/// Tagged once and twice, ordinary and super-frames, both families.
fn tagged_frames(lab: &Lab) -> impl Iterator<Item = FrameSpec> {
    let (from, to) = (lab.guest(0).config(), lab.guest(1).config());
    let base = FrameSpec {
        l4: L4::Tcp { options_bytes: 12 },
        ..FrameSpec::udp4((from.mac, from.ip4), (to.mac, to.ip4), 700)
    };
    let ip6 = (from.ip6.into(), to.ip6.into());
    (0..1000).map(move |number| FrameSpec {
        vlans: [Some(5), (number % 2 == 0).then_some(6)],
        ips: if number % 4 < 2 { base.ips } else { ip6 },
        payload_bytes: if number % 8 < 4 { 700 } else { 20_000 },
        partial_checksum: number % 3 == 0,
        segmentation: if number % 8 < 4 {
            Segmentation::None
        } else {
            Segmentation::Segment(1400)
        },
        ..base
    })
}

fn check(what: &str, truth: &Truth, before: &Value, after: &Value) -> Result<()> {
    assert_eq!(truth.gso_unparsed_frames, 0, "{what}: the truth is whole");
    for (field, expected) in [
        ("packets_total", truth.packets),
        ("bytes_total", truth.bytes),
        ("gso_packets_total", truth.gso_frames),
        ("gso_bytes_total", truth.gso_bytes),
        ("gso_segments_total", truth.gso_segments),
        ("partial_packets_total", truth.needs_csum_frames),
        ("partial_bytes_total", truth.needs_csum_bytes),
    ] {
        assert_eq!(grown(after, before, field)?, expected, "{what}: {field}");
    }
    let sizes = truth
        .gso_sizes
        .iter()
        .map(|(size, frames)| (u32::from(*size), *frames));
    let expected = rows(sizes, histogram::gso_size_bucket, histogram::gso_size_range);
    assert_eq!(
        histogram_grown(after, before, "gso_size_histogram"),
        expected,
        "{what}"
    );
    let lengths = truth
        .frame_lens
        .iter()
        .map(|(length, frames)| (*length, *frames));
    let expected = rows(lengths, histogram::length_bucket, histogram::length_range);
    assert_eq!(
        histogram_grown(after, before, "length_histogram"),
        expected,
        "{what}"
    );
    Ok(())
}

/// Counts by the low edge of their row.
fn rows(
    values: impl Iterator<Item = (u32, u64)>,
    bucket: fn(u32) -> usize,
    range: fn(usize) -> (u32, Option<u32>),
) -> BTreeMap<u64, u64> {
    let mut rows = BTreeMap::new();
    for (value, count) in values {
        *rows.entry(range(bucket(value)).0.into()).or_default() += count;
    }
    rows
}

fn histogram_grown(after: &Value, before: &Value, field: &str) -> BTreeMap<u64, u64> {
    let read = |side: &Value| -> BTreeMap<u64, u64> {
        let rows = side[field].as_array().into_iter().flatten();
        rows.filter_map(|row| Some((row[0].as_u64()?, row[2].as_u64()?)))
            .collect()
    };
    let before = read(before);
    read(after)
        .into_iter()
        .map(|(low, count)| (low, count - before.get(&low).copied().unwrap_or(0)))
        .filter(|(_, count)| *count != 0)
        .collect()
}

/// A ring that the guest does not drain drops frames: what was dropped is not
/// counted as received, and the drops are those that the kernel counts.
#[test]
fn dropped_frames_are_drops_and_not_traffic() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&["tp", "raw"]) {
        let mut lab = Lab::new()?;
        lab.add_guests(&["web", "stuck"])?;
        let stuck = GuestConfig {
            ring_frames: 64,
            ..GuestConfig::new("slow", 3)
        };
        lab.add_guest(stuck)?;
        let observer = Observer::start(lab.host(), &["--hook", hook])?;
        lab.wait_quiet()?;
        let before = snapshot(&lab, &observer)?;
        let guest = lab.guest(2);
        guest.pause();
        send(lab.guest(0), guest, 1_000)?;
        guest.resume();
        lab.wait_quiet()?;
        let after = snapshot(&lab, &observer)?;

        let counts = after[2].0.since(&before[2].0);
        let (before, after) = (&before[2].1.to_vm, &after[2].1.to_vm);
        assert!(counts.kernel.tx_dropped > 500, "{:?}", counts.kernel);
        assert_eq!(
            grown(after, before, "drops_total")?,
            counts.kernel.tx_dropped,
            "{hook}"
        );
        check(
            &format!("{hook}, a full ring"),
            &counts.to_vm,
            before,
            after,
        )?;
    }
    Ok(())
}

fn send(from: &Guest, to: &Guest, frames: usize) -> Result<()> {
    let (source, target) = (from.config(), to.config());
    let frame = FrameSpec::udp4((source.mac, source.ip4), (target.mac, target.ip4), 400);
    let (frame, header) = frame.build()?;
    (0..frames).try_for_each(|_| from.inject(&frame, header))
}

/// A frame larger than the receiver's MTU that is not GSO is dropped by the
/// bridge without a trace in any kernel counter: offwatch shows it.
#[test]
fn oversize_frames_are_shown() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    offwatch_tests::link::set_mtu(lab.host(), lab.guest(1).tap(), 1400)?;
    let observer = Observer::start(lab.host(), &[])?;
    lab.wait_quiet()?;
    let before = snapshot(&lab, &observer)?;
    let (source, target) = (lab.guest(0).config(), lab.guest(1).config());
    let frame = FrameSpec::udp4((source.mac, source.ip4), (target.mac, target.ip4), 1450);
    let (frame, header) = frame.build()?;
    for _ in 0..100 {
        lab.guest(0).inject(&frame, header)?;
    }
    lab.wait_quiet()?;
    let after = snapshot(&lab, &observer)?;
    assert_eq!(
        grown(&after[1].1.to_vm, &before[1].1.to_vm, "drops_total")?,
        100
    );
    assert_eq!(
        grown(&after[1].1.to_vm, &before[1].1.to_vm, "packets_total")?,
        0
    );
    Ok(())
}
