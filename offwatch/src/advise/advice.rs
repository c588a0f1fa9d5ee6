//! Advice: what a rule has to say about one thing on the host, as plain data.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::price::Price;

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

/// A change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// How much it touches.
    pub scope: Scope,
    /// When it is to be made, unless it is the first choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Text>,
    /// What is changed.
    #[serde(flatten)]
    pub action: Action,
    /// How long it lasts.
    pub persistence: Persistence,
}

/// How much a change touches, the smallest first. A bridge is no scope: its own
/// flags do nothing for bridged frames.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Inside the guest.
    Guest,
    /// The definition of one VM.
    LibvirtXml,
    /// One tap.
    Tap,
    /// A tunnel's or other virtual device of the host.
    Device,
    /// A device that all VMs share.
    Uplink,
    /// The whole host.
    Host,
}

impl Scope {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::LibvirtXml => "libvirt XML",
            Self::Tap => "tap",
            Self::Device => "device",
            Self::Uplink => "uplink",
            Self::Host => "host",
        }
    }
}

/// What is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Features of an interface are switched. `offwatch enforce` can do it.
    SetFeatures {
        /// Name of the interface.
        dev: String,
        /// Its index; both must match.
        ifindex: u32,
        /// Inode number of the network namespace.
        netns: u64,
        /// Features by the kernel's names, and whether they are to be on.
        features: BTreeMap<Text, bool>,
        /// The same for ethtool.
        command: String,
    },
    /// A command is run on the host.
    Command {
        /// The command.
        command: String,
    },
    /// The definition of a VM is changed.
    LibvirtXml {
        /// Name of the VM.
        domain: String,
        /// MAC address of the card, if it is known.
        mac: Option<String>,
        /// What goes into its `<interface>`.
        xml: String,
    },
    /// Something is done in the guest.
    InGuest {
        /// What.
        command: Text,
    },
    /// Something is replaced by a newer version.
    Upgrade {
        /// What, and to which version.
        to: Text,
    },
    /// Anything else that people do.
    Do {
        /// What.
        what: Text,
    },
}

/// How long a change lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Persistence {
    /// The guest's driver undoes it when it negotiates next: at boot, at a
    /// reload of the driver, or when it changes its own offloads.
    UntilNegotiation,
    /// It stays as long as the interface does; a cold start of a VM makes a new
    /// tap.
    UntilRecreated,
    /// It is gone when the host boots next, unless its configuration holds it.
    UntilHostBoot,
    /// It takes effect at the next cold start of the VM, and stays.
    AtColdStart,
    /// As the guest's own configuration keeps it.
    AsGuestKeeps,
    /// It stays.
    Lasting,
}

impl Persistence {
    /// What it means, in a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::UntilNegotiation => "undone when the guest next negotiates (boot, driver reload)",
            Self::UntilRecreated => "lasts until the interface is made anew (VM cold start)",
            Self::UntilHostBoot => "lasts until the host boots, unless configured",
            Self::AtColdStart => "takes effect at the next cold start, and stays",
            Self::AsGuestKeeps => "lasts as the guest's configuration keeps it",
            Self::Lasting => "lasting",
        }
    }
}
