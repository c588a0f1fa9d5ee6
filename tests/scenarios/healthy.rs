//! Hosts on which all is well.

use anyhow::ensure;

use super::bank::{Expect, Expected, Fix, Scenario, Scene, all_whole, both_ways, each};

/// Three guests that accept everything, with TCP over both families.
fn healthy_tso_guests() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db", "api"]),
        traffic: |scene, going| {
            let mut flows = both_ways(scene, "web", "db")?;
            flows.extend(each(scene, &[("db", "api")])?);
            going.keep(flows)
        },
        condition: all_whole,
        expect: Expect::Keep(["web", "db", "api"].map(Expected::keep_on).into()),
        fix: Fix::None,
    }
}

/// A bridge's own flags do nothing for frames that it forwards.
fn bridge_flags_off() -> Scenario {
    Scenario {
        build: || {
            Scene::of(&["web", "db", "api"])?
                .after(&["ethtool -K br0 tx off tso off gso off sg off"])
        },
        expect: Expect::Keep(vec![
            Expected::keep_on("db"),
            Expected::keep("bridge-flags", "br0"),
        ]),
        ..healthy_tso_guests()
    }
}

/// Flags of a tap are about what its guest receives, and this one sends.
fn flags_off_on_the_senders_tap() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"])?.after(&["ethtool -K {web} tso off gso off"]),
        traffic: |scene, going| going.keep(each(scene, &[("web", "db")])?),
        condition: |scene, seen| {
            let sent = seen.port(scene.tap("web")?, |port| port.from.gso_packets)?;
            ensure!(sent > 0, "no super-frame from web");
            all_whole(scene, seen)
        },
        expect: Expect::Keep(vec![
            Expected::keep_on("db"),
            Expected::keep("ingress-tap-flags", "web"),
        ]),
        fix: Fix::None,
    }
}

scenarios!(
    healthy_tso_guests,
    bridge_flags_off,
    flags_off_on_the_senders_tap,
);
