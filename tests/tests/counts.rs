//! What offwatch counts is what crossed the tap, to the frame and the byte:
//! against the kernel's own counters and against the virtio headers that the
//! guest's side saw.

use anyhow::Result;
use offwatch_tests::{
    Guest, GuestConfig, Lab,
    equal::{self, snapshot},
    frames::{FrameSpec, L4, Segmentation},
    guest::Family,
    kernel,
    observer::{Observer, grown, hooks},
    scaled,
    skip::left_out,
    skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
    udp::{UdpOptions, udp_stream},
};

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
        let what = format!("{hook}, {}", guest.name());
        equal::guest(&what, &counts, &before.1, &after.1)?;
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
        guest.pause()?;
        send(lab.guest(0), guest, 1_000)?;
        guest.resume()?;
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
        equal::side(
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
