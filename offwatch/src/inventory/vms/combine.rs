//! One list of VMs from what libvirt and the processes tell.

use std::collections::{HashMap, HashSet};

use crate::inventory::procfs::Process;
use crate::sample::{Source, Vm, VmState};

/// Adds to the VMs by libvirt or its files those processes that are none of
/// them, and to VMs the process ids that only the processes tell.
pub fn combine(known: Vec<Vm>, processes: &[Process]) -> Vec<Vm> {
    let mut vms = known;
    if processes.is_empty() {
        return vms;
    }
    let index = |key: &dyn Fn(&Vm) -> Vec<String>| -> HashMap<String, usize> {
        let keys = vms
            .iter()
            .enumerate()
            .flat_map(|(at, vm)| key(vm).into_iter().map(move |key| (key, at)));
        keys.collect()
    };
    let by_pid = index(&|vm| vm.pid.iter().map(u32::to_string).collect());
    let by_uuid = index(&|vm| {
        vm.uuid
            .iter()
            .map(|uuid| uuid.to_ascii_lowercase())
            .collect()
    });
    let by_dev = index(&|vm| devs(vm).map(str::to_owned).collect());
    let mut owned: HashSet<String> = by_dev.keys().cloned().collect();
    let mut uuids: HashSet<String> = by_uuid.keys().cloned().collect();

    // VMMs first: a tap may be held by a helper of the VMM, too.
    let (vmms, holders): (Vec<_>, Vec<_>) = processes.iter().partition(|process| process.is_vmm);
    for process in vmms.into_iter().chain(holders) {
        if by_pid.contains_key(&process.pid.to_string()) {
            continue;
        }
        let by_uuid = process.uuid.as_ref().and_then(|uuid| by_uuid.get(uuid));
        let by_dev = process.devs().find_map(|dev| by_dev.get(dev));
        if let Some(vm) = by_uuid.or(by_dev).and_then(|&at| vms.get_mut(at))
            && vm.pid.is_none()
        {
            // A VM that is shut off gets no process: libvirt's listing is then
            // older than the process, and the next one will tell.
            vm.pid = Some(process.pid).filter(|_| process.is_vmm && is_active(vm));
            continue;
        }
        // The same again, as a child of the VMM: nothing new.
        let has_own = process.devs().any(|dev| !owned.contains(dev));
        let is_twin = process
            .uuid
            .as_ref()
            .is_some_and(|uuid| uuids.contains(uuid));
        let is_shared = process.devs().any(|dev| owned.contains(dev));
        if !has_own && (is_twin || is_shared || !process.is_vmm) {
            continue;
        }
        owned.extend(process.devs().map(str::to_owned));
        uuids.extend(process.uuid.clone());
        vms.push(Vm {
            name: process.name.as_str().into(),
            uuid: process.uuid.as_deref().map(Into::into),
            id: None,
            pid: Some(process.pid),
            // The process runs; whether it paused the guest cannot be seen.
            state: VmState::Running,
            source: Source::Proc,
            nics: process.nics.clone().into(),
            ..Vm::default()
        });
    }
    vms
}

/// How many VMs are known by a process alone whose taps cannot be read.
pub(super) fn unreadable(vms: &[Vm], processes: &[Process]) -> usize {
    let by_process: HashSet<u32> = vms
        .iter()
        .filter(|vm| vm.source == Source::Proc)
        .filter_map(|vm| vm.pid)
        .collect();
    processes
        .iter()
        .filter(|process| process.is_unreadable && by_process.contains(&process.pid))
        .count()
}

fn devs(vm: &Vm) -> impl Iterator<Item = &str> {
    vm.nics.iter().filter_map(|nic| nic.dev.as_deref())
}

pub(super) fn is_active(vm: &Vm) -> bool {
    vm.id.is_some() || vm.pid.is_some()
}

/// Running VMs by id, then those without one by name, then inactive ones.
pub(super) fn order(vm: &Vm) -> impl Ord + '_ {
    let id = vm.id.unwrap_or(u32::MAX);
    (!is_active(vm), id, &vm.name, &vm.uuid, vm.pid)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inventory::nic;
    use crate::sample::Nic;

    fn tap(dev: &str) -> Nic {
        nic::nic("tap", Some(dev.to_owned()), None)
    }

    fn vm(name: &str, id: u32, dev: &str) -> Vm {
        Vm {
            name: name.into(),
            uuid: Some(format!("uuid-{name}").into()),
            id: Some(id),
            state: VmState::Running,
            nics: vec![tap(dev)].into(),
            ..Vm::default()
        }
    }

    fn process(pid: u32, name: &str, dev: &str) -> Process {
        Process {
            pid,
            name: name.into(),
            uuid: Some(format!("uuid-{name}")),
            nics: vec![tap(dev)],
            is_vmm: true,
            ..Process::default()
        }
    }

    fn combined(vms: &[Vm], processes: &[Process]) -> Vec<(String, Option<u32>, Source)> {
        combine(vms.to_vec(), processes)
            .into_iter()
            .map(|vm| (vm.name.to_string(), vm.pid, vm.source))
            .collect()
    }

    fn row(name: &str, pid: Option<u32>, source: Source) -> (String, Option<u32>, Source) {
        (name.into(), pid, source)
    }

    #[test]
    fn one_vm_from_two_sources() {
        let a = vm("a", 1, "vnet0");
        let with_pid = Vm {
            pid: Some(10),
            ..a.clone()
        };
        let same = [row("a", Some(10), Source::Libvirt)];
        // By process id, whatever else it says.
        assert_eq!(combined(&[with_pid], &[process(10, "x", "vnet5")]), same);
        // By UUID.
        assert_eq!(
            combined(std::slice::from_ref(&a), &[process(10, "a", "vnet5")]),
            same
        );
        // By interface.
        assert_eq!(combined(&[a], &[process(10, "x", "vnet0")]), same);
    }

    #[test]
    fn processes_that_libvirt_does_not_know() {
        let a = Vm {
            pid: Some(10),
            ..vm("a", 1, "vnet0")
        };
        let b = process(11, "b", "tap0");
        assert_eq!(
            combined(std::slice::from_ref(&a), &[process(10, "a", "vnet0"), b]),
            [
                row("a", Some(10), Source::Libvirt),
                row("b", Some(11), Source::Proc)
            ]
        );
        // The same name is no reason to be the same VM.
        let namesake = Process {
            uuid: None,
            ..process(12, "a", "tap0")
        };
        assert_eq!(combined(&[a], &[namesake]).len(), 2);
    }

    #[test]
    fn copies_are_not_listed() {
        let a = Vm {
            pid: Some(10),
            ..vm("a", 1, "vnet0")
        };
        // A fork, or a user's process that claims to be the VM.
        assert_eq!(
            combined(std::slice::from_ref(&a), &[process(12, "a", "vnet0")]).len(),
            1
        );
        // The VM's twin with an interface of its own is a VM.
        assert_eq!(combined(&[a], &[process(12, "a", "vnet7")]).len(), 2);
        // A helper that holds the tap, with the lower process id.
        let helper = Process {
            is_vmm: false,
            uuid: None,
            ..process(9, "helper-9", "tap0")
        };
        let qemu = process(11, "b", "tap0");
        assert_eq!(
            combined(&[], &[helper, qemu.clone(), qemu]),
            [row("b", Some(11), Source::Proc)]
        );
    }

    #[test]
    fn a_domain_that_is_shut_off_has_no_process() {
        let off = Vm {
            id: None,
            nics: Arc::default(),
            state: VmState::Shutoff,
            ..vm("a", 1, "vnet0")
        };
        let vms = combine(vec![off.clone()], &[process(10, "a", "vnet0")]);
        assert_eq!(vms, [off]);
    }

    #[test]
    fn the_order_does_not_depend_on_the_sources() {
        let off = Vm {
            id: None,
            ..vm("a", 0, "x")
        };
        let by_process = Vm {
            id: None,
            pid: Some(7),
            ..vm("b", 0, "y")
        };
        let mut vms = [off, by_process, vm("z", 10, "z"), vm("y", 9, "w")];
        vms.sort_by(|a, b| order(a).cmp(&order(b)));
        let names: Vec<_> = vms.iter().map(|vm| &*vm.name).collect();
        assert_eq!(names, ["y", "z", "b", "a"]);
    }
}
