//! Every rule there is.

use super::{
    rule::Rule,
    rules::{keep, offer},
};

/// All rules, by family.
pub fn rules() -> Vec<&'static Rule> {
    let families: [&[&'static Rule]; 2] = [keep::RULES, offer::RULES];
    families.concat()
}

/// The rule of an id.
pub fn find(id: &str) -> Option<&'static Rule> {
    rules().into_iter().find(|rule| rule.id == id)
}
