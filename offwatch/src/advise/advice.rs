//! Advice: what a rule has to say about one thing on the host, as plain data.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::fix::{Action, Fix, Persistence, Scope};
use super::{price::Price, tried::Tell};

/// Text that is mostly that of a rule.
pub type Text = Cow<'static, str>;

/// What a rule says about one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// Id of the rule.
    pub rule: Text,
    /// What to do.
    pub verdict: Verdict,
    /// What it is about.
    pub subject: Subject,
    /// What was found, in one sentence with its numbers.
    pub finding: Text,
    /// What was measured in the window.
    pub measured: Vec<Evidence>,
    /// How it comes about, in one sentence.
    pub mechanism: Text,
    /// What to do, the smallest change first. Each further one is for the case
    /// that those before it do not help.
    pub fixes: Vec<Fix>,
    /// What the software work costs, or what a change would cost.
    pub price: Option<Price>,
    /// How sure the rule is.
    pub confidence: Confidence,
    /// When the advice would be wrong.
    pub wrong_when: Text,
    /// The versions for which the advice holds, if it does not for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_bound: Option<Text>,
    /// The trial that tells whether it is right, where one can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Tell>,
}

/// What to do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Change something on the host.
    Change,
    /// Change something in the guest.
    FixInGuest,
    /// Upgrade the kernel, a driver or QEMU.
    Upgrade,
    /// The evidence is not enough: try the change and measure.
    NeedsTrial,
    /// Leave it as it is.
    Keep,
    /// It cannot be told.
    CannotSee,
}

impl Verdict {
    /// Whether it asks for something to be done.
    pub fn is_finding(self) -> bool {
        !matches!(self, Self::Keep | Self::CannotSee)
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "CHANGE",
            Self::FixInGuest => "FIX IN GUEST",
            Self::Upgrade => "UPGRADE",
            Self::NeedsTrial => "NEEDS A TRIAL",
            Self::Keep => "KEEP",
            Self::CannotSee => "CANNOT SEE",
        }
    }
}

/// How sure a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The evidence leaves no other explanation that is known.
    High,
    /// There are other explanations, less likely ones.
    Medium,
    /// A hint.
    Low,
}

impl Confidence {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// What a piece of advice is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Where it is listed.
    pub level: Level,
    /// Name of the VM.
    pub vm: Option<String>,
    /// Its UUID.
    pub vm_uuid: Option<String>,
    /// The host's interface.
    pub dev: Option<String>,
    /// Its index.
    pub ifindex: Option<u32>,
    /// Inode number of the network namespace that the index belongs to.
    pub netns: u64,
}

impl Subject {
    /// How it is named to people.
    pub fn name(&self) -> &str {
        let name = self.vm.as_deref().or(self.dev.as_deref());
        name.unwrap_or("host")
    }
}

/// Where advice is listed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The host as a whole.
    Host,
    /// An interface with hardware below it, or a bond of such.
    Uplink,
    /// A bridge.
    Bridge,
    /// A VM.
    Vm,
    /// Any other interface.
    Other,
}

/// A number that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What it counts.
    pub what: Text,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// How it was obtained.
    pub by: Text,
    /// It is a lower bound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

/// Units of what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Segments per second.
    SegmentsPerS,
    /// Frames per second.
    FramesPerS,
    /// Bytes per second.
    BytesPerS,
    /// Bits per second.
    BitsPerS,
    /// Frames in the window.
    Frames,
    /// Bytes.
    Bytes,
    /// Events in the window.
    Events,
    /// Share, 0 to 1.
    Share,
    /// 1 for on, 0 for off.
    OnOff,
}
