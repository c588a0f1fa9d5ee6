//! Hosts on which all is well.

use anyhow::ensure;
use offwatch_tests::{guest::Family, traffic::TcpFlow};

use super::bank::{
    Expect, Expected, Fix, Scenario, Scene, all_whole, both_ways, each, flow_options,
};

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

/// GSO of a tap is about sockets of the host alone.
fn gso_flag_of_a_tap_off() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"])?.after(&["ethtool -K {db} gso off"]),
        traffic: |scene, going| going.keep(each(scene, &[("web", "db")])?),
        condition: all_whole,
        expect: Expect::Keep(vec![
            Expected::keep_on("web"),
            Expected::keep("tap-gso-flag", "db"),
        ]),
        fix: Fix::None,
    }
}

/// The host itself talks to a guest that accepts everything.
fn the_host_itself_sends() -> Scenario {
    Scenario {
        build: || Scene::of(&["web"]),
        traffic: |scene, going| {
            let (host, web) = (scene.lab.host_endpoint()?, scene.end("web")?);
            let options = flow_options(Family::V4);
            going.keep(vec![
                TcpFlow::start(&host, &web, options)?,
                TcpFlow::start(&web, &host, options)?,
            ])
        },
        condition: all_whole,
        expect: Expect::Keep(vec![Expected::keep_on("web")]),
        fix: Fix::None,
    }
}

/// A shaper as libvirt makes one for `<inbound>`: it cuts nothing.
fn shaper_that_cuts_nothing() -> Scenario {
    Scenario {
        build: || {
            Scene::of(&["web", "db"])?.after(&[
                "tc qdisc replace dev {db} root handle 1: htb default 1",
                "tc class add dev {db} parent 1: classid 1:1 htb rate 4gbit burst 256kb",
            ])
        },
        traffic: |scene, going| going.keep(each(scene, &[("web", "db")])?),
        condition: all_whole,
        expect: Expect::Keep(["web", "db"].map(Expected::keep_on).into()),
        fix: Fix::None,
    }
}

/// Without traffic there is no verdict, whatever the settings are.
fn no_traffic_no_verdict() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"])?.after(&["ethtool -K {db} tx off"]),
        traffic: |_, _| Ok(()),
        condition: |scene, seen| {
            let frames = seen.port(scene.tap("db")?, |port| port.to.packets)?;
            ensure!(frames == 0, "{frames} frames");
            Ok(())
        },
        expect: Expect::Silence,
        fix: Fix::None,
    }
}

scenarios!(
    healthy_tso_guests,
    bridge_flags_off,
    flags_off_on_the_senders_tap,
    gso_flag_of_a_tap_off,
    the_host_itself_sends,
    shaper_that_cuts_nothing,
    no_traffic_no_verdict,
);
