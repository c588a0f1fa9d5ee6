//! What virt-top shows, picked from a sample or a model: the VMs with what
//! they used, and the machine.

use std::borrow::Cow;

use super::{
    Model, Port, Vm,
    usage::{Usage, UsageHistory},
};
use crate::sample::{self, Node, Sample, Source, VmState};

/// The VMs of one moment. Borrowed: it costs nothing to make.
#[derive(Clone, Debug)]
pub struct Overview<'a> {
    /// Wall clock, milliseconds since the Unix epoch.
    pub time_unix_ms: u64,
    /// The machine.
    pub node: Cow<'a, Node>,
    /// VMs, active and inactive.
    pub domains: Vec<Domain<'a>>,
    /// What the user should know.
    pub notes: &'a [String],
}

/// One VM.
#[derive(Clone, Copy, Debug)]
pub struct Domain<'a> {
    /// Its place among the VMs it was picked from.
    pub place: usize,
    /// Name.
    pub name: &'a str,
    /// libvirt's id while it runs.
    pub id: Option<u32>,
    /// State.
    pub state: VmState,
    /// It runs, or is paused.
    pub is_active: bool,
    /// Nothing but its process tells of it.
    pub is_process: bool,
    /// What it used.
    pub usage: Option<&'a Usage>,
    /// Its network cards, where they are made.
    pub interfaces: &'a [Port],
}

/// Sums over all VMs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// VMs, inactive ones too.
    pub count: usize,
    /// Running.
    pub running: usize,
    /// Blocked on a resource.
    pub blocked: usize,
    /// Paused, by a user or by the guest's power management.
    pub paused: usize,
    /// Shutting down.
    pub shutdown: usize,
    /// Shut off, while active: none, as a rule.
    pub shutoff: usize,
    /// Crashed.
    pub crashed: usize,
    /// Active.
    pub active: usize,
    /// Inactive.
    pub inactive: usize,
    /// CPU time in the interval, nanoseconds.
    pub cpu_time_ns: u64,
    /// The same as a share of all of the host's CPUs.
    pub cpu_percent: f64,
    /// Memory that active VMs are given, KiB.
    pub memory_kib: u64,
    /// Active VMs of which nothing is told.
    pub untold: usize,
}

impl<'a> Overview<'a> {
    /// From a model.
    pub fn of_model(model: &'a Model) -> Self {
        Self {
            time_unix_ms: model.time_unix_ms,
            node: match &model.host.node {
                Some(node) => Cow::Borrowed(node),
                None => Cow::Owned(unknown_node(&model.host.name, model.host.online_cpus)),
            },
            domains: model
                .vms
                .iter()
                .enumerate()
                .map(|(place, vm)| Domain {
                    place,
                    ..Domain::of(vm)
                })
                .collect(),
            notes: &model.host.notes,
        }
    }

    /// From a sample and the history that it ends, without network cards.
    pub fn of_sample(sample: &'a Sample, history: &'a UsageHistory) -> Self {
        let usages = history.usages(&sample.vms).enumerate();
        let domains = usages.map(|(place, (vm, usage))| Domain {
            place,
            name: &vm.name,
            id: vm.id,
            state: vm.state,
            is_active: is_active(vm.id, vm.state, vm.source),
            is_process: vm.source == Source::Proc,
            usage,
            interfaces: &[],
        });
        Self {
            time_unix_ms: sample.time_unix_ms,
            node: match &sample.host.node {
                Some(node) => Cow::Borrowed(node),
                None => Cow::Owned(unknown_node(&sample.host.name, sample.host.online_cpus)),
            },
            domains: domains.collect(),
            notes: &sample.host.notes,
        }
    }

    /// As virt-top would list for programs: while libvirt tells of VMs, without
    /// those that only processes tell of; and without figures of an interval
    /// that were told before.
    #[must_use]
    pub fn for_programs(mut self) -> Self {
        if self.domains.iter().any(|domain| !domain.is_process) {
            self.domains.retain(|domain| !domain.is_process);
        }
        for domain in &mut self.domains {
            domain.usage = domain.usage.filter(|usage| !usage.is_stale);
        }
        self
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for domain in &self.domains {
            totals.count += 1;
            if !domain.is_active {
                totals.inactive += 1;
                continue;
            }
            totals.active += 1;
            match domain.state {
                VmState::Running => totals.running += 1,
                VmState::Blocked => totals.blocked += 1,
                VmState::Paused | VmState::Suspended => totals.paused += 1,
                VmState::Shutdown => totals.shutdown += 1,
                VmState::Shutoff => totals.shutoff += 1,
                VmState::Crashed => totals.crashed += 1,
                VmState::Unknown => {}
            }
            let Some(usage) = domain.usage else {
                totals.untold += 1;
                continue;
            };
            totals.cpu_time_ns += usage.cpu_time_ns().unwrap_or_default();
            totals.cpu_percent += usage.cpu_percent().unwrap_or_default();
            totals.memory_kib += usage.now.memory_kib.unwrap_or_default();
        }
        totals
    }

    /// How old the oldest statistics are, nanoseconds, if some are those of the
    /// sample before.
    pub fn stale_ns(&self) -> Option<u64> {
        let usages = self.domains.iter().filter_map(|domain| domain.usage);
        let stale = usages.filter(|usage| usage.is_stale);
        stale.map(|usage| usage.age_ns).max()
    }
}

impl<'a> Domain<'a> {
    /// The VM of a model.
    pub fn of(vm: &'a Vm) -> Self {
        Self {
            place: 0,
            name: &vm.name,
            id: vm.id,
            state: vm.state,
            is_active: is_active(vm.id, vm.state, vm.source),
            is_process: vm.source == Source::Proc,
            usage: vm.usage.as_ref(),
            interfaces: &vm.interfaces,
        }
    }
}

/// A libvirt domain has an id while it is active. One that is known by its
/// process, or by a status file that its process confirms, is.
fn is_active(id: Option<u32>, state: VmState, source: Source) -> bool {
    id.is_some() || (source != Source::Libvirt && state != VmState::Shutoff)
}

/// The machine as old recordings tell of it.
fn unknown_node(host_name: &str, online_cpus: u32) -> Node {
    Node {
        host_name: host_name.to_owned(),
        online_cpus,
        cpus: online_cpus,
        ..sample::Node::default()
    }
}
