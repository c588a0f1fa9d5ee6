//! Changes of VMs' definitions, one for each card.

use std::collections::{BTreeMap, HashMap};

use super::{Definition, Why, make::PlanError};
use crate::{
    enforce::{policy::Switches, target::Target},
    facts::nic::DriverSetup,
};

#[derive(Debug, Default)]
pub(super) struct Definitions {
    all: Vec<Definition>,
    /// Where each card is.
    places: HashMap<(String, Option<String>), usize>,
}

impl Definitions {
    pub(super) fn all(self) -> Vec<Definition> {
        self.all
    }

    /// Adds what a rule wants of the card behind an interface. Returns why it cannot
    /// be told which card that is, if so.
    pub(super) fn of_card(
        &mut self,
        target: &Target,
        switches: &Switches,
        why: &Why,
    ) -> Result<Option<&'static str>, PlanError> {
        if switches.is_empty() {
            return Ok(None);
        }
        match &target.owner {
            None if target.is_for_a_vm() => Ok(Some("no VM is known to own it: no definition")),
            None => Ok(None),
            Some(owner) if owner.mac.is_none() => Ok(Some(
                "which card of its VM it is cannot be told: no MAC address is known",
            )),
            Some(owner) => {
                let mac = owner.mac.as_deref();
                self.add(&owner.vm, mac, switches, target.card.as_ref(), why)?;
                Ok(None)
            }
        }
    }

    /// Adds what is wanted of a card, as far as the running VM does not have it so.
    pub(super) fn add(
        &mut self,
        vm: &str,
        mac: Option<&str>,
        switches: &Switches,
        card: Option<&DriverSetup>,
        why: &Why,
    ) -> Result<(), PlanError> {
        let switches = not_yet(switches, card);
        if switches.is_empty() {
            return Ok(());
        }
        let key = (vm.to_owned(), mac.map(str::to_owned));
        let Some(&at) = self.places.get(&key) else {
            self.places.insert(key, self.all.len());
            self.all.push(Definition {
                vm: vm.to_owned(),
                mac: mac.map(str::to_owned),
                host: switches.host,
                guest: switches.guest,
                why: why.clone(),
            });
            return Ok(());
        };
        let known = &mut self.all[at];
        let sides = [
            ("host", &mut known.host, switches.host),
            ("guest", &mut known.guest, switches.guest),
        ];
        for (side, attributes, more) in sides {
            for (attribute, on) in more {
                match attributes.iter().find(|(name, _)| *name == attribute) {
                    None => attributes.push((attribute, on)),
                    Some((_, known)) if *known == on => {}
                    Some(_) => {
                        return Err(PlanError::Definitions {
                            one: known.why.place(),
                            other: why.place(),
                            side,
                            attribute,
                            vm: vm.to_owned(),
                        });
                    }
                }
            }
        }
        known.why.also.push(why.clone());
        Ok(())
    }
}

/// What of the attributes is otherwise on the card of the running VM. One that is
/// not given there is on, as QEMU has it.
fn not_yet(switches: &Switches, card: Option<&DriverSetup>) -> Switches {
    let Some(card) = card else {
        return switches.clone();
    };
    let differs = |now: &BTreeMap<String, bool>, wanted: &[(String, bool)]| {
        let differing = wanted
            .iter()
            .filter(|(name, on)| now.get(name).copied().unwrap_or(true) != *on);
        differing.cloned().collect()
    };
    Switches {
        host: differs(&card.host, &switches.host),
        guest: differs(&card.guest, &switches.guest),
    }
}
