//! Checksums that are still to be computed, and who minds.

use anyhow::ensure;

use super::bank::{Expect, Expected, Fix, Scenario, Scene, all_whole, both_ways};

/// A capture on the host shows checksums of frames before anyone has computed
/// them.
fn capture_false_alarm() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"]),
        traffic: |scene, going| {
            let _capture = scene.capture()?;
            going.keep(both_ways(scene, "web", "db")?)
        },
        condition: |scene, seen| {
            let partial = seen.port(scene.tap("db")?, |port| port.to.partial_packets)?;
            ensure!(partial > 100, "{partial} frames with a partial checksum");
            all_whole(scene, seen)
        },
        expect: Expect::Keep(vec![Expected::keep("capture-bad-checksums", "host")]),
        fix: Fix::None,
    }
}

scenarios!(capture_false_alarm);
