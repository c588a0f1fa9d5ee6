//! Network cards of the host and their drivers: a driver and a sign of its
//! fault, never the driver's name alone.

mod cuts;
mod lro;
mod merging;
mod timeouts;
mod versions;

pub(super) use versions::is_udp_regression;

use crate::advise::rule::Rule;

pub(in crate::advise) const RULES: &[&Rule] = &[
    &cuts::UPLINK_NO_TSO,
    &timeouts::E1000E_HANG,
    &timeouts::R8169_HANG,
    &timeouts::TX_TIMEOUT,
    &lro::LRO_FORWARDING,
    &lro::LRO_UNDER_BOND,
    &lro::ATLANTIC_LRO,
    &merging::BAD_MERGE,
    &merging::BNXT_GRO,
    &versions::BNX2X_OVERSIZE,
    &versions::UDP_GSO_REGRESSION,
    &versions::SUSPECT_TX_CHECKSUM,
];
