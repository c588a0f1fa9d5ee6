//! Checksums: which are merely not computed yet, and which are wrong.

mod capture;
mod dhcp;
mod guests;
mod unseen;
mod wrong;

use crate::advise::rule::Rule;

pub(in crate::advise) const RULES: &[&Rule] = &[
    &capture::BAD_CKSUM_IN_CAPTURES,
    &wrong::CHECKSUM_DROPS,
    &wrong::UPLINK_RX_CHECKSUM,
    &guests::NETKVM_RX_CHECKSUM,
    &guests::BSD_FORWARDS,
    &dhcp::DHCP_PARTIAL,
    &unseen::WINDOWS_TASKOFFLOAD,
    &unseen::USERSPACE_CONSUMER,
    &unseen::IDS_CAPTURE,
    &unseen::RX_CHECKSUM_TRUSTED,
];
