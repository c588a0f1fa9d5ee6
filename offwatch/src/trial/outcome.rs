//! A trial that is over, as plain data: what is printed, and what advice takes as
//! evidence.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{effect::Effect, period::Period, settings::Settings};
use crate::advise::price::Price;

/// Name of the JSON form.
pub const SCHEMA: &str = "offwatch.trial";
/// Version of that form; grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// A trial that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// `offwatch.trial`.
    pub schema: Cow<'static, str>,
    /// Version of this form.
    pub version: u32,
    /// The host.
    pub host: TrialHost,
    /// When it began, milliseconds since the Unix epoch.
    pub start_unix_ms: u64,
    /// When it ended.
    pub end_unix_ms: u64,
    /// Whose interfaces were changed.
    pub subject: Subject,
    /// What was changed; nothing in a trial that only tells the noise.
    pub change: Option<Tried>,
    /// How it was run and judged.
    pub settings: Settings,
    /// What was measured, in order.
    pub periods: Vec<Period>,
    /// What the change does.
    pub effects: Vec<Effect>,
    /// How it ended.
    #[serde(flatten)]
    pub conclusion: Conclusion,
    /// What is not as it was before, each with its reason: nothing, unless the kernel
    /// refused the way back.
    pub not_as_before: Vec<String>,
    /// What the cost model of advice says of the same change, from the periods
    /// without it; nothing where it has no price for it.
    pub forecast: Option<Forecast>,
    /// What the user should know about all of it.
    pub notes: Vec<String>,
}

/// The host of a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialHost {
    /// Its name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// CPUs that are online.
    pub online_cpus: u32,
    /// Inode number of the network namespace.
    pub netns: u64,
}

/// Whose interfaces were changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Name of the VM, if they are those of one.
    pub vm: Option<String>,
    /// Its UUID.
    pub vm_uuid: Option<String>,
    /// Names of the interfaces, and their indexes.
    pub devs: BTreeMap<String, u32>,
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tried {
    /// As the user wrote it, such as `tso=off`.
    pub set: String,
    /// Features that were asked for, by the kernel's names.
    pub features: BTreeMap<String, bool>,
    /// Features that changed with them: what needs them, and what needs that.
    pub also: BTreeMap<String, bool>,
    /// The same for ethtool, one for each interface.
    pub commands: Vec<String>,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "conclusion", rename_all = "snake_case")]
pub enum Conclusion {
    /// All rounds were measured.
    Complete,
    /// It was ended before.
    Aborted {
        /// Why.
        because: String,
    },
}

impl Trial {
    /// Whether it was run to its end, and everything is as it was.
    pub fn is_well(&self) -> bool {
        self.conclusion == Conclusion::Complete && self.not_as_before.is_empty()
    }
}

/// What the cost model says of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// CPU time per byte of goodput that the change adds, nanoseconds: most likely,
    /// at least, at most. Negative if it saves.
    pub added_ns_per_byte: crate::advise::price::Range,
    /// What it is made of.
    pub price: Price,
}
