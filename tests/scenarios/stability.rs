//! Shapers, and guests that do not keep up.

use std::time::Duration;

use anyhow::ensure;
use offwatch::advise::{Verdict, advice::Scope};
use offwatch_tests::{
    frames::{FrameSpec, L4, Segmentation},
    guest::Family,
    quiet::wait_until,
    udp::udp_blast,
};

use super::{
    bank::{Expect, Expected, Fix, Scenario, Scene, each},
    offer::cut_for,
};

const RING_FRAMES: u32 = 4096;

/// The ring is full by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// A shaper whose burst is shorter than super-frames cuts them.
fn burst_shorter_than_super_frames() -> Scenario {
    Scenario {
        build: || {
            Scene::of(&["web", "db"])?
                .after(&["tc qdisc replace dev {db} root tbf rate 1gbit burst 10kb limit 4mb"])
        },
        traffic: |scene, going| going.keep(each(scene, &[("web", "db")])?),
        condition: |scene, seen| cut_for(scene, seen, "db"),
        expect: Expect::Findings(vec![Expected::finding(
            "tbf-burst",
            Verdict::Change,
            "db",
            Scope::Tap,
            "tc qdisc change dev {db} root tbf",
        )]),
        fix: Fix::Printed,
    }
}

/// A guest does not take what is in its ring.
fn guest_that_does_not_drain_its_ring() -> Scenario {
    Scenario {
        build: || {
            let scene =
                Scene::of(&["web"])?.with("stuck", |config| config.ring_frames = RING_FRAMES)?;
            scene.lab.wait_quiet()?;
            let stuck = scene.guest("stuck")?;
            stuck.pause()?;
            // From the first moment on nothing is left of the ring.
            let (web, end) = (scene.end("web")?, stuck.endpoint());
            let _sink = udp_blast(&web, &end, Family::V4, 2 * u64::from(RING_FRAMES), 200)?;
            wait_until("the ring to be full", PATIENCE, || {
                Ok(stuck.kernel_stats()?.tx_dropped > 0)
            })?;
            Ok(scene)
        },
        traffic: |scene, going| {
            let (web, stuck) = (scene.end("web")?, scene.end("stuck")?);
            going.again(|| udp_blast(&web, &stuck, Family::V4, 20, 200).map(drop))
        },
        condition: |scene, seen| {
            let full = seen.port(scene.tap("stuck")?, |port| port.drops.full_ring)?;
            ensure!(full > Some(100), "{full:?} frames were dropped");
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "guest-stopped-reading",
            Verdict::FixInGuest,
            "stuck",
            Scope::Guest,
            "modprobe -r virtio_net",
        )]),
        fix: Fix::Played(|scene| scene.guest("stuck")?.resume()),
    }
}

/// A guest reads now and then, and its ring is too short for what comes in
/// between.
fn ring_too_short_for_its_reader() -> Scenario {
    Scenario {
        build: || Scene::of(&["web"])?.with("slow", |config| config.ring_frames = 32),
        traffic: |scene, going| {
            let (web, slow) = (scene.guest("web")?, scene.guest("slow")?);
            going.again(|| {
                slow.pause()?;
                let sent = web.truth_from_vm().packets;
                let _sink = udp_blast(&web.endpoint(), &slow.endpoint(), Family::V4, BURST, 200)?;
                wait_until("the burst to be sent", PATIENCE, || {
                    Ok(web.truth_from_vm().packets >= sent + BURST)
                })?;
                slow.resume()
            })
        },
        condition: |scene, seen| {
            let (full, read) = seen.port(scene.tap("slow")?, |port| {
                (port.drops.full_ring, port.to.packets)
            })?;
            ensure!(
                full > Some(100) && read > 100,
                "{full:?} dropped, {read} read"
            );
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "ring-overflows",
            Verdict::NeedsTrial,
            "slow",
            Scope::Tap,
            "ip link set dev {slow} txqueuelen 10000",
        )]),
        fix: Fix::Printed,
    }
}

const BURST: u64 = 200;

/// Super-frames whose headers contradict each other, to a guest for which they
/// have to be cut.
fn frames_that_cannot_be_cut() -> Scenario {
    Scenario {
        build: || Scene::of(&["bad", "db"])?.after(&["ethtool -K {db} tso off"]),
        traffic: |scene, going| {
            const DATA_OFFSET: usize = 14 + 20 + 12;
            let frame = FrameSpec {
                l4: L4::Tcp { options_bytes: 0 },
                payload_bytes: 4_000,
                segmentation: Segmentation::Segment(1_000),
                ..scene.frame_to_nobody("bad", "db")?
            };
            let (mut frame, header) = frame.build()?;
            // No TCP header is so short.
            frame[DATA_OFFSET] = 1 << 4;
            let bad = scene.guest("bad")?;
            going.again(|| bad.inject(&frame, header))
        },
        condition: |scene, seen| {
            let dropped = seen.port(scene.tap("db")?, |port| {
                port.drops.validate_xmit.unwrap_or(0) + port.drops.gso.unwrap_or(0)
            })?;
            ensure!(dropped > 100, "{dropped} were dropped");
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "cannot-be-cut",
            Verdict::NeedsTrial,
            "db",
            Scope::Guest,
            "of bad, which sends them: ethtool -K IFACE tso off",
        )]),
        fix: Fix::None,
    }
}

scenarios!(
    burst_shorter_than_super_frames,
    guest_that_does_not_drain_its_ring,
    ring_too_short_for_its_reader,
    frames_that_cannot_be_cut,
);
