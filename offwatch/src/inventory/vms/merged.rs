//! The VMs of all sources together, and where each one came from: as long as
//! nothing but states and statistics changes, nothing is put together anew.

use std::path::Path;
use std::sync::Arc;

use super::combine::order;
use crate::inventory::listing::Listing;
use crate::inventory::procfs::{Process, usage};
use crate::sample::{Source, Vm};

#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Running ones by id and then by name.
    pub(super) vms: Vec<Vm>,
    /// For each, its place in libvirt's listing.
    places: Vec<Option<usize>>,
    /// libvirt's listing.
    domains: Arc<Vec<Listing>>,
    /// Revision of the interfaces.
    links: u64,
}

impl Merged {
    /// VMs of which the first ones are those of libvirt's listing.
    pub(super) fn new(vms: Vec<Vm>, domains: Arc<Vec<Listing>>, links: u64) -> Self {
        let places = (0..domains.len()).map(Some).chain(std::iter::repeat(None));
        let mut placed: Vec<(Vm, Option<usize>)> = vms.into_iter().zip(places).collect();
        placed.sort_by(|(a, _), (b, _)| order(a).cmp(&order(b)));
        let (vms, places) = placed.into_iter().unzip();
        Self {
            vms,
            places,
            domains,
            links,
        }
    }

    /// Whether it was put together from these domains, states and statistics
    /// aside, and these interfaces.
    pub(super) fn is_of(&self, domains: &[Listing], links: u64) -> bool {
        let mut pairs = self.domains.iter().zip(domains);
        self.links == links
            && self.domains.len() == domains.len()
            && pairs.all(|(one, other)| Arc::ptr_eq(&one.vm, &other.vm))
    }

    /// Takes over states and statistics.
    pub(super) fn renew(&mut self, domains: &[Listing]) {
        for (vm, place) in self.vms.iter_mut().zip(&self.places) {
            match place.and_then(|place| domains.get(place)) {
                Some(domain) => {
                    vm.state = domain.state;
                    vm.stats.clone_from(&domain.stats);
                }
                None => vm.stats = None,
            }
        }
    }
}

/// Adds what processes used, for VMs of which libvirt tells nothing. Those whose
/// process has ended since the last scan are none any more.
pub(super) fn add_usage(proc: &Path, merged: &mut Merged, processes: &[Process]) {
    let memory = |pid| {
        let mut processes = processes.iter();
        processes.find(|process| process.pid == pid)?.memory_kib
    };
    let mut ended = Vec::new();
    for (at, vm) in merged.vms.iter_mut().enumerate() {
        let Some(pid) = vm.pid.filter(|_| vm.stats.is_none()) else {
            continue;
        };
        vm.stats = usage::read(proc, pid, memory(pid)).map(Arc::new);
        let may_have_ended = vm.stats.is_none() && vm.source == Source::Proc;
        if may_have_ended && !proc.join(pid.to_string()).exists() {
            ended.push(at);
        }
    }
    for at in ended.into_iter().rev() {
        merged.vms.remove(at);
        merged.places.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{StatsSource, VmState, VmStats};

    fn domain(name: &str, id: u32) -> Listing {
        let vm = Vm {
            name: name.into(),
            id: Some(id),
            ..Vm::default()
        };
        Listing {
            vm: Arc::new(vm),
            state: VmState::Running,
            stats: None,
            setup: None,
        }
    }

    /// Two domains, not in the order of their ids, and a process.
    fn merged() -> (Merged, Vec<Listing>) {
        let domains = vec![domain("b", 2), domain("a", 1)];
        let process = Vm {
            name: "process".into(),
            pid: Some(std::process::id()),
            source: Source::Proc,
            ..Vm::default()
        };
        let mut vms: Vec<Vm> = domains.iter().map(Listing::to_vm).collect();
        vms.push(process);
        let merged = Merged::new(vms, Arc::new(domains.clone()), 7);
        (merged, domains)
    }

    #[test]
    fn states_and_statistics_go_where_they_belong() {
        let (mut merged, mut domains) = merged();
        domains[0].state = VmState::Paused;
        domains[0].stats = Some(Arc::new(VmStats {
            start: 2,
            ..VmStats::default()
        }));
        assert!(merged.is_of(&domains, 7));
        merged.renew(&domains);
        let shown: Vec<_> = merged
            .vms
            .iter()
            .map(|vm| {
                let start = vm.stats.as_ref().map(|stats| stats.start);
                (&*vm.name, vm.state, start)
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("a", VmState::Running, None),
                ("b", VmState::Paused, Some(2)),
                ("process", VmState::Unknown, None),
            ]
        );
    }

    #[test]
    fn what_has_changed_is_put_together_anew() {
        let (merged, domains) = merged();
        assert!(!merged.is_of(&domains, 8), "another interface");
        assert!(!merged.is_of(&domains[..1], 7), "one less");
        let swapped = [domains[1].clone(), domains[0].clone()];
        assert!(!merged.is_of(&swapped, 7), "another order");
        let renewed = [domain("b", 2), domains[1].clone()];
        assert!(!merged.is_of(&renewed, 7), "its XML was read again");
    }

    #[test]
    fn processes_are_read_until_they_end() {
        let (mut merged, _) = merged();
        add_usage(Path::new("/proc"), &mut merged, &[]);
        let stats = merged.vms[2].stats.as_ref().unwrap();
        assert_eq!(stats.source, StatsSource::Proc);
        assert!(merged.vms[0].stats.is_none());
        merged.renew(&[]);
        add_usage(Path::new("/nonexistent"), &mut merged, &[]);
        assert_eq!(merged.vms.len(), 2);
        assert_eq!(merged.places.len(), 2);
    }
}
