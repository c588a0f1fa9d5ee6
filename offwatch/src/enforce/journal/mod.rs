//! What was changed, so that it can be taken back.
//!
//! A directory with one file for each commit: a line with the [`Commit`], then one
//! for each [`State`]. A file is there as a whole before the first change, and its
//! states are on the disk before anyone is told of them.

mod file;
mod store;

use serde::{Deserialize, Serialize};

pub use self::store::{Journalled, Locked, Store};
use super::{
    definition::Card,
    kernel::Request,
    plan::Why,
    target::{Id, Owner},
};
use crate::sample::offloads::{FeatureNames, FeatureSet, Features};

/// What one run changes. Written before its first change and never altered; its
/// state is told by what follows it in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Its number.
    pub id: u64,
    /// `/proc/sys/kernel/random/boot_id`: interfaces do not outlive a boot.
    pub boot_id: String,
    /// The network namespace, by the number that no other of this boot gets
    /// (`SO_NETNS_COOKIE`, Linux 5.14).
    pub netns_cookie: Option<u64>,
    /// When, as milliseconds since 1970.
    pub wall_clock_ms: u64,
    /// The user who ran it, and the one who called sudo, if so.
    pub uid: u32,
    /// The same, of sudo's caller.
    pub sudo_uid: Option<u32>,
    /// SHA-256 of the policy or advice.
    pub policy_sha256: Option<String>,
    /// How long it waits for a confirmation once it is applied; `None`: it needs
    /// none.
    pub confirm_within_s: Option<u64>,
    /// How the kernel calls its features.
    pub names: FeatureNames,
    /// Interfaces.
    pub entries: Vec<Entry>,
    /// Definitions of VMs; a commit has either these or interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definitions: Option<Definitions>,
}

/// Cards of definitions before a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definitions {
    /// The libvirt that has them.
    pub uri: String,
    /// The cards.
    pub cards: Vec<Card>,
}

/// An interface before a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Which one.
    pub id: Id,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// Its features.
    pub before: Features,
    /// What is to be sent; empty for a bridge or bond that is listed only because
    /// the kernel computes its features anew from those of its ports.
    pub set: Request,
    /// Why.
    pub why: Why,
}

/// Features of an interface that a commit asked for, and that its guest's driver was yet to
/// accept when the commit was begun: what is on of them later, its guest has negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The interface.
    pub ifindex: u32,
    /// Which.
    pub features: FeatureSet,
}

/// How a commit stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// Changes are being made. Without its enforcer it is taken back.
    Applying,
    /// It is applied and waits for a confirmation.
    Unconfirmed {
        /// Until then, on `CLOCK_BOOTTIME`.
        until_boottime_ns: u64,
    },
    /// It stays.
    Confirmed,
    /// It was taken back, because.
    RolledBack {
        /// Why.
        because: String,
        /// Interfaces that could not be set back, with the reason.
        failed: Vec<(String, String)>,
    },
    /// It was confirmed, and taken back later.
    Undone {
        /// Interfaces that could not be set back, with the reason.
        failed: Vec<(String, String)>,
    },
    /// The host was booted: its interfaces are gone.
    EndedByBoot,
}

impl State {
    /// Whether nothing happens to it by itself any more.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Applying | Self::Unconfirmed { .. })
    }
}

impl State {
    /// In a word or two, as `status` prints it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Applying => "being applied",
            Self::Unconfirmed { .. } => "not confirmed",
            Self::Confirmed => "confirmed",
            Self::RolledBack { .. } => "taken back",
            Self::Undone { .. } => "undone",
            Self::EndedByBoot => "ended by a boot",
        }
    }
}
