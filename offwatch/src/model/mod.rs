//! The model: what every output shows, made from one sample and the one before.
//!
//! Pure: no clock, no kernel, no I/O. Totals count from the moment offwatch
//! began to observe an interface; rates cover the interval between the samples.

mod caused;
mod cost;
mod duration;
mod evidence;
mod exact;
mod facts;
mod figures;
pub mod histogram;
mod interface;
mod offloads;
pub mod overview;
mod side;
pub mod usage;
mod vhost;
mod work;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use offwatch_common::{ExactSlot, Slot};
use serde::Serialize;

use self::offloads::Catalogue;
pub use self::{
    caused::Caused,
    cost::{Cost, Measured},
    duration::{NsRow, Percentiles},
    evidence::{Evidence, KernelLog, Protocols, SignCount},
    exact::{Derived, Exact, Means, WorkSources},
    facts::{Facts, Kernel, Tap},
    histogram::HistogramRow,
    interface::{Interface, Sides},
    offloads::{Accepted, Guest, OFFLOADS, Offloads, OnOff},
    side::Side,
    usage::{Usage, UsageHistory},
    vhost::VhostCpu,
    work::SoftwareWork,
};
use crate::sample::{
    self, Blind, Counters, ExactCounters, ExactHooks, Hook, Kind, Node, Reads, Sample, Source,
    Unavailable, VmState,
};

/// Name of the JSON form of a model.
pub const SCHEMA: &str = "offwatch.top";
/// Version of that form; grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// One moment of a host: its VMs and other interfaces, with totals and rates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// [`SCHEMA_VERSION`].
    pub version: u32,
    /// Wall clock, milliseconds since the Unix epoch.
    pub time_unix_ms: u64,
    /// Length of the interval that the rates cover; null without a sample before.
    pub interval_seconds: Option<f64>,
    /// The host.
    pub host: Host,
    /// VMs, in the order of the sample.
    pub vms: Vec<Vm>,
    /// Interfaces that belong to no VM: uplinks, bridges, taps without an owner.
    pub other_interfaces: Vec<Interface>,
}

/// The host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Host {
    /// Host name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// CPUs that are online.
    pub online_cpus: u32,
    /// The machine as statistics of VMs see it. Null in old recordings.
    pub node: Option<Arc<Node>>,
    /// How packets are counted.
    pub hook: Hook,
    /// What of a frame can be read.
    pub reads: Reads,
    /// What cannot be seen on the whole host, for people; programs find the
    /// reason with each value.
    #[serde(skip)]
    pub blind: Blind,
    /// Software work for frames of the host itself, or whose source the kernel
    /// had forgotten (after routing, a tunnel or a veth). Null where work
    /// cannot be seen.
    pub unattributed: Option<Caused>,
    /// What of the software work is counted where it is done.
    pub exact_hooks: ExactMeans,
    /// What software work costs on this host.
    pub cost: Cost,
    /// What the kernel says about the host.
    pub evidence: Evidence,
    /// What the user should know about the whole sample.
    pub notes: Vec<String>,
    /// For each value that is null, why.
    pub unavailable: Unavailable,
}

/// How the calls of each function that does software work are counted; null
/// where they are not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExactMeans {
    /// `__skb_gso_segment`.
    pub segmentation: Option<Means>,
    /// `skb_checksum_help`.
    pub checksum: Option<Means>,
    /// `skb_crc32c_csum_help`.
    pub crc32c: Option<Means>,
    /// Calls that were not counted all the same; if there are any, exact
    /// figures are lower bounds, too.
    pub missed_calls_total: u64,
}

impl ExactMeans {
    fn of(hooks: &ExactHooks, unavailable: &mut Unavailable) -> Self {
        for (field, hook) in [
            ("segmentation", &hooks.segmentation),
            ("checksum", &hooks.checksum),
            ("crc32c", &hooks.crc32c),
        ] {
            if let Err(reason) = hook.method() {
                unavailable.insert(format!("exact_hooks.{field}"), reason.into());
            }
        }
        Self {
            segmentation: Means::exact(&hooks.segmentation),
            checksum: Means::exact(&hooks.checksum),
            crc32c: Means::exact(&hooks.crc32c),
            missed_calls_total: hooks.missed_calls,
        }
    }
}

/// One VM.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Vm {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: Option<String>,
    /// libvirt's id while it runs.
    pub id: Option<u32>,
    /// State.
    pub state: VmState,
    /// Who told about it.
    pub source: Source,
    /// What it used: CPU, memory, disks and network cards as libvirt counts
    /// them. Null while it is off, or where nobody tells.
    pub usage: Option<Usage>,
    /// CPU time of its vhost threads.
    #[serde(flatten)]
    pub vhost: VhostCpu,
    /// Its network cards.
    pub interfaces: Vec<Interface>,
    /// For each value of the VM itself that is null, why.
    pub unavailable: Unavailable,
}

impl Model {
    /// Makes the model of `sample`. Interfaces are joined with those of the
    /// earlier sample by ifindex and generation, so a tap never inherits the
    /// counts of another one that had its name or ifindex before.
    pub fn new(sample: &Sample, earlier: Option<(&Sample, Duration)>) -> Self {
        let history = UsageHistory::of(sample, earlier.map(|(sample, _)| sample));
        Self::with_usage(sample, earlier, &history)
    }

    /// The same where more samples came before: statistics that are no newer
    /// than those of the earlier sample have an interval, too. `history` is
    /// that of `sample`.
    pub fn with_usage(
        sample: &Sample,
        earlier: Option<(&Sample, Duration)>,
        history: &UsageHistory,
    ) -> Self {
        let no_interval = match earlier {
            None => Some("first sample"),
            Some((_, interval)) if interval.is_zero() => {
                Some("no interval: the clock of the recording stands still or goes backwards")
            }
            Some(_) => None,
        };
        let earlier = earlier.filter(|(_, interval)| !interval.is_zero());
        let interval = earlier.map(|(_, interval)| interval);
        let before: HashMap<(u32, u64), Before<'_>> = earlier
            .into_iter()
            .flat_map(|(sample, _)| {
                let interfaces = sample.interfaces.iter();
                interfaces
                    .filter_map(|interface| Some((interface.key(), Before::of(sample, interface)?)))
            })
            .collect();
        let joiner = Joiner {
            blind: sample.host.blind(),
            hooks: &sample.host.exact,
            now_ns: sample.monotonic_ns,
            catalogue: Catalogue::of(sample),
            no_interval,
            interval,
            before,
            names: sample
                .interfaces
                .iter()
                .map(|interface| (interface.ifindex, interface.dev.as_str()))
                .collect(),
        };

        let by_dev: HashMap<&str, &sample::Interface> = sample
            .interfaces
            .iter()
            .map(|found| (found.dev.as_str(), found))
            .collect();
        let vhost = vhost::Before::new(earlier, no_interval);
        let mut owned: HashSet<u32> = HashSet::new();
        let vms = history
            .usages(&sample.vms)
            .map(|(vm, usage)| {
                let interfaces = vm
                    .nics
                    .iter()
                    .map(|nic| {
                        let found = nic.dev.as_deref().and_then(|dev| by_dev.get(dev).copied());
                        owned.extend(found.map(|interface| interface.ifindex));
                        joiner.of_vm(nic, found)
                    })
                    .collect();
                let mut unavailable = Unavailable::new();
                Vm {
                    vhost: vhost.measure(vm, &mut unavailable),
                    name: vm.name.clone(),
                    uuid: vm.uuid.clone(),
                    id: vm.id,
                    state: vm.state,
                    source: vm.source,
                    usage: usage.cloned(),
                    interfaces,
                    unavailable,
                }
            })
            .collect();
        let other_interfaces = sample
            .interfaces
            .iter()
            .filter(|interface| {
                interface.kind != Kind::Loopback && !owned.contains(&interface.ifindex)
            })
            .map(|interface| joiner.other(interface))
            .collect();

        let unattributed =
            joiner.unattributed(&sample.host, earlier.map(|(sample, _)| &sample.host));
        let mut unavailable = joiner.host_unavailable(unattributed.as_ref());
        let evidence = Evidence::of(
            &sample.host.evidence,
            earlier.map(|(sample, _)| &sample.host.evidence),
            interval,
            joiner.no_rate(true),
            &mut unavailable,
        );
        Self {
            schema: SCHEMA,
            version: SCHEMA_VERSION,
            time_unix_ms: sample.time_unix_ms,
            interval_seconds: interval.map(|interval| interval.as_secs_f64()),
            host: Host {
                name: sample.host.name.clone(),
                kernel: sample.host.kernel.clone(),
                online_cpus: sample.host.online_cpus,
                node: sample.host.node.clone(),
                hook: sample.host.hook,
                reads: sample.host.reads,
                blind: sample.host.blind(),
                exact_hooks: ExactMeans::of(&sample.host.exact, &mut unavailable),
                cost: Cost::of(sample, &mut unavailable),
                unavailable,
                unattributed,
                evidence,
                notes: sample.host.notes.clone(),
            },
            vms,
            other_interfaces,
        }
    }
}

/// What turning one interface of a sample into one of a model needs.
struct Joiner<'sample> {
    blind: Blind,
    hooks: &'sample ExactHooks,
    now_ns: u64,
    catalogue: Catalogue,
    /// Why no rate can be given at all.
    no_interval: Option<&'static str>,
    interval: Option<Duration>,
    before: HashMap<(u32, u64), Before<'sample>>,
    names: HashMap<u32, &'sample str>,
}

/// An interface in the earlier sample.
#[derive(Clone, Copy)]
struct Before<'sample> {
    slot: &'sample Slot,
    exact: Option<&'sample ExactSlot>,
    hooks: &'sample ExactHooks,
}

impl<'sample> Before<'sample> {
    fn of(sample: &'sample Sample, interface: &'sample sample::Interface) -> Option<Self> {
        Some(Self {
            slot: interface.counted()?,
            exact: match &interface.exact {
                ExactCounters::Counted(slot) => Some(slot),
                ExactCounters::Unavailable(_) => None,
            },
            hooks: &sample.host.exact,
        })
    }
}

impl sample::Interface {
    fn key(&self) -> (u32, u64) {
        (self.ifindex, self.generation)
    }

    fn counted(&self) -> Option<&Slot> {
        match &self.counters {
            Counters::Counted(slot) => Some(slot),
            Counters::Unavailable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
