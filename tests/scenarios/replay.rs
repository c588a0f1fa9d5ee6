//! Conditions that no lab can create, as windows written by hand: faults of
//! drivers and cards, and guests other than Linux.

use offwatch::{
    advise::{
        Verdict,
        advice::Scope,
        testing::{Frames, Made, Scene},
        window::Feature,
    },
    facts::{
        nic::{Bandwidth, Rate},
        policer::{PoliceCounters, Policer},
    },
    sample::{evidence::Sign, offloads::Fact},
};
use offwatch_common::{class, drop_class};

use super::bank::{Expect, Expected, Replayed};

/// A host with a card of this driver in its bridge, and two guests that send and
/// receive through it.
fn host(uplink: Made) -> Scene {
    let tap = |dev, ifindex, vm| {
        let tap = Made::tap(dev, ifindex).vm(vm).master(3);
        tap.to(Frames::tcp(2_000, 40)).from(Frames::tcp(2_000, 40))
    };
    Scene::default()
        .with(uplink.master(3))
        .with(Made::bridge("br0", 3))
        .with(tap("vnet0", 7, "web"))
        .with(tap("vnet1", 8, "db"))
}

fn card(driver: &str) -> Made {
    let card = Made::uplink("eth0", 2, driver);
    card.from(Frames::tcp(4_000, 40)).to(Frames::tcp(4_000, 40))
}

/// Leave both guests' offloads on, and nothing else.
fn keep() -> Expect {
    Expect::Keep(["web", "db"].map(Expected::keep_on).into())
}

fn change(rule: &'static str, about: &'static str, scope: Scope, part: &'static str) -> Expect {
    let verdict = Verdict::Change;
    Expect::Findings(vec![Expected::finding(rule, verdict, about, scope, part)])
}

/// LRO of a card was turned on again below a bridge.
fn lro_on_a_bridge_port() -> Replayed {
    Replayed {
        window: || host(card("ixgbe").on(&[Feature::Lro])),
        expect: change("lro-forwarding", "eth0", Scope::Uplink, "eth0 rx-lro off"),
    }
}

/// LRO is on below a bond that is a port of a bridge.
fn lro_under_a_bond() -> Replayed {
    Replayed {
        window: || {
            let bond = Made::other("bond0", 4, "bond");
            let port = card("mlx5_core").on(&[Feature::Lro]).master(4);
            host(bond.from(Frames::tcp(4_000, 40))).with(port)
        },
        expect: change("lro-under-bond", "eth0", Scope::Uplink, "eth0 rx-lro off"),
    }
}

/// A card hangs while it segments.
fn e1000e_hangs() -> Replayed {
    Replayed {
        window: || host(card("e1000e").timeouts(2)),
        expect: change(
            "e1000e-hang",
            "eth0",
            Scope::Uplink,
            "eth0 tx-tcp-segmentation off tx-tcp6-segmentation off",
        ),
    }
}

/// The same driver without the fault is no reason for anything.
fn e1000e_that_does_not_hang() -> Replayed {
    Replayed {
        window: || host(card("e1000e")),
        expect: keep(),
    }
}

/// Realtek's needs scatter-gather off as well.
fn r8169_hangs() -> Replayed {
    Replayed {
        window: || host(card("r8169").timeouts(1)),
        expect: change("r8169-hang", "eth0", Scope::Uplink, "tx-scatter-gather off"),
    }
}

/// A card of another driver gets stuck: TSO may be the cause.
fn another_card_hangs() -> Replayed {
    Replayed {
        window: || host(card("igb").timeouts(1)),
        expect: Expect::Findings(vec![Expected::finding(
            "tx-timeout",
            Verdict::NeedsTrial,
            "eth0",
            Scope::Uplink,
            "tx-tcp-segmentation off",
        )]),
    }
}

/// A card merges frames and loses how: they are too long and not GSO.
fn merged_frames_that_cannot_be_cut() -> Replayed {
    Replayed {
        window: || {
            let card = card("bnx2x").on(&[Feature::GroHw]);
            host(card.from(Frames::plain(500, 2_962).oversize()))
        },
        expect: change("bad-merge", "eth0", Scope::Uplink, "eth0 rx-gro-hw off"),
    }
}

/// A policer drops every super-frame, as libvirt's `<outbound>` with a burst that
/// is too short.
fn policer_drops_super_frames() -> Replayed {
    Replayed {
        window: || {
            let tap = Made::tap("vnet2", 9).vm("api").master(3);
            let tap = tap.from(Frames::tcp(1_000, 40)).dropped(900, 0);
            let policed = Policer {
                rate_bytes_per_s: Some(125_000_000),
                burst_bytes: Some(10_240),
                counters: Some(PoliceCounters {
                    bytes: 60_000_000,
                    packets: 40_000,
                    drops: 36_000,
                    overlimits: 900,
                }),
                ..Policer::default()
            };
            let outbound = Some(Rate {
                average_bytes_per_s: Some(125_000_000),
                burst_bytes: Some(10_240),
                ..Rate::default()
            });
            let tap = tap.setup(|setup| {
                setup.bandwidth = Fact::Known(Bandwidth {
                    outbound,
                    ..Bandwidth::default()
                });
            });
            host(card("ixgbe"))
                .with(tap.device(|device| device.policers = Fact::Known(vec![policed])))
        },
        expect: change("policer-burst", "api", Scope::LibvirtXml, "burst"),
    }
}

/// Windows whose card does not offer TSO does not merge what it receives.
fn windows_without_rsc() -> Replayed {
    Replayed {
        window: || {
            let tap = Made::tap("vnet2", 9).vm("win").master(3);
            let tap = tap.off(&[Feature::Tso, Feature::TsoEcn, Feature::Tso6]);
            let sender = Made::tap("vnet3", 10).vm("api").master(3);
            host(card("ixgbe"))
                .with(tap.to(Frames::plain(80_000, 1_514)).cut(80_000))
                .with(sender.from(Frames::tcp(2_000, 40)).caused(80_000))
                .os("win", "http://microsoft.com/win/2k22")
        },
        expect: Expect::Findings(vec![Expected::finding(
            "windows-no-rsc",
            Verdict::Change,
            "win",
            Scope::LibvirtXml,
            "tso4='on'",
        )]),
    }
}

/// A guest loads an XDP program, and with it goes TSO.
fn guest_gives_tso_up() -> Replayed {
    Replayed {
        window: || {
            let tso = [Feature::Tso, Feature::TsoEcn, Feature::Tso6];
            let began = [Feature::TxChecksum, Feature::ScatterGather, Feature::Tso];
            let tap = Made::tap("vnet2", 9).vm("api").master(3).off(&tso);
            let tap = tap.began_with(&began).changed(1);
            host(card("ixgbe")).with(tap.to(Frames::plain(40_000, 1_514)).cut(20_000))
        },
        expect: Expect::Keep(vec![Expected {
            rule: "tso-went-off",
            verdict: Verdict::CannotSee,
            about: "api",
            fix: None,
        }]),
    }
}

/// The kernel warns of a guest's offload headers.
fn guest_with_bad_offload_headers() -> Replayed {
    Replayed {
        window: || {
            let tap = Made::tap("vnet2", 9).vm("old").master(3);
            host(card("ixgbe"))
                .with(tap.from(Frames::tcp(500, 3).class(class::OTHER)))
                .sign(Sign::BadOffload, 40)
        },
        expect: change("warn-flood", "old", Scope::LibvirtXml, "gso='off'"),
    }
}

/// A BSD firewall passes partial checksums on as if they were whole.
fn bsd_firewall_with_bad_checksums() -> Replayed {
    Replayed {
        window: || {
            let tap = Made::tap("vnet2", 9).vm("fw").master(3);
            let tap = tap.from(Frames::plain(10_000, 200)).dropped(500, 0);
            host(card("ixgbe"))
                .with(tap.dropped_for(drop_class::CHECKSUM, 500))
                .os("fw", "http://freebsd.org/freebsd/13.2")
        },
        expect: Expect::Findings(vec![Expected::finding(
            "bsd-forwards",
            Verdict::FixInGuest,
            "fw",
            Scope::Guest,
            "ifconfig vtnetN -rxcsum",
        )]),
    }
}

/// A kernel that gives UDP segments wrong checksums.
fn kernel_with_broken_udp_segments() -> Replayed {
    Replayed {
        window: || {
            let tap = Made::tap("vnet2", 9).vm("quic").master(3);
            let tap = tap.from(Frames::gso(2_000, 40, 1_200).class(class::USO));
            host(card("ixgbe"))
                .with(tap.dropped_for(drop_class::CHECKSUM, 300))
                .kernel("7.1.2")
        },
        expect: Expect::Findings(vec![Expected::finding(
            "udp-gso-regression",
            Verdict::Upgrade,
            "host",
            Scope::Host,
            "Linux 7.1.5",
        )]),
    }
}

replays!(
    lro_on_a_bridge_port,
    lro_under_a_bond,
    e1000e_hangs,
    e1000e_that_does_not_hang,
    r8169_hangs,
    another_card_hangs,
    merged_frames_that_cannot_be_cut,
    policer_drops_super_frames,
    windows_without_rsc,
    guest_gives_tso_up,
    guest_with_bad_offload_headers,
    bsd_firewall_with_bad_checksums,
    kernel_with_broken_udp_segments,
);
