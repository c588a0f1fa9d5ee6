//! The interfaces of this host, without observing anything: what a plan is made
//! of. It takes no privilege but those of whoever tells of VMs.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
};

use super::{
    kernel::Kernel,
    target::{Id, Owner, Target, Targets},
};
use crate::{
    facts::nic::DriverSetup,
    inventory::{
        link::{self, LinkError},
        setup::driver::Drivers,
        vms::{LinkTable, Vms, own_netns},
    },
    sample::Vm,
};

/// What has to be known of interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Which driver each has: a system call for each.
    pub drivers: bool,
    /// Which VM each belongs to: takes libvirt's answer, or a look at `/proc`.
    pub owners: bool,
}

/// Why interfaces are not known.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// They cannot be listed.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// Their features cannot be read.
    #[error("cannot read features of interfaces: {0}")]
    Features(io::Error),
    /// Nobody tells in which network namespace this is.
    #[error("/proc/self/ns/net cannot be read; mount /proc")]
    Namespace,
    /// A libvirt that the user named does not answer.
    #[error("{0}")]
    Vms(String),
}

/// Gathers them, again and again.
#[derive(Debug, Default)]
pub struct Gatherer {
    connect: Option<String>,
    vms: Option<Vms>,
}

impl Gatherer {
    /// VMs are those of a libvirt, or of the one that answers. It is connected to
    /// when an owner is asked for, not before.
    pub fn new(connect: Option<String>) -> Self {
        Self { connect, vms: None }
    }

    /// The interfaces of this network namespace, and what `needs` says of them
    /// once they are known. Must run on a tokio runtime.
    pub fn targets(
        &mut self,
        kernel: &mut dyn Kernel,
        needs: impl FnOnce(&Targets) -> Needs,
    ) -> Result<Targets, GatherError> {
        let mut targets = interfaces(kernel)?;
        let needs = needs(&targets);
        if needs.drivers {
            add_drivers(&mut targets);
        }
        if needs.owners {
            self.add_owners(&mut targets)?;
        }
        Ok(targets)
    }

    /// Has the next [`Self::targets`] ask anew whose interfaces are.
    pub fn refresh(&mut self) {
        if let Some(vms) = &mut self.vms {
            vms.refresh();
        }
    }

    /// Whoever tells of VMs, once an owner was asked for.
    pub fn vms(&self) -> Option<&Vms> {
        self.vms.as_ref()
    }

    fn add_owners(&mut self, targets: &mut Targets) -> Result<(), GatherError> {
        let vms = match &mut self.vms {
            Some(vms) => vms,
            unknown => {
                let found = Vms::open(self.connect.clone()).map_err(GatherError::Vms)?;
                unknown.insert(found)
            }
        };
        let interfaces = targets.targets.iter();
        let table = interfaces.map(|target| {
            let dev = target.id.dev.as_str();
            (dev.into(), target.id.ifindex, &target.kind)
        });
        let notes = vms.update(&LinkTable::new(table));
        targets.vms_unknown = (!notes.is_empty()).then(|| notes.join("; "));
        let mut owners = owners(vms.all());
        let mut cards = cards(vms);
        for target in &mut targets.targets {
            let Some(Some(mut owner)) = owners.remove(&target.id.dev) else {
                continue;
            };
            if let Some((os, card)) = cards.remove(&target.id.dev) {
                owner.os = os;
                target.card = card;
            }
            target.owner = Some(owner);
        }
        Ok(())
    }
}

fn interfaces(kernel: &mut dyn Kernel) -> Result<Targets, GatherError> {
    let netns = own_netns().ok_or(GatherError::Namespace)?;
    let links = link::list()?;
    let names = kernel.names().map_err(GatherError::Features)?;
    let features = kernel.list().map_err(GatherError::Features)?;
    let features: HashMap<_, _> = features.into_iter().collect();
    // One that came in between is left to the next time.
    let targets = links.into_iter().filter_map(|link| {
        Some(Target {
            features: *features.get(&link.ifindex)?,
            id: Id {
                netns,
                ifindex: link.ifindex,
                dev: link.dev.to_string(),
            },
            kind: link.kind,
            owner: None,
            driver: None,
            master: link.master,
            card: None,
        })
    });
    Ok(Targets {
        names,
        targets: targets.collect(),
        vms_unknown: None,
    })
}

fn add_drivers(targets: &mut Targets) {
    // Without them no rule about a driver matches.
    let Ok(drivers) = Drivers::open() else {
        return;
    };
    for target in &mut targets.targets {
        let driver = drivers.of(&target.id.dev).ok();
        target.driver = driver.map(|driver| driver.name);
    }
}

/// Owners by interface, of running VMs. None where two claim the same one: then
/// nobody can say whose it is.
fn owners(vms: &[Vm]) -> HashMap<String, Option<Owner>> {
    let mut owners = HashMap::new();
    let running = vms.iter().filter(|vm| vm.id.is_some() || vm.pid.is_some());
    for vm in running {
        for nic in vm.nics.iter() {
            let Some(dev) = &nic.dev else {
                continue;
            };
            let owner = Owner {
                vm: vm.name.to_string(),
                uuid: vm.uuid.as_deref().map(str::to_owned),
                mac: nic.mac.clone(),
                os: None,
            };
            match owners.entry(dev.clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(Some(owner));
                }
                Entry::Occupied(mut claimed) => {
                    claimed.insert(None);
                }
            }
        }
    }
    owners
}

type Card = (Option<String>, Option<DriverSetup>);

/// The guest's operating system and how the card was set up, by interface.
fn cards(vms: &Vms) -> HashMap<String, Card> {
    let setups = vms.setups().into_iter();
    let cards = setups.flat_map(|setup| {
        let os = setup.os_id.known().cloned();
        setup.nics.into_iter().filter_map(move |nic| {
            let driver = nic.driver.known().cloned();
            Some((nic.dev?, (os.clone(), driver)))
        })
    });
    cards.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{inventory::nic::nic, sample::VmState};

    fn vm(name: &str, id: Option<u32>, dev: &str) -> Vm {
        Vm {
            name: name.into(),
            id,
            state: VmState::Running,
            nics: vec![nic(
                "tap",
                Some(dev.to_owned()),
                Some("52:54:00:00:00:01".into()),
            )]
            .into(),
            ..Vm::default()
        }
    }

    #[test]
    fn an_interface_is_owned_by_the_one_running_vm_that_has_it() {
        let vms = [
            vm("a", Some(1), "vnet0"),
            vm("b", None, "vnet0"),
            vm("c", Some(2), "vnet1"),
            vm("d", Some(3), "vnet1"),
            vm("e", None, "vnet2"),
        ];
        let owners = owners(&vms);
        let owner = owners["vnet0"].as_ref().expect("one runs");
        assert_eq!(
            (&*owner.vm, owner.mac.as_deref()),
            ("a", Some("52:54:00:00:00:01"))
        );
        assert_eq!(owners["vnet1"], None);
        assert!(!owners.contains_key("vnet2"));
    }
}
