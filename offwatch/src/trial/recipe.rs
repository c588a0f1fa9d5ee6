//! Experiments of several changes, one after the other.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outcome::Trial;

/// Name of the JSON form of [`Trials`].
pub const SCHEMA: &str = "offwatch.trials";
/// Version of that form; grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// One change of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The change, as `--set` takes it.
    pub set: &'static str,
    /// What it means for frames on the way to a guest.
    pub means: &'static str,
}

/// What articles say about KVM hosts, and what it is made of: each of it on the tap,
/// where only frames to the guest are concerned.
pub const TURN_IT_OFF: [Step; 4] = [
    Step {
        set: "tso=off",
        means: "the host cuts each large TCP frame into segments before the guest gets it",
    },
    Step {
        set: "gso=off",
        means: "the host makes no large frames for the tap itself; those that come over a \
                bridge or from another guest pass as before",
    },
    Step {
        set: "tso=off,gso=off",
        means: "both, as articles say it",
    },
    Step {
        set: "sg=off",
        means: "each frame is copied into one piece; TSO and GSO need it, and go with it",
    },
];

/// The trials of a recipe, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trials {
    /// `offwatch.trials`.
    pub schema: Cow<'static, str>,
    /// Version of this form.
    pub version: u32,
    /// One for each change that was tried. After one that was ended for anything but
    /// a loss, there is no other.
    pub trials: Vec<Trial>,
}

impl Trials {
    /// Of trials that are over.
    pub fn new(trials: Vec<Trial>) -> Self {
        Self {
            schema: SCHEMA.into(),
            version: SCHEMA_VERSION,
            trials,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::trial::features;

    #[test]
    fn each_step_is_a_change_of_its_own() {
        let steps = TURN_IT_OFF.map(|step| features(step.set).expect(step.set));
        for (index, step) in steps.iter().enumerate() {
            assert!(step.each.iter().all(|(_, on)| !on), "{}", step.text);
            assert!(!steps[..index].contains(step), "{}", step.text);
        }
    }
}
