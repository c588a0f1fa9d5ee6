//! Network cards of the host, their drivers and their kernel.

use offwatch::{
    advise::{
        Verdict,
        advice::Scope,
        testing::{Frames, Made},
        window::Feature,
    },
    facts::topology::Lower,
    sample::evidence::Sign,
};
use offwatch_common::class;

use super::{
    super::bank::{Expect, Expected, Replayed},
    card, change, host, keep,
};

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

/// TSO of the card is off, and the host cuts for all VMs.
fn uplink_without_tso() -> Replayed {
    Replayed {
        window: || {
            let tso = [Feature::Tso, Feature::Tso6];
            let card = Made::uplink("eth0", 2, "igb").off(&tso).cut(160_000);
            host(card.to(Frames::plain(160_000, 1_514)))
        },
        expect: change(
            "uplink-no-tso",
            "eth0",
            Scope::Uplink,
            "eth0 tx-tcp-segmentation on tx-tcp6-segmentation on",
        ),
    }
}

/// A card that cannot segment tunnels and is asked to: the price is told, and
/// nothing is to be done.
fn uplink_that_cannot_segment_tunnels() -> Replayed {
    Replayed {
        window: || {
            let tunnel = [Feature::UdpTunnel, Feature::UdpTunnelCsum];
            let card = Made::uplink("eth0", 2, "e1000").off(&tunnel).fixed(&tunnel);
            let vxlan = Made::other("vxlan7", 9, "vxlan").to(Frames::tcp(6_000, 40));
            let vxlan = vxlan.device(|device| device.lower = Some(Lower::Link(2)));
            host(card.to(Frames::plain(240_000, 1_564)).cut(240_000)).with(vxlan.master(3))
        },
        expect: Expect::Keep(vec![Expected::keep("uplink-no-tunnel-tso", "eth0")]),
    }
}

/// A card vouches for checksums that are wrong.
fn card_that_vouches_for_wrong_checksums() -> Replayed {
    Replayed {
        window: || host(card("mlx5_core").on(&[Feature::RxChecksum])).sign(Sign::RxChecksum, 3),
        expect: change(
            "uplink-rx-checksum",
            "eth0",
            Scope::Uplink,
            "eth0 rx-checksum off",
        ),
    }
}

/// A host inside VMware whose tunnels lose TCP.
fn overlay_over_vmxnet3() -> Replayed {
    Replayed {
        window: || {
            let card = Made::uplink("eth0", 2, "vmxnet3");
            let card = card.to(Frames::tcp(1_000, 3).class(class::TUNNEL));
            let vxlan = Made::other("vxlan7", 9, "vxlan").to(Frames::tcp(1_000, 3));
            let vxlan = vxlan.device(|device| device.lower = Some(Lower::Link(2)));
            host(card).with(vxlan.from(Frames::plain(20, 80)).master(3))
        },
        expect: Expect::Findings(vec![Expected::finding(
            "vmxnet3-overlay",
            Verdict::NeedsTrial,
            "eth0",
            Scope::Uplink,
            "eth0 tx-udp_tnl-segmentation off",
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
    uplink_without_tso,
    uplink_that_cannot_segment_tunnels,
    card_that_vouches_for_wrong_checksums,
    overlay_over_vmxnet3,
);
