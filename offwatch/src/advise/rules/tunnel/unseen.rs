//! Cases that a host does not see.

use crate::advise::rule::{Check, Family, Rule};

pub(super) static GUEST_OVERLAY: Rule = Rule {
    id: "guest-overlay",
    family: Family::Tunnel,
    title: "Tunnels inside guests are not segmented by the host",
    mechanism: "Until virtio has segmentation of UDP tunnels a guest cuts what it puts into its \
        own VXLAN or Geneve tunnel itself",
    trigger: "Tunnels of a guest that never come as GSO frames.",
    remedy: "A kernel and QEMU with UDP tunnel segmentation for virtio, or accept it.",
    cost: "CPU time in the guest.",
    wrong_when: "the tunnels carry little",
    version_bound: Some(
        "Linux with TUN_F_UDP_TUNNEL_GSO on host and guest: 7.2 has it, 6.12 has not",
    ),
    sources: &["flannel#366", "Linux, tun: NETIF_F_GSO_UDP_TUNNEL"],
    check: Check::Unseen("that a single UDP frame is a tunnel of the guest is not counted"),
    ..Rule::BASE
};
