//! A window: what two samples tell of the time between them, as rules want it.
//!
//! Pure. Rates are those of the [`Model`] of the two samples; what a model tells
//! as totals alone is subtracted here. Interfaces are joined by ifindex and
//! generation, so an interface that was made anew in between has no figures.

mod carrier;
mod feature;
mod flow;
mod host;
mod join;
mod port;
mod release;
mod sources;

use std::collections::HashMap;

pub(super) use self::flow::ratio;
pub use self::{
    carrier::Carrier,
    feature::{Feature, States},
    flow::{Flow, Work},
    host::Host,
    port::{Drops, Growth, Owner, Port},
    release::Release,
    sources::Sources,
};
use super::calibrate::Calibration;
use crate::{
    facts::{Facts, Lookup, domain::Domain},
    model::Model,
    sample::{self, Sample},
    trial::Trial,
};

/// What two samples tell.
pub struct Window<'s> {
    /// Its length.
    pub seconds: f64,
    /// When it began and ended: wall clock, milliseconds since the Unix epoch.
    pub time_unix_ms: (u64, u64),
    /// The host.
    pub host: Host<'s>,
    /// Interfaces, those of VMs first.
    pub ports: Vec<Port<'s>>,
    /// VMs.
    pub vms: Vec<Vm<'s>>,
    /// Trials that are given as evidence.
    pub trials: &'s [Trial],
    calibrations: Vec<Calibration>,
    by_ifindex: HashMap<u32, usize>,
    members: HashMap<u32, Vec<usize>>,
    sources: HashMap<Option<u32>, Sources>,
}

/// A VM in a window.
pub struct Vm<'s> {
    /// Its name.
    pub name: &'s str,
    /// Its UUID.
    pub uuid: Option<&'s str>,
    /// Places of its interfaces in [`Window::ports`].
    pub ports: Vec<usize>,
    /// Cards that cannot be observed: what carries their frames, and why.
    pub unseen: Vec<(&'s str, &'s str)>,
    /// Online virtual CPUs.
    pub vcpus: Option<usize>,
    /// CPUs that its vhost threads used.
    pub vhost_cpus: Option<f64>,
    /// Who carries its frames, by whether it has such threads.
    pub carrier: Carrier,
    /// How it was set up.
    pub domain: Option<&'s Domain>,
}

impl<'s> Vm<'s> {
    /// The guest's operating system as libosinfo names it, if that is known.
    pub fn os_id(&self) -> Option<&'s str> {
        self.domain?.os_id.known().map(String::as_str)
    }

    /// Whether Windows runs in it; not, if that is not known.
    pub fn is_windows(&self) -> bool {
        self.os_id()
            .is_some_and(|id| id.contains("microsoft.com/win"))
    }

    /// Whether a BSD runs in it; not, if that is not known.
    pub fn is_bsd(&self) -> bool {
        self.os_id().is_some_and(|id| {
            id.contains("bsd") || id.contains("pfsense") || id.contains("opnsense")
        })
    }
}

impl<'s> Window<'s> {
    /// What the samples tell; `later` must be of the same run as `earlier`.
    pub fn new(earlier: &'s Sample, later: &'s Sample) -> Self {
        let interval = later.since(earlier);
        let seconds = interval.as_secs_f64();
        let model = Model::new(later, Some((earlier, interval)));
        let facts = later.facts.as_deref().or(earlier.facts.as_deref());
        let lookup = facts.map(Facts::lookup);
        let joiner = join::Joiner::new(earlier, later, lookup.as_ref(), seconds);
        let mut ports = Vec::with_capacity(later.interfaces.len());
        let mut vms = Vec::with_capacity(later.vms.len());
        for (index, (vm, shown)) in later.vms.iter().zip(&model.vms).enumerate() {
            let first = ports.len();
            let mut unseen = Vec::new();
            for (nic, shown) in vm.nics.iter().zip(&shown.interfaces) {
                if let Some(reason) = &nic.unobservable {
                    unseen.push((nic.backend.as_str(), reason.as_str()));
                } else {
                    let mac = nic.mac.as_deref();
                    // Not kept: all that is told of 10,000 interfaces takes 30 MiB.
                    ports.extend(joiner.port(Owner::Vm(index), mac, &shown.make()));
                }
            }
            let stats = vm.stats.as_ref();
            vms.push(Vm {
                name: &vm.name,
                uuid: vm.uuid.as_deref(),
                ports: (first..ports.len()).collect(),
                unseen,
                vcpus: stats.and_then(|stats| stats.vcpus.as_ref()).map(Vec::len),
                vhost_cpus: shown.vhost.vhost_cpu_ns_per_s.map(|ns| ns / 1e9),
                carrier: Carrier::of_threads(vm.vhost_cpu_ns),
                domain: domain(lookup.as_ref(), vm),
            });
        }
        for shown in &model.other_interfaces {
            let owner = match shown.is_unowned() {
                true => Owner::Unknown,
                false => Owner::Host,
            };
            ports.extend(joiner.port(owner, None, &shown.make()));
        }
        let mut members: HashMap<u32, Vec<usize>> = HashMap::new();
        let mut by_ifindex = HashMap::with_capacity(ports.len());
        for (index, port) in ports.iter().enumerate() {
            by_ifindex.insert(port.found.ifindex, index);
            if let Some(master) = port.found.master {
                members.entry(master).or_default().push(index);
            }
        }
        Self {
            seconds,
            time_unix_ms: (earlier.time_unix_ms, later.time_unix_ms),
            host: Host::new(earlier, later, &model, facts),
            sources: Sources::by_master(&ports),
            ports,
            vms,
            trials: &[],
            calibrations: Vec::new(),
            by_ifindex,
            members,
        }
    }

    /// With trials as evidence: those of this host and kernel tell what a frame costs.
    #[must_use]
    pub fn with_trials(mut self, trials: &'s [Trial]) -> Self {
        let of = |trial| Calibration::of(trial, &self);
        self.calibrations = trials.iter().filter_map(of).collect();
        self.trials = trials;
        self
    }

    /// What a trial told of frames to guests that are carried that way.
    pub fn calibration(&self, carrier: Carrier) -> Option<&Calibration> {
        Calibration::newest(&self.calibrations, carrier)
    }

    /// Whether what a frame costs is that trial's: no newer one tells it of guests that
    /// are carried the same way.
    pub(super) fn is_calibrated_by(&self, trial: &Trial) -> bool {
        self.calibrations
            .iter()
            .any(|found| found.is_of(trial) && self.calibration(found.carrier) == Some(found))
    }

    /// Who carries the frames of an interface.
    pub fn carrier(&self, port: &Port<'_>) -> Carrier {
        match port.setup.and_then(Carrier::configured) {
            Some(carrier) => carrier,
            None => self.vm_of(port).map_or(Carrier::Unknown, |vm| vm.carrier),
        }
    }

    /// The interface with an ifindex.
    pub fn port(&self, ifindex: u32) -> Option<&Port<'s>> {
        self.by_ifindex
            .get(&ifindex)
            .map(|index| &self.ports[*index])
    }

    /// The bridge, bond or switch that an interface belongs to.
    pub fn master(&self, port: &Port<'_>) -> Option<&Port<'s>> {
        self.port(port.found.master?)
    }

    /// The ports of a bridge, bond or switch.
    pub fn members(&self, master: &Port<'_>) -> impl Iterator<Item = &Port<'s>> {
        let members = self.members.get(&master.found.ifindex);
        (members.into_iter().flatten()).map(|index| &self.ports[*index])
    }

    /// The interfaces of a VM.
    pub fn ports_of(&self, vm: &Vm<'_>) -> impl Iterator<Item = &Port<'s>> {
        vm.ports.iter().map(|index| &self.ports[*index])
    }

    /// The VM of an interface.
    pub fn vm_of(&self, port: &Port<'_>) -> Option<&Vm<'s>> {
        match port.owner {
            Owner::Vm(index) => self.vms.get(index),
            Owner::Unknown | Owner::Host => None,
        }
    }

    /// Where frames came from that were cut on the way to ports of the same
    /// bridge or switch.
    pub fn sources(&self, port: &Port<'_>) -> Option<&Sources> {
        self.sources.get(&port.found.master)
    }

    /// A count as a rate.
    pub fn per_s(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }

    /// Whether anything at all was carried or dropped.
    pub fn has_traffic(&self) -> bool {
        self.ports.iter().any(Port::has_traffic)
    }
}

fn domain<'s>(lookup: Option<&Lookup<'s>>, vm: &sample::Vm) -> Option<&'s Domain> {
    let lookup = lookup?;
    let by_uuid = vm.uuid.as_deref().and_then(|uuid| lookup.domain(uuid));
    by_uuid.or_else(|| {
        let by_nic = |nic: &sample::Nic| lookup.nic(nic.dev.as_deref(), nic.mac.as_deref()).ok();
        vm.nics.iter().find_map(by_nic).map(|(domain, _)| domain)
    })
}
