//! Sizes and MTUs.

mod coalesced;
mod limits;
mod mtu;
mod oversize;
mod shaper;

use crate::advise::rule::Rule;

pub(in crate::advise) const RULES: &[&Rule] = &[
    &mtu::GSO_ABOVE_MTU,
    &oversize::OVERSIZE_DROPPED,
    &oversize::JUMBO_MIX,
    &limits::GSO_LIMIT_LOWERED,
    &limits::BIG_TCP_UPLINK,
    &shaper::POLICER_BURST,
    &shaper::TBF_BURST,
    &coalesced::SMALL_SEGMENTS,
    &coalesced::COALESCED_FRAMES,
];
