//! How the running VMs were set up, from whoever tells of each.

use std::collections::HashMap;

use super::{Vms, combine::is_active, daemon::Answer};
use crate::{
    facts::domain::Domain,
    sample::{Source, Vm},
};

impl Vms {
    /// How the VMs of the last update were set up, as libvirt's XML, its status
    /// files and command lines now have it. One of which nobody tells is left
    /// out.
    pub fn setups(&self) -> Vec<Domain> {
        let listed = match self.daemon.ask(false) {
            Answer::Domains { domains, .. } => domains,
            _ => Default::default(),
        };
        let by_libvirt = listed.iter().filter_map(|domain| domain.setup.as_deref());
        let known: HashMap<&str, &Domain> = by_libvirt
            .chain(&self.status_setups)
            .filter_map(|setup| Some((setup.uuid.as_deref()?, setup)))
            .collect();
        let processes = self.processes.iter();
        let processes: HashMap<u32, &Domain> = processes
            .filter_map(|process| Some((process.pid, process.setup.as_deref()?)))
            .collect();
        let running = self.all().iter().filter(|vm| is_active(vm));
        running
            .filter_map(|vm| {
                let by_uuid = || known.get(vm.uuid.as_deref()?).copied();
                let by_pid = || processes.get(&vm.pid?).copied();
                let found = match vm.source {
                    Source::Proc => by_pid(),
                    Source::Libvirt | Source::Status => by_uuid().or_else(by_pid),
                };
                found.map(|found| of_vm(found, vm))
            })
            .collect()
    }
}

/// A setup, under the name and with the interfaces of the VM in a sample.
fn of_vm(found: &Domain, vm: &Vm) -> Domain {
    let mut setup = Domain {
        name: vm.name.to_string(),
        uuid: vm.uuid.as_deref().map(str::to_owned),
        pid: vm.pid,
        ..found.clone()
    };
    // A command line does not name interfaces that libvirt has opened.
    for card in &mut setup.nics {
        let mut cards = vm.nics.iter();
        if card.dev.is_none()
            && card.mac.is_some()
            && let Some(nic) = cards.find(|nic| nic.mac == card.mac)
        {
            card.dev.clone_from(&nic.dev);
        }
    }
    if let ([card], [nic]) = (setup.nics.as_mut_slice(), vm.nics.as_slice())
        && card.dev.is_none()
    {
        card.dev.clone_from(&nic.dev);
    }
    setup
}
