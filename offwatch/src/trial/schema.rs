//! The JSON schema of what `offwatch trial --json` prints.

use schemars::JsonSchema;

use super::{outcome::Trial, recipe::Trials};

/// What is printed.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it only describes")]
enum Printed {
    /// One trial.
    One(Box<Trial>),
    /// Those of a recipe.
    Several(Trials),
}

/// The JSON schema of a trial, and of those of a recipe.
pub fn schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Printed).to_value())
}
