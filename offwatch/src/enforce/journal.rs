//! What was changed, so that it can be taken back.

use serde::{Deserialize, Serialize};

use super::{
    kernel::Request,
    plan::Why,
    target::{Id, Owner},
};
use crate::sample::offloads::{FeatureNames, Features};

/// What one run changes. Written before its first change and never altered; its
/// state is told by what follows it in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Its number.
    pub id: u64,
    /// `/proc/sys/kernel/random/boot_id`: interfaces do not outlive a boot.
    pub boot_id: String,
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
