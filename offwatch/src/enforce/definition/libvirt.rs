//! By libvirt's API, on a connection that may write.

use virt::{connect::Connect, domain::Domain, error::ErrorNumber, sys};

use super::{Card, DefinitionError, Side, Switch, xml};
use crate::{enforce::plan::Definition, inventory::libvirt};

/// The persistent definitions of a libvirt.
pub struct Definitions {
    connect: Connect,
    uri: String,
}

impl Definitions {
    /// Connects so that definitions can be changed: as root, or as whom libvirt's
    /// policy lets manage VMs. Without a URI as everywhere else.
    pub fn open(uri: Option<String>) -> Result<Self, DefinitionError> {
        let uri = libvirt::usual(uri);
        match libvirt::open_to_write(&uri) {
            Ok(connect) => Ok(Self { connect, uri }),
            Err(failure) => Err(DefinitionError::Connect(failure.to_string())),
        }
    }

    /// Which libvirt it is, whatever the environment of another process names.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The cards that a plan speaks of, with what they have now. Nothing is
    /// changed.
    pub fn cards(&self, plan: &Definition) -> Result<Vec<Card>, DefinitionError> {
        let vm = &plan.vm;
        let domain = self.by_name(vm)?;
        let uuid = domain
            .get_uuid_string()
            .map_err(|error| refused(vm, &error))?;
        let asked_mac = plan.mac.as_ref().map(|mac| mac.to_ascii_lowercase());
        let mut cards = Vec::new();
        for found in interfaces(vm, &domain)? {
            if asked_mac.as_ref().is_some_and(|mac| *mac != found.mac) {
                continue;
            }
            let sides = [(Side::Host, &plan.host), (Side::Guest, &plan.guest)];
            let asked = sides
                .into_iter()
                .flat_map(|(side, asked)| asked.iter().map(move |asked| (side, asked)));
            let mut switches = Vec::new();
            for (side, (attribute, on)) in asked {
                let before = xml::read(&found.xml, side, attribute);
                let before = before.map_err(|source| of_xml(vm, source))?;
                if before != Some(*on) {
                    switches.push(Switch {
                        side,
                        attribute: attribute.clone(),
                        before,
                        after: Some(*on),
                    });
                }
            }
            cards.push(Card {
                vm: vm.clone(),
                uuid: uuid.clone(),
                mac: found.mac,
                switches,
            });
        }
        match cards.is_empty() {
            false => Ok(cards),
            true => Err(DefinitionError::NoCard {
                vm: vm.clone(),
                mac: asked_mac,
            }),
        }
    }

    /// Changes a card, and reads it back. A card that is not as it was before is
    /// left as it is, unless it is as it shall be.
    pub fn change(&self, card: &Card) -> Result<(), DefinitionError> {
        let (vm, mac) = (&card.vm, &card.mac);
        let domain = self.by_uuid(card)?;
        let now = of_card(vm, &domain, mac)?;
        if states(card, &now)?.all(|(switch, now)| now == switch.after) {
            return Ok(());
        }
        if !states(card, &now)?.all(|(switch, now)| now == switch.before) {
            return Err(DefinitionError::Changed {
                vm: vm.clone(),
                mac: mac.clone(),
            });
        }
        let wanted = xml::changed(&now, &card.switches).map_err(|source| of_xml(vm, source))?;
        domain
            .update_device_flags(&wanted, sys::VIR_DOMAIN_AFFECT_CONFIG)
            .map_err(|error| refused(vm, &error))?;
        let after = of_card(vm, &domain, mac)?;
        let lost = states(card, &after)?.find(|(switch, now)| *now != switch.after);
        match lost {
            None => Ok(()),
            Some((switch, _)) => Err(DefinitionError::NotKept {
                vm: vm.clone(),
                mac: mac.clone(),
                attribute: format!("{} {}", switch.side.name(), switch.attribute),
            }),
        }
    }

    fn by_name(&self, vm: &str) -> Result<Domain, DefinitionError> {
        // The bindings panic on a NUL.
        let found = match vm.contains('\0') {
            true => None,
            false => Domain::lookup_by_name(&self.connect, vm).ok(),
        };
        let domain = found.ok_or_else(|| DefinitionError::NoVm { vm: vm.to_owned() })?;
        match domain.is_persistent() {
            Ok(true) => Ok(domain),
            Ok(false) => Err(DefinitionError::Transient { vm: vm.to_owned() }),
            Err(error) => Err(refused(vm, &error)),
        }
    }

    fn by_uuid(&self, card: &Card) -> Result<Domain, DefinitionError> {
        match Domain::lookup_by_uuid_string(&self.connect, &card.uuid) {
            Ok(domain) => Ok(domain),
            Err(error) if error.code() == ErrorNumber::NoDomain => Err(DefinitionError::NoVm {
                vm: card.vm.clone(),
            }),
            Err(error) => Err(refused(&card.vm, &error)),
        }
    }
}

impl Drop for Definitions {
    fn drop(&mut self) {
        // Nothing can be done if that fails.
        let _ = self.connect.close();
    }
}

/// The switches of a card, with what its XML says of them.
fn states<'card>(
    card: &'card Card,
    xml: &str,
) -> Result<impl Iterator<Item = (&'card Switch, Option<bool>)>, DefinitionError> {
    let states: Result<Vec<_>, _> = card
        .switches
        .iter()
        .map(|switch| Ok((switch, xml::read(xml, switch.side, &switch.attribute)?)))
        .collect();
    states
        .map(IntoIterator::into_iter)
        .map_err(|source| of_xml(&card.vm, source))
}

fn interfaces(vm: &str, domain: &Domain) -> Result<Vec<xml::Interface>, DefinitionError> {
    let text = domain
        .get_xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)
        .map_err(|error| refused(vm, &error))?;
    xml::interfaces(&text).map_err(|source| of_xml(vm, source))
}

fn of_card(vm: &str, domain: &Domain, mac: &str) -> Result<String, DefinitionError> {
    let mut found = interfaces(vm, domain)?.into_iter();
    let found = found.find(|card| card.mac == mac);
    found
        .map(|card| card.xml)
        .ok_or_else(|| DefinitionError::NoCard {
            vm: vm.to_owned(),
            mac: Some(mac.to_owned()),
        })
}

fn of_xml(vm: &str, source: super::XmlError) -> DefinitionError {
    DefinitionError::Xml {
        vm: vm.to_owned(),
        source,
    }
}

fn refused(vm: &str, error: &virt::error::Error) -> DefinitionError {
    DefinitionError::Refused {
        vm: vm.to_owned(),
        message: libvirt::one_line(error.message()),
    }
}
