//! The statistics before those of now, VM by VM.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::Usage;
use crate::sample::{self, Sample, Source, VmStats};

/// Remembers for each VM its last two statistics. A sample without new ones
/// changes nothing: the last figures stay, and grow older.
#[derive(Clone, Debug, Default)]
pub struct UsageHistory {
    /// In the order of the last sample, without VMs of which nothing is known.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    /// The same if it is a UUID, which a VM's samples share.
    by_uuid: Option<Arc<str>>,
    usage: Usage,
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
        let node = sample.host.node.as_deref();
        let online_cpus = node.map_or(sample.host.online_cpus, |node| node.online_cpus);
        let places = self.places(&sample.vms);
        let before = std::mem::take(&mut self.entries);
        self.entries.reserve(before.len());
        let mut before: Vec<Option<Entry>> = before.into_iter().map(Some).collect();
        for (vm, place) in sample.vms.iter().zip(places) {
            let Some(stats) = &vm.stats else { continue };
            let mut entry = match place.and_then(|place| before[place].take()) {
                Some(mut entry) => {
                    entry.usage.advance(stats);
                    entry
                }
                None => Entry {
                    key: key(vm).into_owned(),
                    by_uuid: by_uuid(vm).cloned(),
                    usage: Usage::first(stats),
                },
            };
            let usage = &mut entry.usage;
            usage.online_cpus = online_cpus;
            usage.host_memory_kib = node.map(|node| node.memory_kib);
            usage.age_ns = sample.monotonic_ns.saturating_sub(stats.monotonic_ns);
            self.entries.push(entry);
        }
    }

    /// What VMs of the last sample used; none where nothing is known.
    pub fn usages<'a>(
        &'a self,
        vms: &'a [sample::Vm],
    ) -> impl Iterator<Item = (&'a sample::Vm, Option<&'a Usage>)> {
        let places = vms.iter().zip(self.places(vms));
        places.map(|(vm, place)| (vm, place.map(|place| &self.entries[place].usage)))
    }

    /// The entries of VMs with statistics. As a rule they are in the same order.
    fn places(&self, vms: &[sample::Vm]) -> Vec<Option<usize>> {
        let mut next = 0;
        let mut by_key = None;
        let mut places = Vec::with_capacity(vms.len());
        for vm in vms {
            let mut place = None;
            if vm.stats.is_some() {
                let is_next = self.entries.get(next).is_some_and(|entry| entry.is_of(vm));
                place = match is_next {
                    true => Some(next),
                    false => {
                        let by_key: &HashMap<&str, usize> =
                            by_key.get_or_insert_with(|| self.by_key());
                        by_key.get(key(vm).as_ref()).copied()
                    }
                };
                next = place.map_or(next, |place| place + 1);
            }
            places.push(place);
        }
        places
    }

    fn by_key(&self) -> HashMap<&str, usize> {
        let keys = self.entries.iter().map(|entry| entry.key.as_str());
        keys.zip(0..).collect()
    }
}

impl Entry {
    fn is_of(&self, vm: &sample::Vm) -> bool {
        let is_shared = self.by_uuid.as_ref().zip(by_uuid(vm));
        is_shared.is_some_and(|(one, other)| Arc::ptr_eq(one, other)) || self.key == key(vm)
    }
}

impl Usage {
    fn first(stats: &Arc<VmStats>) -> Self {
        Self {
            now: Arc::clone(stats),
            before: None,
            age_ns: 0,
            is_stale: false,
            online_cpus: 0,
            host_memory_kib: None,
        }
    }

    fn advance(&mut self, stats: &Arc<VmStats>) {
        if (self.now.source, self.now.start) != (stats.source, stats.start) {
            *self = Self::first(stats);
            return;
        }
        self.is_stale = self.now.monotonic_ns == stats.monotonic_ns;
        if !self.is_stale {
            let last = std::mem::replace(&mut self.now, Arc::clone(stats));
            self.before = Some(last);
        }
    }
}

/// What tells a VM from all others: its UUID, or its process where that alone
/// is known of it, as a copy may run with the same UUID.
fn key(vm: &sample::Vm) -> Cow<'_, str> {
    match (by_uuid(vm), vm.pid) {
        (Some(uuid), _) => Cow::Borrowed(uuid),
        (None, Some(pid)) => format!("process {pid}").into(),
        (None, None) => format!("name {}", vm.name).into(),
    }
}

/// The UUID, where that is what the VM is known by.
fn by_uuid(vm: &sample::Vm) -> Option<&Arc<str>> {
    let is_known = matches!(vm.source, Source::Libvirt | Source::Status);
    vm.uuid.as_ref().filter(|_| is_known)
}
