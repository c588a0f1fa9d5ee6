//! The rules, a directory each family.

pub(super) mod checksum;
pub(super) mod keep;
pub(super) mod offer;
mod share;
pub(super) mod size;
pub(super) mod stability;
pub(super) mod trap;
pub(super) mod tunnel;
pub(super) mod uplink;
