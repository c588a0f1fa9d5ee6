//! Gathers facts: how the host is set up.

use super::Collector;
use crate::{clock::monotonic_ns, facts::Facts, inventory::setup, sample::offloads::Fact};

impl Collector {
    /// How often an interface has appeared, changed or disappeared: facts that
    /// were gathered before the last time are out of date.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Gathers how the host is set up. Takes some milliseconds for a hundred
    /// interfaces, and what drivers of hardware take to answer.
    pub fn facts(&mut self) -> Facts {
        let begun = monotonic_ns();
        self.update_vms();
        let mut host = setup::host();
        self.vms.tell_versions(&mut host);
        Facts {
            monotonic_ns: begun,
            host,
            devices: setup::devices(),
            domains: Fact::Known(self.vms.setups()),
            took_ns: monotonic_ns().saturating_sub(begun),
        }
    }
}
