//! Facts: how a host is set up where that matters to offloads, as plain data.
//!
//! They change seldom and are slow to gather, so they are no part of every
//! sample: `advise` has them gathered at the start and at the end of a window,
//! and a recording holds them with the samples of those moments
//! ([`Sample::facts`](crate::sample::Sample::facts)). Counters in them (of
//! queueing disciplines and policers) are totals; two sets of facts tell what
//! was counted in between.
//!
//! Features, limits such as `gso_max_size` and the kernel's own counters are
//! not here: each sample has them.

pub mod device;
pub mod domain;
pub mod hardware;
pub mod host;
mod lookup;
pub mod nic;
pub mod policer;
pub mod qdisc;
pub mod topology;

use serde::{Deserialize, Serialize};

pub use self::lookup::Lookup;
use self::{device::Device, domain::Domain, host::HostFacts};
use crate::sample::offloads::Fact;

/// Facts of one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// When their gathering began, on the clock of
    /// [`Sample::monotonic_ns`](crate::sample::Sample::monotonic_ns).
    pub monotonic_ns: u64,
    /// How long it took, nanoseconds.
    pub took_ns: u64,
    /// The host.
    pub host: HostFacts,
    /// Network interfaces of the observed namespace, by ifindex.
    pub devices: Fact<Vec<Device>>,
    /// VMs, with their network cards as they were set up.
    pub domains: Fact<Vec<Domain>>,
}

impl Facts {
    /// Prepares to look things up. Costs some microseconds a thousand
    /// interfaces: do it once for all rules.
    pub fn lookup(&self) -> Lookup<'_> {
        Lookup::new(self)
    }
}
