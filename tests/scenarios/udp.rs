//! Super-frames of UDP, and frames with equal IP identifications.

use anyhow::ensure;
use offwatch::advise::{Verdict, advice::Scope};
use offwatch_common::class;
use offwatch_tests::{
    Offloads,
    frames::{FrameSpec, L4, Segmentation},
    gro,
    guest::{Family, GUEST_DEVICE},
    link,
    packet::Bypass,
    peer::{MAC, Peer, UPLINK},
    udp::{UdpOptions, udp_stream},
};

use super::{
    bank::{Expect, Expected, Fix, Scenario, Scene},
    offer::cut_for,
};

/// A guest sends USO frames to one that does not accept them.
fn uso_to_a_guest_without_it() -> Scenario {
    Scenario {
        build: || {
            let no_uso = Offloads {
                uso: false,
                ..Offloads::ALL
            };
            Scene::of(&["web"])?.accepting("db", no_uso)
        },
        traffic: |scene, going| {
            let (web, db) = (scene.end("web")?, scene.end("db")?);
            let options = UdpOptions {
                segmentation: true,
                ..UdpOptions::new(Family::V4, 2_000, 1_200)
            };
            going.again(|| udp_stream(&web, &db, &options))
        },
        condition: |scene, seen| {
            let sent = seen.port(scene.tap("web")?, |port| port.from.classes[class::USO])?;
            ensure!(sent > 0, "no USO frame was sent");
            cut_for(scene, seen, "db")
        },
        expect: Expect::Findings(vec![Expected::finding(
            "udp-no-uso",
            Verdict::Upgrade,
            "db",
            Scope::Host,
            "guest_uso4=on",
        )]),
        fix: Fix::Played(|scene| scene.guest("db")?.renegotiate(Offloads::ALL)),
    }
}

/// A guest sends USO frames through an uplink where somebody has switched it off.
fn uso_off_on_an_uplink() -> Scenario {
    Scenario {
        build: || {
            let mut scene = Scene::of(&["web"])?;
            scene.peer = Some(Peer::bridged(&scene.lab)?);
            scene.after(&["ethtool -K owup0 tx-udp-segmentation off"])
        },
        traffic: |scene, going| {
            let (web, peer) = (scene.end("web")?, scene.end("peer")?);
            let options = UdpOptions {
                segmentation: true,
                ..UdpOptions::new(Family::V4, 2_000, 1_200)
            };
            going.again(|| udp_stream(&web, &peer, &options))
        },
        condition: |_, seen| {
            let cut = seen.port(UPLINK, |port| port.cut())?;
            ensure!(cut > 1_000, "{cut} segments were cut for the uplink");
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "udp-no-uso",
            Verdict::Change,
            UPLINK,
            Scope::Device,
            "ethtool -K owup0 tx-udp-segmentation on",
        )]),
        fix: Fix::Enforced,
    }
}

/// A guest sends UDP to be fragmented, which no device does any more.
fn ufo_only_guest() -> Scenario {
    Scenario {
        build: || Scene::of(&["old", "db"]),
        traffic: |scene, going| {
            let frame = FrameSpec {
                payload_bytes: 8_000,
                segmentation: Segmentation::Ufo(1_400),
                ..scene.frame_to_nobody("old", "db")?
            };
            let (frame, header) = frame.build()?;
            let old = scene.guest("old")?;
            going.again(|| old.inject(&frame, header))
        },
        condition: |scene, seen| {
            let sent = seen.port(scene.tap("old")?, |port| port.from.classes[class::UFO])?;
            ensure!(sent > 100, "{sent} UFO frames were sent");
            cut_for(scene, seen, "db")
        },
        expect: Expect::Keep(vec![Expected::keep("ufo-guest", "old")]),
        fix: Fix::None,
    }
}

/// GRO of the uplink merges frames whose IP identification does not count up.
fn mangleid_gap() -> Scenario {
    Scenario {
        build: || {
            let mut scene = Scene::of(&["web"])?;
            let peer = Peer::bridged(&scene.lab)?;
            // GRO of a veth merges only what its peer would have cut.
            link::set_features(peer.ns(), GUEST_DEVICE, &["tso", "off"])?;
            scene.peer = Some(peer);
            gro::enable(scene.lab.host(), UPLINK)?;
            Ok(scene)
        },
        traffic: |scene, going| {
            let peer = scene.end("peer")?;
            let wire = Bypass::open(&peer.ns, GUEST_DEVICE)?;
            let mut sequence = 1_u32;
            let base = FrameSpec {
                source: MAC,
                l4: L4::Tcp { options_bytes: 12 },
                payload_bytes: SEGMENT_BYTES,
                ..scene.frame_to_nobody("web", "web")?
            };
            going.again(|| {
                for _ in 0..BURST_FRAMES {
                    let (frame, _) = FrameSpec { sequence, ..base }.build()?;
                    wire.send(&frame)?;
                    sequence = sequence.wrapping_add(SEGMENT_BYTES as u32);
                }
                Ok(())
            })
        },
        condition: |scene, seen| {
            let merged = seen.port(UPLINK, |port| port.from.gso_packets)?;
            ensure!(merged > 100, "GRO made {merged} super-frames");
            cut_for(scene, seen, "web")
        },
        expect: Expect::Findings(vec![Expected::finding(
            "mangleid-gap",
            Verdict::NeedsTrial,
            "web",
            Scope::Tap,
            "ethtool -K {web} tx-tcp-mangleid-segmentation on",
        )]),
        fix: Fix::Printed,
    }
}

const SEGMENT_BYTES: usize = 1_448;
const BURST_FRAMES: usize = 40;

scenarios!(
    uso_to_a_guest_without_it,
    uso_off_on_an_uplink,
    ufo_only_guest,
    mangleid_gap
);
