//! Less is offloaded than could be.

mod tap_no_tso;

use crate::advise::rule::Rule;

pub(in crate::advise) const RULES: &[&Rule] = &[&tap_no_tso::TAP_NO_TSO];
