//! Measures what a change of features does on this host: it is made and taken back in
//! turn, and the periods with it are held against those without it.
//!
//! ```text
//! measure::Window --> Period                         (what was measured, plain data)
//! Periods --> paired differences --> Effect          (pure)
//! Effects --> Trial --> text | JSON | plot           (pure)
//! ```

pub mod effect;
pub mod outcome;
pub mod period;
pub mod settings;

pub use self::{
    effect::{Effect, Interval, Measure, Verdict},
    outcome::{Conclusion, Trial},
    period::{Cpu, Period, Side, Way},
    settings::Settings,
};
