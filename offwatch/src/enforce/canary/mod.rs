//! Changes one interface first, then few, then all, and takes it back if one fares
//! worse than those that are not changed.

mod controls;
mod judge;
mod measure;
mod settings;
mod stages;

pub use self::{
    controls::Controls,
    judge::{Evidence, Finding, Judged, Judgement, Verdict, judge},
    measure::Measure,
    settings::Settings,
    stages::{Candidate, stages},
};
