//! The default verdict.

mod keep_on;

use crate::advise::rule::Rule;

pub(in crate::advise) const RULES: &[&Rule] = &[&keep_on::KEEP_ON];
