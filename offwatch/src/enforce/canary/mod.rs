//! Changes one interface first, then few, then all, and takes it back if one fares
//! worse than before, and than those that are not changed.
//!
//! ```text
//! windows before --> change of a stage --> windows after --> judge   (pure)
//!        ^                                                     |
//!        +-- the windows after are those before the next one --+--> all back
//! ```

mod conclusion;
mod controls;
mod judge;
mod measure;
mod report;
mod run;
mod settings;
mod stages;
mod watch;

pub use self::{
    conclusion::Conclusion,
    controls::Controls,
    judge::{Evidence, Finding, Judged, Judgement, Verdict, judge},
    measure::Measure,
    report::{Chosen, Report, Stage},
    run::{Fate, Ran, run},
    settings::Settings,
    stages::{Candidate, stages},
};
