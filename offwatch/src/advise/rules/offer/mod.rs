//! Less is offloaded than could be.

mod changed;
mod guest_sends;
mod mangle_id;
mod tap_no_tso;
mod tap_off;
mod udp;
mod unexplained;
mod weak_port;
mod windows;

use crate::advise::rule::Rule;

pub(in crate::advise) const RULES: &[&Rule] = &[
    &tap_no_tso::TAP_NO_TSO,
    &windows::WINDOWS_NO_RSC,
    &tap_off::TAP_CSUM_OFF,
    &tap_off::TAP_SG_OFF,
    &tap_off::TAP_NO_VNET_HDR,
    &mangle_id::MANGLE_ID_GAP,
    &udp::UDP_NO_USO,
    &udp::UFO_GUEST,
    &unexplained::CUT_ALL_THE_SAME,
    &guest_sends::GUEST_SENDS_NO_TSO,
    &weak_port::ONE_WEAK_PORT,
    &weak_port::CAUSES_OTHERS_COST,
    &changed::MIXED_WINDOW,
    &changed::TSO_WENT_OFF,
];
