//! Everything that an evaluation has to say, as plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::advice::{Advice, Subject, Text};

/// Name of the JSON form.
pub const SCHEMA: &str = "offwatch.advice";
/// Version of that form; grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// What an evaluation has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `offwatch.advice`.
    pub schema: Text,
    /// Version of this form.
    pub version: u32,
    /// The host.
    pub host: ReportHost,
    /// The window.
    pub window: ReportWindow,
    /// Advice, findings first.
    pub advice: Vec<Advice>,
    /// What rules could not tell, for want of evidence.
    pub cannot_see: Vec<Unseen>,
    /// Rules for which the window was too short.
    pub too_short: Vec<TooShort>,
    /// What had no traffic, and therefore has no verdict.
    pub silent: Vec<Subject>,
    /// What the user should know about the whole window.
    pub notes: Vec<String>,
}

/// The host of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportHost {
    /// Its name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// CPUs that are online.
    pub online_cpus: u32,
    /// Inode number of the observed network namespace.
    pub netns: u64,
    /// How packets were counted.
    pub hook: Text,
}

/// The window of a report.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportWindow {
    /// Its length.
    pub seconds: f64,
    /// When it began: milliseconds since the Unix epoch.
    pub start_unix_ms: u64,
    /// When it ended.
    pub end_unix_ms: u64,
    /// Anything at all was carried or dropped. If not, there is no verdict.
    pub has_traffic: bool,
}

/// A rule that could not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unseen {
    /// Id of the rule.
    pub rule: Text,
    /// Why.
    pub because: Text,
    /// Of what, if not of the whole host.
    pub of: Vec<String>,
}

/// A rule for which the window was too short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TooShort {
    /// Id of the rule.
    pub rule: Text,
    /// The shortest window that does, seconds.
    pub needs_seconds: f64,
}

/// The JSON schema of a report.
pub fn schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Report).to_value())
}

impl Report {
    /// Whether anything is to be done.
    pub fn has_findings(&self) -> bool {
        let mut advice = self.advice.iter();
        advice.any(|advice| advice.verdict.is_finding())
    }
}
