//! Shapers, and guests that do not keep up.

use std::time::Duration;

use anyhow::ensure;
use offwatch::advise::{Verdict, advice::Scope};
use offwatch_tests::{guest::Family, quiet::wait_until, udp::udp_blast};

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

scenarios!(
    burst_shorter_than_super_frames,
    guest_that_does_not_drain_its_ring,
);
