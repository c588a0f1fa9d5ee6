//! Interfaces that a rule names and that are not there.

use crate::enforce::{policy::Match, target::Targets};

/// What makes a pattern of a name.
const OF_PATTERNS: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];
/// A name that is less like it is another one, and no typo.
const LEAST_SIMILARITY: f64 = 0.6;

/// The interface that a rule names, letter by letter, if there is none.
pub(super) fn missing(matches: &Match, targets: &Targets) -> Option<String> {
    let dev = matches.device.as_ref()?.text();
    let is_there = || targets.targets.iter().any(|target| target.id.dev == dev);
    (!dev.contains(OF_PATTERNS) && !is_there()).then(|| dev.to_owned())
}

/// That it is not there, and which one may be meant.
pub(super) fn not_there(dev: &str, targets: &Targets) -> String {
    let names = targets.targets.iter().map(|target| &*target.id.dev);
    let nearest = names
        .map(|name| (strsim::normalized_damerau_levenshtein(dev, name), name))
        .filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((_, nearest)) => format!("there is no interface {dev} now; there is {nearest}"),
        None => format!("there is no interface {dev} now"),
    }
}
