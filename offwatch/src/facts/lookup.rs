//! How rules find facts.

use std::collections::HashMap;

use super::{Facts, device::Device, domain::Domain, nic::NicSetup};

/// Facts by what a rule has in hand. A fact that is not known comes with its
/// reason.
#[derive(Debug)]
pub struct Lookup<'a> {
    facts: &'a Facts,
    devices: HashMap<u32, &'a Device>,
    nics: HashMap<&'a str, (&'a Domain, &'a NicSetup)>,
    macs: HashMap<&'a str, (&'a Domain, &'a NicSetup)>,
    domains: HashMap<&'a str, &'a Domain>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        let devices = facts.devices.known().into_iter().flatten();
        let domains = || facts.domains.known().into_iter().flatten();
        let nics = || domains().flat_map(|domain| domain.nics.iter().map(move |nic| (domain, nic)));
        let by = |key: fn(&'a NicSetup) -> Option<&'a str>| {
            nics()
                .filter_map(|(domain, nic)| Some((key(nic)?, (domain, nic))))
                .collect()
        };
        Self {
            facts,
            devices: devices.map(|device| (device.ifindex, device)).collect(),
            nics: by(|nic| nic.dev.as_deref()),
            macs: by(|nic| nic.mac.as_deref()),
            domains: domains()
                .filter_map(|domain| Some((domain.uuid.as_deref()?, domain)))
                .collect(),
        }
    }

    /// All of them.
    pub fn facts(&self) -> &'a Facts {
        self.facts
    }

    /// The interface with an ifindex, as in a sample's or a model's.
    pub fn device(&self, ifindex: u32) -> Result<&'a Device, &'a str> {
        match self.facts.devices.reason() {
            Some(reason) => Err(reason),
            None => self
                .devices
                .get(&ifindex)
                .copied()
                .ok_or("the interface was not there when facts were gathered"),
        }
    }

    /// The interface that frames of `device` leave by, if it has one here.
    pub fn lower(&self, device: &Device) -> Option<&'a Device> {
        self.device(device.lower?.ifindex()?).ok()
    }

    /// The bridge, bond or switch that `device` belongs to.
    pub fn master(&self, device: &Device) -> Option<&'a Device> {
        self.device(device.master?).ok()
    }

    /// The ports of a bridge, bond or switch.
    pub fn ports<'b>(&'b self, device: &'b Device) -> impl Iterator<Item = &'a Device> + 'b {
        let ports = device.ports.iter();
        ports.filter_map(|ifindex| self.device(*ifindex).ok())
    }

    /// Interfaces whose frames leave by `device`.
    pub fn uppers<'b>(&'b self, device: &'b Device) -> impl Iterator<Item = &'a Device> + 'b {
        let uppers = device.uppers.iter();
        uppers.filter_map(|ifindex| self.device(*ifindex).ok())
    }

    /// The VM and its network card behind an interface, by its name or else by
    /// the card's MAC address.
    pub fn nic(
        &self,
        dev: Option<&str>,
        mac: Option<&str>,
    ) -> Result<(&'a Domain, &'a NicSetup), &'a str> {
        if let Some(reason) = self.facts.domains.reason() {
            return Err(reason);
        }
        let by_dev = dev.and_then(|dev| self.nics.get(dev));
        let found = by_dev.or_else(|| self.macs.get(mac?));
        found
            .copied()
            .ok_or("neither libvirt nor a command line of QEMU tells how the card was set up")
    }

    /// The VM of a UUID.
    pub fn domain(&self, uuid: &str) -> Option<&'a Domain> {
        self.domains.get(uuid).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{facts::topology::Lower, sample::offloads::Fact};

    fn device(ifindex: u32) -> Device {
        Device {
            ifindex,
            dev: format!("dev{ifindex}"),
            ..Device::default()
        }
    }

    #[test]
    fn stacked_devices_are_found() {
        let uplink = Device {
            uppers: vec![2],
            master: Some(3),
            ..device(1)
        };
        let vxlan = Device {
            lower: Some(Lower::Link(1)),
            ..device(2)
        };
        let bridge = Device {
            ports: vec![1, 9],
            ..device(3)
        };
        let facts = Facts {
            devices: Fact::Known(vec![uplink, vxlan, bridge]),
            ..Facts::default()
        };
        let lookup = facts.lookup();
        let [uplink, vxlan, bridge] = [1, 2, 3].map(|of| lookup.device(of).expect("it is there"));
        assert_eq!(lookup.lower(vxlan), Some(uplink));
        assert_eq!(lookup.master(uplink), Some(bridge));
        assert_eq!(lookup.uppers(uplink).collect::<Vec<_>>(), [vxlan]);
        // 9 has appeared since.
        assert_eq!(lookup.ports(bridge).collect::<Vec<_>>(), [uplink]);
        assert!(lookup.device(9).is_err_and(|why| why.contains("not there")));
        assert_eq!(lookup.lower(uplink), None);
    }

    #[test]
    fn a_card_is_found_by_its_interface_before_its_mac() {
        let nic = |dev: Option<&str>, mac: &str| NicSetup {
            dev: dev.map(str::to_owned),
            mac: Some(mac.to_owned()),
            ..NicSetup::default()
        };
        let domain = |uuid: &str, nic| Domain {
            uuid: Some(uuid.to_owned()),
            nics: vec![nic],
            ..Domain::default()
        };
        let facts = Facts {
            domains: Fact::Known(vec![
                domain("a", nic(Some("vnet0"), "m0")),
                domain("b", nic(None, "m1")),
            ]),
            ..Facts::default()
        };
        let lookup = facts.lookup();
        let owner = |dev, mac| {
            lookup
                .nic(dev, mac)
                .map(|(domain, _)| domain.uuid.as_deref())
        };
        assert_eq!(owner(Some("vnet0"), Some("m1")), Ok(Some("a")));
        assert_eq!(owner(Some("vnet1"), Some("m1")), Ok(Some("b")));
        assert!(owner(Some("vnet1"), None).is_err());
        assert_eq!(
            lookup.domain("b"),
            lookup.nic(None, Some("m1")).ok().map(|it| it.0)
        );
    }

    #[test]
    fn what_was_not_gathered_has_its_reason() {
        let facts = Facts {
            devices: Fact::unavailable("no netlink"),
            domains: Fact::unavailable("no libvirt"),
            ..Facts::default()
        };
        assert_eq!(facts.lookup().device(1), Err("no netlink"));
        assert!(
            facts
                .lookup()
                .nic(Some("vnet0"), None)
                .is_err_and(|why| why == "no libvirt")
        );
        let empty = Facts::default();
        assert_eq!(
            empty.lookup().device(1),
            Err("the recording does not hold it")
        );
    }
}
