//! Tunnels.

mod broken;
mod segmentation;
mod settings;
mod unseen;

use crate::advise::rule::Rule;

pub(in crate::advise) const RULES: &[&Rule] = &[
    &segmentation::UPLINK_NO_TUNNEL_TSO,
    &broken::NATTED_VXLAN_CHECKSUM,
    &broken::VMXNET3_OVERLAY,
    &broken::OVERLAY_GRO_HW,
    &settings::OUTER_CHECKSUM_OFF,
    &settings::UDP_GRO_FORWARDING,
    &unseen::GUEST_OVERLAY,
];
