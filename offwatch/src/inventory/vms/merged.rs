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
