//! Guests and taps that accept or send less than they could.

use anyhow::{Result, ensure};
use offwatch::advise::{Verdict, advice::Scope};
use offwatch_tests::{Offloads, link};

use super::bank::{Expect, Expected, Fix, Scenario, Scene, Seen, each};

const NO_TSO: Offloads = Offloads {
    tso4: false,
    tso6: false,
    ecn: false,
    ..Offloads::ALL
};

/// The host cut for a guest.
pub(super) fn cut_for(scene: &Scene, seen: &Seen, name: &str) -> Result<()> {
    let cut = seen.port(scene.tap(name)?, |port| port.cut())?;
    ensure!(cut > 1_000, "{cut} segments were cut for {name}");
    Ok(())
}

/// Of a tap that is the guest's or somebody's choice, the host's command comes
/// first; where the guest declines, it does not take.
fn declined(scene: &Scene, name: &str) -> Result<()> {
    let tap = scene.tap(name)?;
    let set = link::set_features(scene.lab.host(), tap, &["tx-tcp-segmentation", "on"]);
    ensure!(set.is_err(), "{tap} takes TSO against its guest");
    Ok(())
}

/// A guest whose driver accepts no TSO.
fn guest_without_tso() -> Scenario {
    Scenario {
        build: || Scene::of(&["web"])?.accepting("legacy", NO_TSO),
        traffic: |scene, going| going.keep(each(scene, &[("web", "legacy")])?),
        condition: |scene, seen| cut_for(scene, seen, "legacy"),
        expect: Expect::Findings(vec![Expected::finding(
            "tap-no-tso",
            Verdict::Change,
            "legacy",
            Scope::Tap,
            "ethtool -K {legacy} tx-tcp-segmentation on",
        )]),
        fix: Fix::Played(|scene| {
            declined(scene, "legacy")?;
            scene.guest("legacy")?.renegotiate(Offloads::ALL)
        }),
    }
}

/// Somebody has asked for TSO on its tap in vain: the guest declines it.
fn guest_declines_tso() -> Scenario {
    Scenario {
        build: || {
            let scene = Scene::of(&["web"])?.accepting("legacy", NO_TSO)?;
            declined(&scene, "legacy")?;
            Ok(scene)
        },
        expect: Expect::Findings(vec![Expected::finding(
            "tap-no-tso",
            Verdict::FixInGuest,
            "legacy",
            Scope::Guest,
            "rx-gro-hw on",
        )]),
        fix: Fix::Played(|scene| scene.guest("legacy")?.renegotiate(Offloads::ALL)),
        ..guest_without_tso()
    }
}

/// The definition of the guest does not offer TSO to it.
fn definition_without_tso() -> Scenario {
    Scenario {
        build: || {
            let scene = Scene::of(&["web"])?.accepting("legacy", NO_TSO)?;
            Ok(scene.defined("legacy", |domain| {
                domain.driver = Some("<guest tso4='off' tso6='off' ecn='off'/>".into());
            }))
        },
        expect: Expect::Findings(vec![Expected::finding(
            "tap-no-tso",
            Verdict::Change,
            "legacy",
            Scope::LibvirtXml,
            "<guest csum='on' tso4='on'",
        )]),
        fix: Fix::Played(cold_start),
        ..guest_without_tso()
    }
}

/// The same of Windows, which calls it RSC.
fn windows_guest_without_rsc() -> Scenario {
    Scenario {
        build: || {
            let scene = Scene::of(&["web"])?.accepting("legacy", NO_TSO)?;
            Ok(scene.defined("legacy", |domain| {
                domain.os_id = Some("http://microsoft.com/win/2k22".into());
            }))
        },
        expect: Expect::Findings(vec![Expected::finding(
            "windows-no-rsc",
            Verdict::Change,
            "legacy",
            Scope::LibvirtXml,
            "tso4='on'",
        )]),
        fix: Fix::Played(cold_start),
        ..guest_without_tso()
    }
}

/// The guest is stopped, and starts with a definition that offers everything.
fn cold_start(scene: &mut Scene) -> Result<()> {
    let mut config = scene.lab.guest(1).config().clone();
    (config.offloads, config.vnet_hdr) = (Offloads::ALL, true);
    scene.lab.remove_guest(1);
    scene.lab.add_guest(config).map(drop)
}

/// The guest accepts TSO, and somebody has switched it off on its tap.
fn tap_tso_off_by_policy() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"])?.after(&["ethtool -K {db} tso off"]),
        traffic: |scene, going| going.keep(each(scene, &[("web", "db")])?),
        condition: |scene, seen| cut_for(scene, seen, "db"),
        expect: Expect::Findings(vec![Expected::finding(
            "tap-no-tso",
            Verdict::Change,
            "db",
            Scope::Tap,
            "ethtool -K {db} tx-tcp-segmentation on",
        )]),
        fix: Fix::Enforced,
    }
}

/// Checksums of the tap are off, and TSO with them.
fn tap_tx_off_by_policy() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"])?.after(&["ethtool -K {db} tx off"]),
        traffic: |scene, going| going.keep(each(scene, &[("web", "db")])?),
        condition: |scene, seen| {
            let summed = seen.port(scene.tap("db")?, |port| port.summed())?;
            ensure!(summed > 1_000_000, "{summed} bytes were summed");
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "tap-csum-off",
            Verdict::Change,
            "db",
            Scope::Tap,
            "ethtool -K {db} tx-checksum-ip-generic on",
        )]),
        fix: Fix::Enforced,
    }
}

/// Scatter-gather of the tap is off, and TSO with it.
fn tap_sg_off() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"])?.after(&["ethtool -K {db} sg off"]),
        traffic: |scene, going| going.keep(each(scene, &[("web", "db")])?),
        condition: |scene, seen| cut_for(scene, seen, "db"),
        expect: Expect::Findings(vec![Expected::finding(
            "tap-sg-off",
            Verdict::Change,
            "db",
            Scope::Tap,
            "ethtool -K {db} tx-scatter-gather on",
        )]),
        fix: Fix::Enforced,
    }
}

/// A tap made by somebody who knows nothing of virtio headers.
fn tap_without_vnet_hdr() -> Scenario {
    Scenario {
        build: || Scene::of(&["web"])?.with("plain", |config| config.vnet_hdr = false),
        traffic: |scene, going| going.keep(each(scene, &[("plain", "web"), ("web", "plain")])?),
        condition: |scene, seen| {
            let (from, gso) = seen.port(scene.tap("plain")?, |port| {
                (
                    port.from.packets,
                    port.from.gso_packets + port.to.gso_packets,
                )
            })?;
            ensure!(
                from > 1_000 && gso == 0,
                "{from} frames, {gso} super-frames"
            );
            cut_for(scene, seen, "plain")
        },
        expect: Expect::Findings(vec![Expected::finding(
            "tap-no-vnet-hdr",
            Verdict::Change,
            "plain",
            Scope::Tap,
            "IFF_VNET_HDR",
        )]),
        fix: Fix::Played(cold_start),
    }
}

/// Guests whose own stack sends single frames.
fn guest_sends_without_tso() -> Scenario {
    Scenario {
        build: || {
            Scene::of(&["web"])?.with("old", |config| config.send_offloads = Offloads::CSUM_ONLY)
        },
        traffic: |scene, going| going.keep(each(scene, &[("old", "web")])?),
        condition: |scene, seen| {
            let (single, gso) = seen.port(scene.tap("old")?, |port| {
                (port.from.single_packets(), port.from.gso_packets)
            })?;
            ensure!(
                single > 10_000 && gso == 0,
                "{single} frames, {gso} super-frames"
            );
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "guest-sends-no-tso",
            Verdict::FixInGuest,
            "old",
            Scope::Guest,
            "tso on",
        )]),
        fix: Fix::Played(|scene| scene.guest("old")?.renegotiate_send(Offloads::ALL)),
    }
}

/// Of three guests that receive, one accepts no TSO.
fn one_weak_port_on_a_bridge() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db", "api"])?.accepting("legacy", NO_TSO),
        traffic: |scene, going| {
            let ways = [("web", "db"), ("db", "api"), ("api", "legacy")];
            going.keep(each(scene, &ways)?)
        },
        condition: |scene, seen| {
            for (name, cut) in [("db", false), ("api", false), ("legacy", true)] {
                let found = seen.port(scene.tap(name)?, |port| port.cut())?;
                ensure!((found > 0) == cut, "{found} segments were cut for {name}");
            }
            Ok(())
        },
        expect: Expect::Findings(vec![
            Expected::finding(
                "tap-no-tso",
                Verdict::Change,
                "legacy",
                Scope::Tap,
                "ethtool -K {legacy} tx-tcp-segmentation on",
            ),
            Expected::keep("one-weak-port", "br0"),
        ]),
        fix: Fix::Played(|scene| scene.guest("legacy")?.renegotiate(Offloads::ALL)),
    }
}

/// What one VM sends is cut for two others: it is not at fault.
fn one_vm_causes_the_cost_of_others() -> Scenario {
    Scenario {
        build: || {
            Scene::of(&["web"])?
                .accepting("legacy", NO_TSO)?
                .accepting("ancient", Offloads::CSUM_ONLY)
        },
        traffic: |scene, going| going.keep(each(scene, &[("web", "legacy"), ("web", "ancient")])?),
        condition: |scene, seen| {
            let caused = seen.port(scene.tap("web")?, |port| port.caused_cut())?;
            ensure!(
                caused > 1_000,
                "{caused} segments were cut for frames of web"
            );
            Ok(())
        },
        expect: Expect::Findings(vec![
            Expected::finding(
                "tap-no-tso",
                Verdict::Change,
                "legacy",
                Scope::Tap,
                "{legacy}",
            ),
            Expected::finding(
                "tap-no-tso",
                Verdict::Change,
                "ancient",
                Scope::Tap,
                "{ancient}",
            ),
            Expected::keep("causes-others-cost", "web"),
        ]),
        fix: Fix::Played(|scene| {
            scene.guest("legacy")?.renegotiate(Offloads::ALL)?;
            scene.guest("ancient")?.renegotiate(Offloads::ALL)
        }),
    }
}

/// A guest's driver negotiates anew while offwatch looks: what is counted belongs
/// to two states.
fn guest_renegotiates_in_the_middle() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"]),
        traffic: |scene, going| {
            let flows = each(scene, &[("web", "db")])?;
            let no_uso = Offloads {
                uso: false,
                ..Offloads::ALL
            };
            let mut accepts = [no_uso, Offloads::ALL].into_iter().cycle();
            going.now_and_then(|| {
                let next = accepts.next().unwrap_or(Offloads::ALL);
                scene.guest("db")?.renegotiate(next)
            })?;
            going.keep(flows)
        },
        condition: |scene, seen| {
            let changed = seen.port(scene.tap("db")?, |port| port.features_changed)?;
            ensure!(changed > Some(0), "features changed {changed:?} times");
            Ok(())
        },
        expect: Expect::Keep(vec![Expected {
            rule: "mixed-window",
            verdict: Verdict::CannotSee,
            about: "db",
            fix: None,
        }]),
        fix: Fix::None,
    }
}

scenarios!(
    guest_without_tso,
    guest_declines_tso,
    definition_without_tso,
    windows_guest_without_rsc,
    tap_tso_off_by_policy,
    tap_tx_off_by_policy,
    tap_sg_off,
    tap_without_vnet_hdr,
    guest_sends_without_tso,
    one_weak_port_on_a_bridge,
    one_vm_causes_the_cost_of_others,
    guest_renegotiates_in_the_middle,
);
