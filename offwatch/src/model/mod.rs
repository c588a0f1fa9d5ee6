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
mod joined;
mod offloads;
pub mod overview;
mod port;
mod rates;
mod side;
mod totals;
pub mod usage;
mod vhost;
mod work;

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Serialize;

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
    port::Port,
    rates::{Rates, SideRates, WorkNs},
    side::Side,
    usage::{Usage, UsageHistory},
    vhost::VhostCpu,
    work::SoftwareWork,
};
pub(crate) use self::{
    figures::Shown,
    interface::missing,
    offloads::NEGOTIATED,
    side::SideTotals,
    totals::{Moment, Totals},
};
use self::{joined::Joined, port::Card, vhost::NoVhostCpu};
use crate::sample::{
    Blind, ExactHooks, Hook, Kind, Node, Reads, Sample, Source, Unavailable, VmState,
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
    pub other_interfaces: Vec<Port>,
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
    pub name: Arc<str>,
    /// UUID.
    pub uuid: Option<Arc<str>>,
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
    pub interfaces: Vec<Port>,
    /// For each value of the VM itself that is null, why.
    pub unavailable: NoVhostCpu,
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
        let shared = |sample: &Sample| Arc::new(sample.clone());
        let earlier = earlier.map(|(earlier, interval)| (shared(earlier), interval));
        Self::of(&shared(sample), earlier, history)
    }

    /// The same of samples that are shared: the model keeps them, as long as it
    /// lasts, to make its interfaces from.
    pub fn of(
        sample: &Arc<Sample>,
        earlier: Option<(Arc<Sample>, Duration)>,
        history: &UsageHistory,
    ) -> Self {
        let joined = Arc::new(Joined::new(Arc::clone(sample), earlier));
        let vhost = vhost::Before::new(&joined);
        let mut places = Places::new(sample);
        let vms = history
            .usages(&sample.vms)
            .zip(0..)
            .map(|((vm, usage), at)| {
                let cards = vm.nics.iter().zip(0..);
                let interfaces = cards
                    .map(|(nic, card)| {
                        let found = nic.dev.as_deref().and_then(|dev| places.own(dev));
                        Port::new(&joined, found, Some(Card { vm: at, card }))
                    })
                    .collect();
                let (vhost, unavailable) = vhost.measure(vm);
                Vm {
                    vhost,
                    name: Arc::clone(&vm.name),
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
        let others = places.unowned();
        let other_interfaces = others
            .map(|place| Port::new(&joined, Some(place), None))
            .collect();

        let interval = joined.interval;
        let earlier = joined.earlier.as_deref();
        let unattributed = joined.unattributed(&sample.host, earlier.map(|sample| &sample.host));
        let mut unavailable = joined.host_unavailable(unattributed.as_ref());
        let evidence = Evidence::of(
            &sample.host.evidence,
            earlier.map(|sample| &sample.host.evidence),
            interval,
            joined.no_rate(true),
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
                blind: joined.blind,
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

/// The interfaces of a sample by name, and which of them belong to a VM.
struct Places<'sample> {
    sample: &'sample Sample,
    by_dev: HashMap<&'sample str, u32>,
    owned: Vec<bool>,
}

impl<'sample> Places<'sample> {
    fn new(sample: &'sample Sample) -> Self {
        let has_cards = sample.vms.iter().any(|vm| !vm.nics.is_empty());
        let interfaces = sample.interfaces.iter().filter(|_| has_cards);
        Self {
            sample,
            by_dev: interfaces.map(|found| &*found.dev).zip(0..).collect(),
            owned: vec![false; sample.interfaces.len()],
        }
    }

    /// The place of an interface, which from now on belongs to a VM.
    fn own(&mut self, dev: &str) -> Option<u32> {
        let place = *self.by_dev.get(dev)?;
        self.owned[place as usize] = true;
        Some(place)
    }

    /// Those that belong to none.
    fn unowned(&self) -> impl Iterator<Item = u32> {
        let interfaces = self.sample.interfaces.iter().zip(&self.owned).zip(0..);
        interfaces
            .filter(|((found, is_owned), _)| found.kind != Kind::Loopback && !**is_owned)
            .map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests;
