//! Exact counters in a sample: software work counted where it is done.

use std::sync::Arc;

use offwatch_common::{ExactSlot, ExactWork};
use serde::{Deserialize, Serialize};

use super::Unavailable;

/// How a program gets to run at a kernel function's entry and return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// fentry and fexit.
    Fexit,
    /// kprobe and kretprobe.
    Kprobe,
}

impl Method {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fexit => "fexit",
            Self::Kprobe => "kprobe",
        }
    }
}

/// Whether the calls of a kernel function are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exactness {
    /// All of them are.
    Exact(Method),
    /// They are not, because.
    Unavailable(String),
}

impl Exactness {
    /// How the calls are counted, or why they are not.
    pub fn method(&self) -> Result<Method, &str> {
        match self {
            Self::Exact(method) => Ok(*method),
            Self::Unavailable(reason) => Err(reason),
        }
    }
}

impl Default for Exactness {
    fn default() -> Self {
        Self::Unavailable("not in this recording".into())
    }
}

/// What of a host's software work is counted where it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExactHooks {
    /// `__skb_gso_segment`.
    pub segmentation: Exactness,
    /// `skb_checksum_help`.
    pub checksum: Exactness,
    /// `skb_crc32c_csum_help`.
    pub crc32c: Exactness,
    /// Calls of these functions of which only the beginning or only the end was
    /// seen: what they did is counted nowhere.
    pub missed_calls: u64,
    /// Work for frames of the host itself, or whose source the kernel had
    /// forgotten.
    pub unattributed: Box<ExactWork>,
    /// Classes of drops ([`offwatch_common::drop_class`]) that cannot be told,
    /// and why.
    pub unknown_drops: Unavailable,
}

impl ExactHooks {
    /// Of a host where nothing is counted, because.
    pub fn unavailable(reason: &str) -> Self {
        let none = || Exactness::Unavailable(reason.to_owned());
        Self {
            segmentation: none(),
            checksum: none(),
            crc32c: none(),
            ..Self::default()
        }
    }
}

/// Exact counters of an interface, or the reason why it has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExactCounters {
    /// Counted since the interface was first seen. [`ExactHooks`] tells which
    /// of the counters mean anything.
    Counted(Arc<ExactSlot>),
    /// Not counted, because.
    Unavailable(Arc<str>),
}

impl Default for ExactCounters {
    fn default() -> Self {
        Self::Unavailable("not in this recording".into())
    }
}
