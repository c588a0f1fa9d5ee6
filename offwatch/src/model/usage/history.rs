//! The statistics before those of now, VM by VM.

use std::collections::HashMap;
use std::sync::Arc;

use super::Usage;
use crate::sample::{self, Sample, Source, VmStats};

/// Remembers for each VM its last two statistics. A sample without new ones
/// changes nothing: the last figures stay, and grow older.
#[derive(Clone, Debug, Default)]
pub struct UsageHistory {
    by_vm: HashMap<String, Entry>,
    /// Number of the last sample.
    samples: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    usage: Usage,
    /// The last sample that had the VM.
    seen: u64,
}

impl UsageHistory {
    /// The history of two samples, for a model of these alone.
    pub fn of(sample: &Sample, earlier: Option<&Sample>) -> Self {
        let mut history = Self::default();
        if let Some(earlier) = earlier {
            history.advance(earlier);
        }
        history.advance(sample);
        history
    }

    /// Goes on to the next sample.
    pub fn advance(&mut self, sample: &Sample) {
        self.samples += 1;
        let node = sample.host.node.as_deref();
        let online_cpus = node.map_or(sample.host.online_cpus, |node| node.online_cpus);
        for vm in &sample.vms {
            let Some(stats) = &vm.stats else { continue };
            let key = key(vm);
            let entry = match self.by_vm.get_mut(key.as_ref()) {
                Some(entry) => {
                    entry.advance(stats);
                    entry
                }
                None => self
                    .by_vm
                    .entry(key.into_owned())
                    .or_insert_with(|| Entry::first(stats)),
            };
            entry.seen = self.samples;
            entry.usage.online_cpus = online_cpus;
            entry.usage.host_memory_kib = node.map(|node| node.memory_kib);
            entry.usage.age_ns = sample.monotonic_ns.saturating_sub(stats.monotonic_ns);
        }
        self.by_vm.retain(|_, entry| entry.seen == self.samples);
    }

    /// What a VM of the last sample used; none if nothing is known of it.
    pub fn usage(&self, vm: &sample::Vm) -> Option<&Usage> {
        vm.stats.as_ref()?;
        self.by_vm.get(key(vm).as_ref()).map(|entry| &entry.usage)
    }
}

impl Entry {
    fn first(stats: &Arc<VmStats>) -> Self {
        Self {
            usage: Usage {
                now: Arc::clone(stats),
                before: None,
                age_ns: 0,
                is_stale: false,
                online_cpus: 0,
                host_memory_kib: None,
            },
            seen: 0,
        }
    }

    fn advance(&mut self, stats: &Arc<VmStats>) {
        let last = &self.usage.now;
        if (last.source, last.start) != (stats.source, stats.start) {
            *self = Self::first(stats);
            return;
        }
        self.usage.is_stale = last.monotonic_ns == stats.monotonic_ns;
        if !self.usage.is_stale {
            let last = std::mem::replace(&mut self.usage.now, Arc::clone(stats));
            self.usage.before = Some(last);
        }
    }
}

/// What tells a VM from all others: its UUID, or its process where that alone
/// is known of it, as a copy may run with the same UUID.
fn key(vm: &sample::Vm) -> std::borrow::Cow<'_, str> {
    match (&vm.uuid, vm.source, vm.pid) {
        (Some(uuid), Source::Libvirt | Source::Status, _) => uuid.as_str().into(),
        (_, _, Some(pid)) => format!("process {pid}").into(),
        (_, _, None) => format!("name {}", vm.name).into(),
    }
}
