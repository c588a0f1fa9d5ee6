//! Stability of guests and host.

mod ring;
mod unseen;
mod warnings;

use crate::advise::rule::Rule;

pub(in crate::advise) const RULES: &[&Rule] = &[
    &warnings::WARN_FLOOD,
    &warnings::CANNOT_BE_CUT,
    &ring::GUEST_STOPPED_READING,
    &ring::RING_OVERFLOWS,
    &unseen::OLD_TAP_FRAGLIST,
    &unseen::SKB_SEGMENT_BUG,
    &unseen::WINDOWS_LSO_SLOW,
    &unseen::GATEWAY_GRO,
];
