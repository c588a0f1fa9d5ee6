//! How a trial is run and judged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a trial is run and judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Rounds: each has a period without the change and one with it. Their order
    /// turns from round to round (ABBA), so that what only passes with time cancels.
    pub rounds: u32,
    /// Length of a period, seconds.
    pub seconds: f64,
    /// Time between a change and the period after it, seconds.
    pub settle_seconds: f64,
    /// Fall of the goodput that ends the trial, percent.
    pub max_loss_percent: f64,
    /// A difference is told only if it is surely larger than this, percent.
    pub threshold_percent: f64,
    /// With fewer bytes a second, both ways together, nothing is judged.
    pub floor_bytes_per_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounds: 10,
            seconds: 5.0,
            settle_seconds: 1.0,
            max_loss_percent: 20.0,
            threshold_percent: 5.0,
            floor_bytes_per_s: 10_000.0,
        }
    }
}
