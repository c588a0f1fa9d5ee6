//! Sizes and MTUs.

use anyhow::{Result, ensure};
use offwatch::advise::{Verdict, advice::Scope};
use offwatch_tests::{
    command::run,
    frames::{FrameSpec, L4, Segmentation},
    gro,
    guest::{Family, GUEST_DEVICE},
    link,
    peer::{Peer, UPLINK},
    traffic::{TcpFlow, TcpOptions},
    udp::udp_blast,
};

use super::{
    bank::{Expect, Expected, Fix, Going, Scenario, Scene, all_whole, each, flow_options},
    offer::cut_for,
};

const JUMBO_BYTES: u32 = 9_000;

/// Somebody made a tap take only short super-frames.
fn lowered_gso_max_size() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"])?.after(&["ip link set {db} gso_max_size 16000"]),
        traffic: |scene, going| going.keep(each(scene, &[("web", "db")])?),
        condition: |scene, seen| cut_for(scene, seen, "db"),
        expect: Expect::Findings(vec![Expected::finding(
            "gso-limit-lowered",
            Verdict::Change,
            "db",
            Scope::Tap,
            "ip link set dev {db} gso_max_size 65536",
        )]),
        fix: Fix::Printed,
    }
}

/// GRO of the uplink merges more than any tap takes.
fn big_tcp_uplink() -> Scenario {
    Scenario {
        build: || {
            let mut scene = Scene::of(&["web"])?;
            let peer = Peer::bridged(&scene.lab)?;
            link::set_features(peer.ns(), GUEST_DEVICE, &["tso", "off"])?;
            // What arrives at once is merged: let it be much.
            let long = ["ip", "link", "set", GUEST_DEVICE, "gso_max_size", "196608"];
            run(peer.ns(), &long)?;
            scene.peer = Some(peer);
            gro::enable(scene.lab.host(), UPLINK)?;
            scene.after(&["ip link set owup0 gro_max_size 196608"])
        },
        traffic: |scene, going| {
            let flow = TcpFlow::start(
                &scene.end("peer")?,
                &scene.end("web")?,
                TcpOptions {
                    bits_per_second: None,
                    ..flow_options(Family::V6)
                },
            )?;
            going.keep(vec![flow])
        },
        condition: |scene, seen| {
            let (long, caused) = seen.port(UPLINK, |port| {
                (port.from.frames_from(65_536), port.caused_cut())
            })?;
            ensure!(long > 100, "GRO made {long} frames above 64 KB");
            ensure!(caused > 10_000, "{caused} segments were cut for them");
            cut_for(scene, seen, "web")
        },
        expect: Expect::Findings(vec![Expected::finding(
            "big-tcp-uplink",
            Verdict::Change,
            UPLINK,
            Scope::Device,
            "gro_max_size 65536",
        )]),
        fix: Fix::Printed,
    }
}

/// Datagrams of 8,000 bytes from one to another, whatever becomes of them.
fn long_datagrams(scene: &Scene, going: &Going) -> Result<()> {
    let (web, db) = (scene.end("web")?, scene.end("db")?);
    going.again(|| udp_blast(&web, &db, Family::V4, 1, 8_000).map(drop))
}

/// A guest has a larger MTU than its tap, and what it sends is dropped by the
/// bridge, which tells nobody.
fn long_frames_dropped_silently() -> Scenario {
    Scenario {
        build: || {
            Scene::of(&["db"])?
                .with("web", |config| config.mtu_bytes = JUMBO_BYTES)?
                .after(&["ip link set {web} mtu 1500"])
        },
        traffic: long_datagrams,
        condition: |scene, seen| {
            let sent = seen.port(scene.tap("web")?, |port| port.from.oversize_packets)?;
            let dropped = seen.port(scene.tap("db")?, |port| port.to.drops)?;
            ensure!(
                sent > 100 && dropped > 100,
                "{dropped} of {sent} were dropped"
            );
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "oversize-dropped",
            Verdict::FixInGuest,
            "web",
            Scope::Guest,
            "mtu 1500",
        )]),
        fix: Fix::Played(|scene| link::set_mtu(scene.guest("web")?.ns(), GUEST_DEVICE, 1_500)),
    }
}

/// Ports of one bridge have different MTUs, and single frames of one are too long
/// for the other.
fn jumbo_mix_that_drops() -> Scenario {
    Scenario {
        build: || Scene::of(&["db"])?.with("web", |config| config.mtu_bytes = JUMBO_BYTES),
        traffic: long_datagrams,
        condition: |scene, seen| {
            let dropped = seen.port(scene.tap("db")?, |port| port.to.drops)?;
            ensure!(dropped > 100, "{dropped} were dropped");
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "jumbo-port-mix",
            Verdict::Change,
            "db",
            Scope::Tap,
            "mtu 9000",
        )]),
        fix: Fix::Printed,
    }
}

/// Ports of one bridge have different MTUs, and TCP copes.
fn jumbo_mix_that_copes() -> Scenario {
    Scenario {
        build: || {
            Scene::of(&["web", "db"])?
                .with("jumbo", |config| config.mtu_bytes = JUMBO_BYTES)?
                .with("giant", |config| config.mtu_bytes = JUMBO_BYTES)
        },
        traffic: |scene, going| {
            going.keep(each(
                scene,
                &[("jumbo", "giant"), ("jumbo", "web"), ("web", "db")],
            )?)
        },
        condition: |scene, seen| {
            let long = seen.port(scene.tap("giant")?, |port| port.to.gso_sizes_from(8_000))?;
            ensure!(long > 0, "no segments of jumbo frames");
            all_whole(scene, seen)
        },
        expect: Expect::Keep(
            ["web", "db", "jumbo", "giant"]
                .map(Expected::keep_on)
                .into(),
        ),
        fix: Fix::None,
    }
}

/// Segments of super-frames are longer than the port of their receiver takes.
/// The bridge does not look at those.
fn gso_above_path_mtu() -> Scenario {
    Scenario {
        build: || {
            Scene::of(&[])?
                .with("web", |config| config.mtu_bytes = JUMBO_BYTES)?
                .with("db", |_| {})
        },
        traffic: |scene, going| {
            let frame = FrameSpec {
                l4: L4::Tcp { options_bytes: 12 },
                payload_bytes: 5 * 8_948,
                segmentation: Segmentation::Segment(8_948),
                ..scene.frame_to_nobody("web", "db")?
            };
            let (frame, header) = frame.build()?;
            let web = scene.guest("web")?;
            going.again(|| web.inject(&frame, header))
        },
        condition: |scene, seen| {
            let long = seen.port(scene.tap("db")?, |port| port.to.gso_sizes_from(8_000))?;
            ensure!(long > 100, "{long} frames");
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "gso-above-mtu",
            Verdict::Change,
            "db",
            Scope::Tap,
            "mtu",
        )]),
        fix: Fix::Printed,
    }
}

/// A small MSS makes small segments: no offload is to blame.
fn small_gso_size() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"]),
        traffic: |scene, going| {
            let options = TcpOptions {
                max_segment_bytes: Some(400),
                ..flow_options(Family::V4)
            };
            let flow = TcpFlow::start(&scene.end("web")?, &scene.end("db")?, options)?;
            going.keep(vec![flow])
        },
        condition: |scene, seen| {
            let (all, large) = seen.port(scene.tap("db")?, |port| {
                (port.to.gso_packets, port.to.gso_sizes_from(536))
            })?;
            ensure!(
                all > 100 && large == 0,
                "{large} of {all} have large segments"
            );
            Ok(())
        },
        expect: Expect::Keep(vec![Expected::keep("small-segments", "web")]),
        fix: Fix::None,
    }
}

/// Frames of 2,962 bytes, which are 2,948 of IP: two segments in one frame.
fn two_coalesced_segments() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"]),
        traffic: |scene, going| {
            let frame = FrameSpec {
                l4: L4::Tcp { options_bytes: 12 },
                payload_bytes: 2 * 1_448,
                segmentation: Segmentation::Segment(1_448),
                ..scene.frame_to_nobody("web", "db")?
            };
            let (frame, header) = frame.build()?;
            assert_eq!(frame.len(), 14 + 2_948);
            let web = scene.guest("web")?;
            going.again(|| web.inject(&frame, header))
        },
        condition: |scene, seen| {
            let long = seen.port(scene.tap("db")?, |port| port.to.frames_from(2_048))?;
            ensure!(long > 100, "{long} frames");
            all_whole(scene, seen)
        },
        expect: Expect::Keep(vec![Expected::keep("coalesced-frames", "host")]),
        fix: Fix::None,
    }
}

scenarios!(
    lowered_gso_max_size,
    big_tcp_uplink,
    long_frames_dropped_silently,
    jumbo_mix_that_drops,
    jumbo_mix_that_copes,
    gso_above_path_mtu,
    small_gso_size,
    two_coalesced_segments,
);
