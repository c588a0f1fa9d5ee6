//! What a scenario is, and the runner that all pass through.

mod enforce;
mod expect;
mod fix;
mod observe;
mod run;
mod scene;
mod seen;
mod traffic;

pub(crate) use self::{
    expect::{Expect, Expected},
    fix::Fix,
    run::{replay, run},
    scene::Scene,
    seen::{Seen, all_whole},
    traffic::{Going, both_ways, each, flow_options},
};
use anyhow::Result;
use offwatch::advise::testing;

/// A condition, and what is to be said of it.
pub(crate) struct Scenario {
    /// Makes the condition.
    pub(crate) build: fn() -> Result<Scene>,
    /// Sends for as long as offwatch looks.
    pub(crate) traffic: fn(&Scene, &Going) -> Result<()>,
    /// Whether the condition is there, by what was counted.
    pub(crate) condition: fn(&Scene, &Seen) -> Result<()>,
    /// What is to be said.
    pub(crate) expect: Expect,
    /// What removes the evidence.
    pub(crate) fix: Fix,
}

/// A window that was written by hand, and what is to be said of it.
pub(crate) struct Replayed {
    /// Makes it.
    pub(crate) window: fn() -> testing::Scene,
    /// What is to be said.
    pub(crate) expect: Expect,
}
