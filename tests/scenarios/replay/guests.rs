//! Guests, and what stands between them and the host.

use offwatch::{
    advise::{
        Verdict,
        advice::Scope,
        testing::{Frames, Made},
        window::Feature,
    },
    facts::{
        nic::{Bandwidth, Rate},
        policer::{PoliceCounters, Policer},
    },
    sample::{evidence::Sign, offloads::Fact},
};
use offwatch_common::{class, drop_class};

use super::{
    super::bank::{Expect, Expected, Replayed},
    card, change, host,
};

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

/// Frames of a guest are dropped for checksums that are really wrong.
fn guest_with_wrong_checksums() -> Replayed {
    Replayed {
        window: || {
            let tap = Made::tap("vnet2", 9).vm("gen").master(3);
            let tap = tap.from(Frames::plain(10_000, 200)).dropped(500, 0);
            host(card("ixgbe")).with(tap.dropped_for(drop_class::CHECKSUM, 500))
        },
        expect: Expect::Findings(vec![Expected::finding(
            "checksum-drops",
            Verdict::NeedsTrial,
            "gen",
            Scope::Guest,
            "tx off",
        )]),
    }
}

/// A card of a VM that no hook sees: no word about it but that.
fn card_that_cannot_be_observed() -> Replayed {
    Replayed {
        window: || host(card("ixgbe")).unseen("dpdk", "vhost-user"),
        expect: Expect::Keep(vec![Expected {
            rule: "not-observable",
            verdict: Verdict::CannotSee,
            about: "dpdk",
            fix: None,
        }]),
    }
}

replays!(
    policer_drops_super_frames,
    windows_without_rsc,
    guest_gives_tso_up,
    guest_with_bad_offload_headers,
    bsd_firewall_with_bad_checksums,
    kernel_with_broken_udp_segments,
    guest_with_wrong_checksums,
    card_that_cannot_be_observed,
);
