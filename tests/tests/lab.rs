//! The lab's own promises: its truth is the kernel's truth, and its guests
//! behave as the offloads they negotiate say.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use offwatch_tests::frames::{FrameSpec, L4, Segmentation};
use offwatch_tests::guest::{Endpoint, Family};
use offwatch_tests::quiet::wait_until;
use offwatch_tests::skip::left_out;
use offwatch_tests::traffic::{TcpOptions, tcp_stream};
use offwatch_tests::udp::{UdpOptions, udp_blast, udp_stream};
use offwatch_tests::vnet::VnetHdr;
use offwatch_tests::{
    Backend, Guest, GuestConfig, Lab, Netns, Offloads, Truth, kernel, link, scaled, skip_unless_lab,
};

/// Of each of the two streams of UDP.
const DATAGRAMS: u64 = 110_000;

/// Ethernet header and 1500 bytes.
const FULL_FRAME_BYTES: u32 = 1514;

fn two_guests() -> Result<Lab> {
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    Ok(lab)
}

fn ends(lab: &Lab) -> (Endpoint, Endpoint) {
    (lab.guest(0).endpoint(), lab.guest(1).endpoint())
}

/// A UDP frame from one guest to another, to be varied.
fn frame(from: &Guest, to: &Guest, payload_bytes: usize) -> FrameSpec {
    let (from, to) = (from.config(), to.config());
    FrameSpec::udp4((from.mac, from.ip4), (to.mac, to.ip4), payload_bytes)
}

fn inject(guest: &Guest, spec: &FrameSpec) -> Result<()> {
    let (frame, header) = spec.build()?;
    guest.inject(&frame, header)
}

fn assert_truth_is_the_kernels(guest: &Guest) -> Result<()> {
    let counts = guest.counts()?;
    let (from, to, kernel) = (&counts.from_vm, &counts.to_vm, counts.kernel);
    assert_eq!(
        (from.packets, from.bytes, to.packets, to.bytes),
        (
            kernel.rx_packets,
            kernel.rx_bytes,
            kernel.tx_packets,
            kernel.tx_bytes
        ),
        "truth and kernel differ on {}",
        guest.tap()
    );
    assert_eq!((kernel.rx_dropped, kernel.tx_dropped), (0, 0));
    for truth in [from, to] {
        assert_eq!(truth.undelivered_frames, 0);
        assert_adds_up(truth);
    }
    Ok(())
}

/// Every breakdown sums up to the total.
fn assert_adds_up(truth: &Truth) {
    assert_eq!(truth.gso_unparsed_frames, 0);
    assert_eq!(truth.non_gso_frames + truth.gso_frames, truth.packets);
    assert_eq!(truth.gso_sizes.values().sum::<u64>(), truth.gso_frames);
    assert_eq!(truth.frame_lens.values().sum::<u64>(), truth.packets);
    let by_len = truth.frame_lens.iter();
    assert_eq!(
        by_len.map(|(len, n)| u64::from(*len) * n).sum::<u64>(),
        truth.bytes
    );
    let shares = truth.by_source.values();
    assert_eq!(shares.map(|share| share.bytes).sum::<u64>(), truth.bytes);
}

#[test]
fn truth_equals_the_kernels_counters() -> Result<()> {
    skip_unless_lab!();
    let lab = two_guests()?;
    let (web, db) = ends(&lab);
    lab.wait_quiet()?;
    let before = (lab.guest(0).counts()?, lab.guest(1).counts()?);
    std::thread::scope(|scope| -> Result<()> {
        let udp: Vec<_> = [(&web, &db, Family::V4), (&db, &web, Family::V6)]
            .into_iter()
            .map(|(from, to, family)| {
                let options = UdpOptions::new(family, scaled(DATAGRAMS), 300);
                scope.spawn(move || udp_stream(from, to, &options))
            })
            .collect();
        for family in [Family::V4, Family::V6] {
            let small = TcpOptions {
                max_segment_bytes: Some(536),
                ..TcpOptions::new(family, scaled(40_000_000))
            };
            tcp_stream(&web, &db, &TcpOptions::new(family, scaled(100_000_000)))?;
            tcp_stream(&db, &web, &small)?;
            // Exact while everything is still moving, too.
            assert_truth_is_the_kernels(lab.guest(0))?;
        }
        for spec in tagged_frames(&lab) {
            inject(lab.guest(0), &spec)?;
        }
        for udp in udp {
            udp.join().expect("UDP thread")?;
        }
        Ok(())
    })?;
    lab.wait_quiet()?;

    for guest in lab.guests() {
        assert_truth_is_the_kernels(guest)?;
    }
    let (web, db) = (lab.guest(0), lab.guest(1));
    // One stream of datagrams from it and one to it.
    assert!(web.total_packets() >= 2 * scaled(DATAGRAMS));
    // Nothing is lost or added between two guests of one bridge, and no one
    // cuts anything where every offload is accepted.
    let web = web.counts()?.since(&before.0);
    let db = db.counts()?.since(&before.1);
    assert_eq!(web.from_vm, db.to_vm);
    assert_eq!(db.from_vm, web.to_vm);
    Ok(())
}

/// Tagged once and twice, ordinary and super-frames, both families.
fn tagged_frames(lab: &Lab) -> impl Iterator<Item = FrameSpec> {
    let base = frame(lab.guest(0), lab.guest(1), 700);
    let ip6s: (IpAddr, IpAddr) = (
        lab.guest(0).config().ip6.into(),
        lab.guest(1).config().ip6.into(),
    );
    (0..1000).map(move |n| FrameSpec {
        vlans: [Some(5), (n % 2 == 0).then_some(6)],
        ips: if n % 4 < 2 { base.ips } else { ip6s },
        l4: L4::Tcp { options_bytes: 12 },
        payload_bytes: if n % 8 < 4 { 700 } else { 20_000 },
        segmentation: if n % 8 < 4 {
            Segmentation::None
        } else {
            Segmentation::Segment(1400)
        },
        ..base
    })
}

#[test]
fn super_frames_pass_uncut_where_the_receiver_accepts_them() -> Result<()> {
    skip_unless_lab!();
    let lab = two_guests()?;
    let (web, db) = ends(&lab);
    for family in [Family::V4, Family::V6] {
        tcp_stream(&web, &db, &TcpOptions::new(family, scaled(50_000_000)))?;
    }
    lab.wait_quiet()?;
    let to_db = lab.guest(1).truth_to_vm();
    assert_eq!(to_db, lab.guest(0).truth_from_vm());
    // 1500 less IP, TCP and timestamps.
    assert!(to_db.gso_sizes.contains_key(&1448), "{:?}", to_db.gso_sizes);
    assert!(to_db.gso_sizes.contains_key(&1428), "{:?}", to_db.gso_sizes);
    Ok(())
}

#[test]
fn a_receiver_without_tso_gets_segments() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guest(GuestConfig::new("web", 1))?;
    lab.add_guest(GuestConfig {
        offloads: Offloads::CSUM_ONLY,
        ..GuestConfig::new("legacy", 2)
    })?;
    let (web, legacy) = ends(&lab);
    lab.wait_quiet()?;
    let before = (lab.guest(0).truth_from_vm(), lab.guest(1).truth_to_vm());
    for family in [Family::V4, Family::V6] {
        tcp_stream(&web, &legacy, &TcpOptions::new(family, scaled(20_000_000)))?;
    }
    lab.wait_quiet()?;
    let sent = lab.guest(0).truth_from_vm().since(&before.0);
    let received = lab.guest(1).truth_to_vm().since(&before.1);
    assert!(sent.gso_frames > 0);
    assert_eq!(received.gso_frames, 0);
    assert!(
        received
            .frame_lens
            .keys()
            .all(|len| *len <= FULL_FRAME_BYTES)
    );
    // The host cut exactly what the guest sent, and left checksums partial.
    assert_eq!(received.packets, sent.wire_packets());
    assert!(received.needs_csum_frames > 0);
    assert_truth_is_the_kernels(lab.guest(1))
}

#[test]
fn a_receiver_without_csum_gets_complete_checksums() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guest(GuestConfig::new("web", 1))?;
    lab.add_guest(GuestConfig {
        offloads: Offloads::NONE,
        ..GuestConfig::new("ancient", 2)
    })?;
    let (web, ancient) = ends(&lab);
    let bytes = scaled(20_000_000);
    tcp_stream(&web, &ancient, &TcpOptions::new(Family::V4, bytes))?;
    udp_stream(&web, &ancient, &UdpOptions::new(Family::V6, 1000, 1000))?;
    lab.wait_quiet()?;
    assert!(lab.guest(0).truth_from_vm().needs_csum_frames > 0);
    let received = lab.guest(1).truth_to_vm();
    assert_eq!((received.needs_csum_frames, received.gso_frames), (0, 0));
    assert!(received.complete_csum_l4_bytes > bytes + 1_000_000);
    Ok(())
}

#[test]
fn renegotiation_takes_effect_live() -> Result<()> {
    skip_unless_lab!();
    let lab = two_guests()?;
    let (web, db) = ends(&lab);
    let receiver = lab.guest(1);
    let mut before = receiver.truth_to_vm();
    for (offloads, super_frames) in [
        (Offloads::ALL, true),
        (Offloads::NONE, false),
        (Offloads::CSUM_ONLY, false),
        (Offloads::ALL, true),
    ] {
        receiver.renegotiate(offloads)?;
        tcp_stream(&web, &db, &TcpOptions::new(Family::V4, scaled(20_000_000)))?;
        lab.wait_quiet()?;
        let now = receiver.truth_to_vm();
        let delta = now.since(&before);
        assert_eq!(delta.gso_frames > 0, super_frames, "{offloads:?}");
        assert_eq!(delta.needs_csum_frames > 0, offloads.csum, "{offloads:?}");
        before = now;
    }
    Ok(())
}

#[test]
fn udp_segmentation_passes_or_is_cut() -> Result<()> {
    skip_unless_lab!();
    let lab = two_guests()?;
    let (web, db) = ends(&lab);
    let uso = UdpOptions {
        segmentation: true,
        ..UdpOptions::new(Family::V4, 5000, 1200)
    };
    udp_stream(&web, &db, &uso)?;
    lab.wait_quiet()?;
    let whole = lab.guest(1).truth_to_vm();
    if let Some(reason) = kernel::USO.lacking() {
        // The guest's own kernel has cut them.
        assert_eq!((whole.gso_frames, whole.packets), (0, 5000));
        left_out(&reason);
        return Ok(());
    }
    assert_eq!(whole.gso_segments, 5000, "{whole:?}");
    assert_eq!(whole.gso_sizes.keys().collect::<Vec<_>>(), [&1200]);

    lab.guest(1).renegotiate(Offloads {
        uso: false,
        ..Offloads::ALL
    })?;
    udp_stream(&web, &db, &uso)?;
    lab.wait_quiet()?;
    let cut = lab.guest(1).truth_to_vm().since(&whole);
    assert_eq!((cut.gso_frames, cut.packets), (0, 5000));
    Ok(())
}

#[test]
fn hand_made_frames_of_every_kind_are_accepted() -> Result<()> {
    skip_unless_lab!();
    let lab = two_guests()?;
    let (web, db) = (lab.guest(0), lab.guest(1));
    let plain = frame(web, db, 500);
    let ip6s = (web.config().ip6.into(), db.config().ip6.into());
    let tcp = L4::Tcp { options_bytes: 0 };
    let uso = FrameSpec {
        payload_bytes: 30_000,
        segmentation: Segmentation::Segment(1400),
        ..plain
    };
    let mut specs = vec![
        plain,
        FrameSpec {
            partial_checksum: true,
            ..plain
        },
        FrameSpec {
            l4: L4::Sctp,
            ..plain
        },
        FrameSpec {
            ips: ip6s,
            hop_by_hop: true,
            ..plain
        },
        FrameSpec {
            l4: tcp,
            ips: ip6s,
            payload_bytes: 30_000,
            segmentation: Segmentation::Segment(1440),
            ..plain
        },
    ];
    match kernel::USO.lacking() {
        None => specs.push(uso),
        Some(reason) => {
            assert!(inject(web, &uso).is_err());
            left_out(&reason);
        }
    }
    lab.wait_quiet()?;
    let before = db.truth_to_vm();
    for spec in &specs {
        inject(web, spec).with_context(|| format!("{spec:?}"))?;
    }
    lab.wait_quiet()?;
    // All of them arrive; the receiver may have something to say to some.
    let from_web = db.truth_to_vm().since(&before).by_source[&web.config().mac];
    assert_eq!(from_web.frames, specs.len() as u64);

    // The tap takes these; beyond it one is always cut, the other never passes.
    let ufo = FrameSpec {
        payload_bytes: 4000,
        segmentation: Segmentation::Ufo(1400),
        ..plain
    };
    let oversize = FrameSpec {
        payload_bytes: 3000,
        ..plain
    };
    let before = (web.truth_from_vm(), db.truth_to_vm());
    inject(web, &ufo)?;
    inject(web, &oversize)?;
    lab.wait_quiet()?;
    let sent = web.truth_from_vm().since(&before.0);
    let received = db.truth_to_vm().since(&before.1);
    assert_eq!((sent.gso_frames, sent.gso_segments), (1, 3));
    assert_eq!(
        (received.packets, received.gso_frames),
        (sent.gso_segments, 0)
    );
    assert_truth_is_the_kernels(web)?;

    // What the kernel refuses is not counted. vhost-net does not tell of it.
    if web.config().backend != Backend::Relay {
        return Ok(());
    }
    let header = VnetHdr {
        hdr_len: 2000,
        ..VnetHdr::default()
    };
    let (bytes, _) = plain.build()?;
    assert!(web.inject(&bytes, header).is_err());
    assert_eq!(web.truth_from_vm().since(&before.0).packets, 2);
    Ok(())
}

#[test]
fn a_paused_guest_makes_its_tap_drop() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guest(GuestConfig::new("web", 1))?;
    lab.add_guest(GuestConfig {
        ring_frames: 64,
        ..GuestConfig::new("stuck", 2)
    })?;
    let (web, stuck) = ends(&lab);
    lab.wait_quiet()?;
    let (sender, guest) = (lab.guest(0), lab.guest(1));
    guest.pause()?;
    let sent_before = sender.truth_from_vm();
    let before = guest.counts()?;
    let _sink = udp_blast(&web, &stuck, Family::V4, 1000, 100)?;
    wait_until("the sender to finish", Duration::from_secs(5), || {
        Ok(sender.truth_from_vm().since(&sent_before).packets == 1000)
    })?;
    // The bridge forwards within the sender's write: the drops are all in.
    let dropped = guest.counts()?.since(&before).kernel.tx_dropped;
    // Frames read earlier may still occupy slots of the ring, which the
    // kernel frees in batches; it never holds more than its size.
    assert!((1000 - 64..1000).contains(&dropped), "{dropped} drops");
    // Nothing is read while paused; the ring's contents arrive afterwards.
    assert_eq!(guest.truth_to_vm(), before.to_vm);
    guest.resume()?;
    wait_until("the ring to drain", Duration::from_secs(5), || {
        Ok(guest.truth_to_vm().since(&before.to_vm).packets == 1000 - dropped)
    })
}

#[test]
fn a_multi_queue_guest_counts_on_every_queue() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    for (name, index) in [("web", 1), ("db", 2)] {
        lab.add_guest(GuestConfig {
            queues: 4,
            ..GuestConfig::new(name, index)
        })?;
    }
    let (web, db) = ends(&lab);
    std::thread::scope(|scope| -> Result<()> {
        let streams: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    tcp_stream(&web, &db, &TcpOptions::new(Family::V4, scaled(30_000_000)))
                })
            })
            .collect();
        for stream in streams {
            stream.join().expect("stream")?;
        }
        Ok(())
    })?;
    lab.wait_quiet()?;
    for guest in lab.guests() {
        assert_truth_is_the_kernels(guest)?;
    }
    Ok(())
}

#[test]
fn the_host_itself_can_talk_to_guests() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    let (host, web) = (lab.host_endpoint()?, lab.guest(0).endpoint());
    for family in [Family::V4, Family::V6] {
        tcp_stream(&host, &web, &TcpOptions::new(family, scaled(20_000_000)))?;
        tcp_stream(&web, &host, &TcpOptions::new(family, scaled(20_000_000)))?;
    }
    lab.wait_quiet()?;
    assert_truth_is_the_kernels(lab.guest(0))
}

#[test]
fn guests_come_and_go() -> Result<()> {
    skip_unless_lab!();
    let mut lab = two_guests()?;
    lab.add_idle_tap("owidle0")?;
    link::ifindex(lab.host(), "owidle0")?;
    let tap = lab.guest(1).tap().to_owned();
    lab.remove_guest(1);
    // The kernel may take a moment to free the device.
    wait_until("the tap to go", Duration::from_secs(5), || {
        Ok(link::ifindex(lab.host(), &tap).is_err())
    })?;
    lab.add_guest(GuestConfig::new("db", 2))?;
    let (web, db) = ends(&lab);
    tcp_stream(&web, &db, &TcpOptions::new(Family::V4, 1_000_000))?;
    Ok(())
}

#[test]
fn namespaces_are_private_and_silent() -> Result<()> {
    skip_unless_lab!();
    let lab = two_guests()?;
    let inums = [lab.host(), lab.guest(0).ns(), lab.guest(1).ns()].map(Netns::inum);
    assert!(inums[0] != inums[1] && inums[1] != inums[2] && inums[0] != inums[2]);
    // Nobody talks without being asked, from the very start.
    lab.wait_quiet()?;
    let (web, db) = ends(&lab);
    udp_stream(&web, &db, &UdpOptions::new(Family::V6, 1, 1))?;
    lab.wait_quiet()?;
    for guest in lab.guests() {
        assert_eq!(guest.total_packets(), 1, "{:?}", guest.counts()?);
    }
    Ok(())
}

#[test]
fn a_tap_without_virtio_headers_passes_no_offload() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guest(GuestConfig::new("web", 1))?;
    lab.add_guest(GuestConfig {
        vnet_hdr: false,
        ..GuestConfig::new("plain", 2)
    })?;
    let (web, plain) = ends(&lab);
    tcp_stream(
        &web,
        &plain,
        &TcpOptions::new(Family::V4, scaled(5_000_000)),
    )?;
    tcp_stream(
        &plain,
        &web,
        &TcpOptions::new(Family::V6, scaled(5_000_000)),
    )?;
    lab.wait_quiet()?;
    assert!(lab.guest(0).truth_from_vm().gso_frames > 0);
    let guest = lab.guest(1);
    for truth in [guest.truth_from_vm(), guest.truth_to_vm()] {
        assert_eq!((truth.gso_frames, truth.needs_csum_frames), (0, 0));
        assert!(truth.packets > scaled(1_000));
    }
    assert_truth_is_the_kernels(guest)
}
