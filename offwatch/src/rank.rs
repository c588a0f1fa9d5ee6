//! The order of rows: every sort key there is, and its reverse.
//!
//! As in virt-top, ids and names ascend, everything else descends, equal rows
//! go by name and inactive VMs come last. Rows without a value come behind
//! those with one; reversing turns only the values around.

mod key;

use std::cmp::Ordering;

pub use self::key::Key;
use crate::model::{
    Port, Rates, SideRates, Vm,
    overview::Domain,
    usage::{DiskDelta, NicDelta},
};
use crate::offload::Figures;

impl Key {
    /// The value of a VM; none for a name, and where it is not known.
    pub(crate) fn value<'name>(self, vm: &impl Ranked<'name>) -> Option<f64> {
        let both = |field: fn(&SideRates) -> Option<f64>| {
            let sides = vm.rates().flat_map(|rates| [rates.ingress, rates.egress]);
            sides
                .filter_map(|side| field(&side))
                .reduce(|one, other| one + other)
        };
        let sum = |field: fn(&Rates) -> Option<f64>| {
            vm.rates()
                .filter_map(|rates| field(&rates))
                .reduce(|one, other| one + other)
        };
        match self {
            Self::Id => vm.id(),
            Self::Name => None,
            Self::Cpu => vm.cpu_percent(),
            Self::Memory => vm.memory_kib(),
            Self::Time => vm.cpu_time_ns(),
            Self::NetRx => vm.received_bytes(),
            Self::NetTx => vm.sent_bytes(),
            Self::BlockReads => vm.read_requests(),
            Self::BlockWrites => vm.write_requests(),
            Self::Gso => {
                let bytes = both(|side| side.bytes_per_s).filter(|bytes| *bytes > 0.0)?;
                Some(both(|side| side.gso_bytes_per_s)? / bytes)
            }
            Self::SoftwareSegments => sum(|rates| rates.software_segments_per_s),
            Self::Checksums => sum(|rates| rates.software_checksum_bytes_per_s),
            Self::Packets => both(|side| side.packets_per_s),
            Self::Drops => both(|side| side.drops_per_s),
            Self::Cost => vm.cost(),
            Self::Causes => sum(|rates| rates.caused_segments_per_s),
        }
    }
}

/// A VM that can be ranked, of this host or of another.
pub(crate) trait Ranked<'name> {
    /// Name.
    fn name(&self) -> &'name str;
    /// It runs, or is paused.
    fn is_active(&self) -> bool;
    /// libvirt's id.
    fn id(&self) -> Option<f64>;
    /// CPU time as a share of all of the host's CPUs, percent.
    fn cpu_percent(&self) -> Option<f64>;
    /// Memory it is given, KiB.
    fn memory_kib(&self) -> Option<f64>;
    /// CPU time since its start, nanoseconds.
    fn cpu_time_ns(&self) -> Option<f64>;
    /// Bytes received in the interval, or a second of it: the same for all VMs that
    /// are compared. So is what follows.
    fn received_bytes(&self) -> Option<f64>;
    /// Bytes sent.
    fn sent_bytes(&self) -> Option<f64>;
    /// Requests to read from disks.
    fn read_requests(&self) -> Option<f64>;
    /// Requests to write to disks.
    fn write_requests(&self) -> Option<f64>;
    /// Rates of its network cards.
    fn rates(&self) -> impl Iterator<Item = Rates>;

    /// What software work on the way to it costs.
    fn cost(&self) -> Option<f64> {
        let figures = Figures::of_cards(self.rates());
        figures.work_cpu_share.or(figures.software_segments_per_s)
    }
}

impl<'name> Ranked<'name> for Domain<'name> {
    fn name(&self) -> &'name str {
        self.name
    }

    fn is_active(&self) -> bool {
        self.is_active
    }

    fn id(&self) -> Option<f64> {
        self.id.map(f64::from)
    }

    fn cpu_percent(&self) -> Option<f64> {
        self.usage?.cpu_percent()
    }

    fn memory_kib(&self) -> Option<f64> {
        self.usage?.now.memory_kib.map(number)
    }

    fn cpu_time_ns(&self) -> Option<f64> {
        self.usage?.now.cpu_time_ns.map(number)
    }

    fn received_bytes(&self) -> Option<f64> {
        self.usage?.nic()?.rx_bytes.map(number)
    }

    fn sent_bytes(&self) -> Option<f64> {
        self.usage?.nic()?.tx_bytes.map(number)
    }

    fn read_requests(&self) -> Option<f64> {
        self.usage?.disk()?.read_requests.map(number)
    }

    fn write_requests(&self) -> Option<f64> {
        self.usage?.disk()?.write_requests.map(number)
    }

    fn rates(&self) -> impl Iterator<Item = Rates> {
        self.interfaces.iter().filter_map(Port::rates)
    }
}

fn number(value: u64) -> f64 {
    value as f64
}

/// A key and a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What is compared.
    pub key: Key,
    /// The other way round.
    pub is_reversed: bool,
}

impl Order {
    /// How values compare; those that there are come first.
    pub(crate) fn values<T: PartialOrd>(self, one: Option<T>, other: Option<T>) -> Ordering {
        match (one, other) {
            (Some(one), Some(other)) => {
                let ascending = one.partial_cmp(&other).unwrap_or(Ordering::Equal);
                match self.key.ascends() == self.is_reversed {
                    true => ascending.reverse(),
                    false => ascending,
                }
            }
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }

    /// How names compare: they are reversed only where they are what is compared.
    pub(crate) fn names(self, one: &str, other: &str) -> Ordering {
        self.by_name(one.cmp(other))
    }

    /// The same of names that were compared.
    pub(crate) fn by_name(self, by_name: Ordering) -> Ordering {
        match self.key == Key::Name && self.is_reversed {
            true => by_name.reverse(),
            false => by_name,
        }
    }

    /// Sorts VMs.
    pub fn domains(self, domains: &mut [Domain<'_>]) {
        domains.sort_by_cached_key(|domain| self.row(domain));
    }

    /// What a VM is sorted by.
    pub(crate) fn row<'name>(self, vm: &impl Ranked<'name>) -> Row<'name> {
        let is_active = vm.is_active();
        Row {
            order: self,
            is_inactive: !is_active,
            value: self.key.value(vm).filter(|_| is_active),
            name: vm.name(),
        }
    }

    /// How two network cards compare, each with its VM and its own name.
    /// Orders that make no sense for a card are that of bytes received.
    pub fn nics(
        self,
        one: (&Domain<'_>, &str, &NicDelta),
        other: (&Domain<'_>, &str, &NicDelta),
    ) -> Ordering {
        let value = |delta: &NicDelta| match self.key {
            Key::NetTx => delta.tx_bytes,
            _ => delta.rx_bytes,
        };
        self.devices(
            (one.0, one.1, value(one.2)),
            (other.0, other.1, value(other.2)),
        )
    }

    /// How two disks compare, each with its VM and its own name. Orders that
    /// make no sense for a disk are that of requests to read.
    pub fn disks(
        self,
        one: (&Domain<'_>, &str, &DiskDelta),
        other: (&Domain<'_>, &str, &DiskDelta),
    ) -> Ordering {
        let value = |delta: &DiskDelta| match self.key {
            Key::BlockWrites => delta.write_requests,
            _ => delta.read_requests,
        };
        self.devices(
            (one.0, one.1, value(one.2)),
            (other.0, other.1, value(other.2)),
        )
    }

    fn devices(
        self,
        one: (&Domain<'_>, &str, Option<u64>),
        other: (&Domain<'_>, &str, Option<u64>),
    ) -> Ordering {
        let by_value = match self.key {
            Key::Name => Ordering::Equal,
            Key::Id => self.values(one.0.id, other.0.id),
            _ => self.values(one.2, other.2),
        };
        by_value
            .then_with(|| self.names(one.1, other.1))
            .then_with(|| one.0.name.cmp(other.0.name))
    }
}

/// Sorts the VMs of a model.
pub fn sort_vms(vms: &mut Vec<Vm>, order: Order) {
    let mut places: Vec<usize> = (0..vms.len()).collect();
    places.sort_by_cached_key(|&place| order.row(&Domain::of(&vms[place])));
    let mut unsorted: Vec<Option<Vm>> = std::mem::take(vms).into_iter().map(Some).collect();
    vms.extend(places.iter().filter_map(|&place| unsorted[place].take()));
}

/// What a VM is sorted by.
pub(crate) struct Row<'a> {
    order: Order,
    is_inactive: bool,
    value: Option<f64>,
    name: &'a str,
}

impl Ord for Row<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.is_inactive
            .cmp(&other.is_inactive)
            .then_with(|| self.order.values(self.value, other.value))
            .then_with(|| self.order.names(self.name, other.name))
    }
}

impl PartialOrd for Row<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Row<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Row<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::VmState;

    fn domain(name: &str, id: Option<u32>) -> Domain<'_> {
        Domain {
            place: 0,
            name,
            id,
            state: VmState::Running,
            is_active: id.is_some(),
            is_process: false,
            usage: None,
            interfaces: &[],
        }
    }

    fn sorted(key: Key, is_reversed: bool) -> Vec<&'static str> {
        let mut domains = [
            domain("c", Some(2)),
            domain("off-b", None),
            domain("a", Some(10)),
            domain("off-a", None),
            domain("b", Some(3)),
        ];
        Order { key, is_reversed }.domains(&mut domains);
        domains.iter().map(|domain| domain.name).collect()
    }

    #[test]
    fn ids_and_names_ascend_and_inactive_ones_are_last() {
        assert_eq!(sorted(Key::Id, false), ["c", "b", "a", "off-a", "off-b"]);
        assert_eq!(sorted(Key::Id, true), ["a", "b", "c", "off-a", "off-b"]);
        assert_eq!(sorted(Key::Name, false), ["a", "b", "c", "off-a", "off-b"]);
        assert_eq!(sorted(Key::Name, true), ["c", "b", "a", "off-b", "off-a"]);
        // Without values, by name.
        assert_eq!(sorted(Key::Cpu, true), ["a", "b", "c", "off-a", "off-b"]);
    }

    #[test]
    fn disks_and_cards_have_orders_of_their_own() {
        let (vm1, vm2) = (domain("x", Some(1)), domain("y", Some(2)));
        let nic = |rx, tx| NicDelta {
            rx_bytes: Some(rx),
            tx_bytes: Some(tx),
            ..NicDelta::default()
        };
        let by = |key, is_reversed| Order { key, is_reversed };
        let (a, b) = (nic(5, 1), nic(3, 9));
        let nics = |order: Order| order.nics((&vm1, "vnet0", &a), (&vm2, "vnet1", &b));
        assert_eq!(nics(by(Key::Memory, false)), Ordering::Less);
        assert_eq!(nics(by(Key::NetRx, true)), Ordering::Greater);
        assert_eq!(nics(by(Key::NetTx, false)), Ordering::Greater);
        assert_eq!(nics(by(Key::Id, false)), Ordering::Less);
        assert_eq!(nics(by(Key::Name, true)), Ordering::Greater);
        let disk = |reads, writes| DiskDelta {
            read_requests: Some(reads),
            write_requests: writes,
            ..DiskDelta::default()
        };
        let (a, b) = (disk(0, None), disk(0, Some(4)));
        let disks = |order: Order| order.disks((&vm2, "hda", &a), (&vm1, "hda", &b));
        assert_eq!(
            disks(by(Key::NetTx, false)),
            Ordering::Greater,
            "by VM's name"
        );
        assert_eq!(disks(by(Key::BlockWrites, false)), Ordering::Greater);
        assert_eq!(
            disks(by(Key::BlockWrites, true)),
            Ordering::Greater,
            "unknown is last"
        );
    }
}
