//! Tunnels.

use anyhow::{Result, ensure};
use offwatch::advise::{Verdict, advice::Scope};
use offwatch_common::class;
use offwatch_tests::peer::{Peer, TUNNEL, UPLINK};

use super::bank::{Expect, Expected, Fix, Scenario, Scene, Seen, each};

fn behind_a_tunnel() -> Result<Scene> {
    let mut scene = Scene::of(&["web"])?;
    scene.peer = Some(Peer::tunnelled(&scene.lab)?);
    Ok(scene)
}

/// Super-frames went into the tunnel, and so many segments were cut below it.
fn cut_below(seen: &Seen) -> Result<u64> {
    let tunnelled = seen.port(TUNNEL, |port| port.to.gso_packets)?;
    ensure!(
        tunnelled > 100,
        "{tunnelled} super-frames went into the tunnel"
    );
    seen.port(UPLINK, |port| port.cut())
}

/// The uplink segments what is encapsulated.
fn vxlan_over_an_uplink_with_tunnel_segmentation() -> Scenario {
    Scenario {
        build: behind_a_tunnel,
        traffic: |scene, going| going.keep(each(scene, &[("web", "peer"), ("web", "peer")])?),
        condition: |_, seen| {
            let whole = seen.port(UPLINK, |port| port.to.classes[class::TUNNEL])?;
            let cut = cut_below(seen)?;
            ensure!(whole > 100 && cut == 0, "{whole} frames, {cut} segments");
            Ok(())
        },
        expect: Expect::Keep(vec![Expected::keep_on("web")]),
        fix: Fix::None,
    }
}

/// The uplink does not, and the host does.
fn vxlan_over_an_uplink_without_tunnel_segmentation() -> Scenario {
    Scenario {
        build: || {
            behind_a_tunnel()?.after(&[
                "ethtool -K owup0 tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off",
            ])
        },
        condition: |_, seen| {
            let cut = cut_below(seen)?;
            ensure!(cut > 1_000, "{cut} segments were cut below the tunnel");
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "uplink-no-tunnel-tso",
            Verdict::Change,
            UPLINK,
            Scope::Device,
            "ethtool -K owup0 tx-udp_tnl-segmentation on",
        )]),
        fix: Fix::Enforced,
        ..vxlan_over_an_uplink_with_tunnel_segmentation()
    }
}

scenarios!(
    vxlan_over_an_uplink_with_tunnel_segmentation,
    vxlan_over_an_uplink_without_tunnel_segmentation,
);
