//! Measures what a change of features does on this host: it is made and taken back in
//! turn, and the periods with it are held against those without it.
//!
//! ```text
//! measure::Window --> Period                         (what was measured, plain data)
//! Periods --> paired differences --> Effect          (pure)
//! Effects --> Trial --> text | JSON | plot           (pure)
//! ```

pub mod effect;
pub mod error;
mod forecast;
pub mod gauge;
pub mod guard;
pub mod judge;
pub mod load;
pub mod login;
pub mod measured;
pub mod outcome;
mod path;
pub mod period;
pub mod plan;
pub mod read;
pub mod recipe;
pub mod report;
pub mod run;
pub mod saturation;
pub mod schedule;
mod schema;
pub mod settings;
mod stats;
pub mod switch;

pub use self::{
    effect::{Effect, Interval, Measure, Verdict},
    forecast::Comparison,
    outcome::{Conclusion, Forecast, Trial},
    period::{Cpu, Period, Side, Way},
    recipe::Trials,
    schema::schema,
    settings::Settings,
};
