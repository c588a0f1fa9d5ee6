//! Beliefs that lead astray, and flags that do nothing.

mod flags;
mod unobservable;
mod unseen;

use crate::advise::rule::Rule;

pub(in crate::advise) const RULES: &[&Rule] = &[
    &flags::BRIDGE_FLAGS,
    &flags::INGRESS_TAP_FLAGS,
    &flags::TAP_GSO_FLAG,
    &unobservable::NOT_OBSERVABLE,
    &unseen::SG_OFF_XEN,
    &unseen::FLEET_TSO_OFF,
    &unseen::USO_MIGRATION,
    &unseen::OVS_USERSPACE_TSO,
    &unseen::DRIVER_FIXED_UPSTREAM,
];
