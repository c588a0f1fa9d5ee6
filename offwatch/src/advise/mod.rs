//! Advice: what to change about offloads, with evidence, or that they are to be
//! left alone.
//!
//! Data flows one way: two samples make a [`Window`], [`evaluate`] asks every
//! [`Rule`] of the [`catalogue`] about it, and the [`Report`] is printed as text
//! or JSON. Nothing here does I/O.

pub mod advice;
pub mod calibrate;
pub mod catalogue;
pub mod docs;
mod engine;
pub mod findings;
mod fix;
pub mod forecast;
mod make;
pub mod need;
pub mod price;
pub mod report;
pub mod rule;
mod rules;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod tried;
mod unit;
pub mod watch;
pub mod window;

pub use self::{
    advice::{Advice, Verdict},
    engine::evaluate,
    findings::Findings,
    report::Report,
    rule::Rule,
    watch::Watch,
    window::Window,
};
