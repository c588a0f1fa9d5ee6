//! Every rule there is.

use super::{
    rule::Rule,
    rules::{checksum, keep, offer, size, stability, trap, tunnel, uplink},
};
use crate::text::nearest as nearest_word;

const FAMILIES: [&[&Rule]; 8] = [
    keep::RULES,
    offer::RULES,
    checksum::RULES,
    uplink::RULES,
    size::RULES,
    tunnel::RULES,
    stability::RULES,
    trap::RULES,
];

/// All rules, by family.
pub fn rules() -> Vec<&'static Rule> {
    FAMILIES.concat()
}

/// The rule of an id.
pub fn find(id: &str) -> Option<&'static Rule> {
    rules().into_iter().find(|rule| rule.id == id)
}

/// The rule whose id is most like a word, if any is like it.
pub fn nearest(word: &str) -> Option<&'static Rule> {
    find(nearest_word(word, rules().into_iter().map(|rule| rule.id))?)
}

#[cfg(test)]
mod tests;
