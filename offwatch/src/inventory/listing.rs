//! What libvirt's listing tells of a domain.

use std::sync::Arc;

use crate::facts::domain::Domain;
use crate::sample::{Vm, VmState, VmStats};

/// A domain: what seldom changes, shared between listings, and what does.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Names, ids and network cards. The same one again means that none of
    /// these has changed.
    pub vm: Arc<Vm>,
    /// State.
    pub state: VmState,
    /// What it used.
    pub stats: Option<Arc<VmStats>>,
    /// How it was set up, if it is active and its XML was read.
    pub setup: Option<Arc<Domain>>,
}

impl Listing {
    /// All of it together.
    pub fn to_vm(&self) -> Vm {
        Vm {
            state: self.state,
            stats: self.stats.clone(),
            ..(*self.vm).clone()
        }
    }
}
