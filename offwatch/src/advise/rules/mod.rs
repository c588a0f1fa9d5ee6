//! The rules, a directory each family.

pub(super) mod keep;
pub(super) mod offer;
mod share;
pub(super) mod size;
