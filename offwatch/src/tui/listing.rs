//! Which rows there are, and in which order: what the keys move through.

use std::{cmp::Ordering, sync::Arc};

use crate::{
    model::{
        Model, Port, Vm,
        overview::{Domain, Overview},
    },
    offload::{Figures, Series},
    output::virt_top::{self, Body, CpuHistory, View, ViewOptions},
    rank::{Key, Order},
};

use super::search::Search;

/// What a row shows, by its place in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// A VM: the sum of its network cards.
    Vm(usize),
    /// One card of a VM that has several.
    Card(usize, usize),
    /// One of the rows that a VM has in a view of devices.
    Device(usize, usize),
    /// An interface that belongs to no VM.
    Other(usize),
}

/// What a row shows, from one model to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowKey {
    Vm(Arc<str>),
    Card(Arc<str>, usize),
    Device(Arc<str>, usize),
    Other(Option<u32>),
}

impl Row {
    pub(super) fn key(self, model: &Model) -> RowKey {
        let name = |vm: usize| Arc::clone(&model.vms[vm].name);
        match self {
            Self::Vm(vm) => RowKey::Vm(name(vm)),
            Self::Card(vm, card) => RowKey::Card(name(vm), card),
            Self::Device(vm, device) => RowKey::Device(name(vm), device),
            Self::Other(other) => RowKey::Other(model.other_interfaces[other].ifindex()),
        }
    }

    pub(super) fn has_key(self, model: &Model, key: &RowKey) -> bool {
        let is_named = |vm: usize, name: &Arc<str>| model.vms[vm].name == *name;
        match (self, key) {
            (Self::Vm(vm), RowKey::Vm(name)) => is_named(vm, name),
            (Self::Card(vm, place), RowKey::Card(name, number))
            | (Self::Device(vm, place), RowKey::Device(name, number)) => {
                place == *number && is_named(vm, name)
            }
            (Self::Other(other), RowKey::Other(ifindex)) => {
                model.other_interfaces[other].ifindex() == *ifindex
            }
            _ => false,
        }
    }

    /// The VM that the row belongs to.
    pub(super) fn vm(self, model: &Model) -> Option<&Vm> {
        match self {
            Self::Vm(vm) | Self::Card(vm, _) | Self::Device(vm, _) => model.vms.get(vm),
            Self::Other(_) => None,
        }
    }

    /// The interfaces whose sums the row shows.
    pub(super) fn interfaces(self, model: &Model) -> &[Port] {
        match self {
            Self::Vm(vm) | Self::Device(vm, _) => &model.vms[vm].interfaces,
            Self::Card(vm, card) => std::slice::from_ref(&model.vms[vm].interfaces[card]),
            Self::Other(other) => std::slice::from_ref(&model.other_interfaces[other]),
        }
    }
}

/// The rows that are listed.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    pub(super) rows: Vec<Row>,
    /// VMs that are listed, and VMs that there are.
    pub(super) vms: (usize, usize),
    /// The lines of one of virt-top's views.
    pub(super) text: Option<Text>,
}

/// One of virt-top's views.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) header: Vec<String>,
    pub(super) message: String,
    pub(super) heading: String,
    /// A line for each row; in a view that is not of VMs there are only lines.
    pub(super) lines: Vec<String>,
}

impl Listing {
    /// How many lines there are to scroll through.
    pub(super) fn len(&self) -> usize {
        let lines = self.text.as_ref().map_or(0, |text| text.lines.len());
        self.rows.len().max(lines)
    }

    /// One of virt-top's views.
    pub(super) fn of_view(
        view: View,
        model: &Model,
        history: &CpuHistory,
        options: &ViewOptions,
        search: Option<&Search>,
    ) -> Self {
        let mut overview = Overview::of_model(model);
        let header = virt_top::header(&overview, history, &options.zone);
        let all = overview.domains.len();
        if let Some(search) = search {
            overview.domains.retain(|domain| {
                search.matches(domain.name)
                    || domain
                        .interfaces
                        .iter()
                        .any(|card| search.matches_interface(card))
            });
        }
        let Body {
            heading,
            rows: lines,
            owners,
            message,
        } = view.body(&overview, options);
        let mut devices = vec![0; model.vms.len()];
        let row = |vm: usize| {
            if view == View::Domains {
                return Row::Vm(vm);
            }
            devices[vm] += 1;
            Row::Device(vm, devices[vm] - 1)
        };
        Self {
            rows: owners.into_iter().map(row).collect(),
            vms: (overview.domains.len(), all),
            text: Some(Text {
                header,
                message: virt_top::message(message, &overview),
                heading,
                lines,
            }),
        }
    }

    /// What offloads do: VMs in order, each before its cards, then the other
    /// interfaces.
    pub(super) fn of_offloads(model: &Model, order: Order, search: Option<&Search>) -> Self {
        let listed =
            |interface: &Port| search.is_none_or(|search| search.matches_interface(interface));
        let named = |vm: &Vm| search.is_none_or(|search| search.matches(&vm.name));

        let vms = model.vms.iter().enumerate();
        let vms = vms.filter(|(_, vm)| named(vm) || vm.interfaces.iter().any(listed));
        let mut vms: Vec<Ranked<'_>> = vms
            .map(|(place, vm)| Ranked {
                place,
                name: Name::new(&vm.name),
                is_inactive: !Domain::of(vm).is_active,
                value: value(order.key, vm.id, &Figures::of(&vm.interfaces)),
            })
            .collect();
        sort(&mut vms, order);

        let mut rows = Vec::with_capacity(vms.len());
        for Ranked { place, .. } in &vms {
            rows.push(Row::Vm(*place));
            let vm = &model.vms[*place];
            if vm.interfaces.len() > 1 {
                let cards = vm.interfaces.iter().enumerate();
                let cards = cards.filter(|(_, card)| named(vm) || listed(card));
                let mut cards: Vec<Ranked<'_>> = interfaces(cards, order).collect();
                sort(&mut cards, order);
                rows.extend(cards.iter().map(|card| Row::Card(*place, card.place)));
            }
        }
        let others = model.other_interfaces.iter().enumerate();
        let others = others.filter(|(_, other)| listed(other));
        let mut others: Vec<Ranked<'_>> = interfaces(others, order).collect();
        sort(&mut others, order);
        rows.extend(others.iter().map(|other| Row::Other(other.place)));
        Self {
            rows,
            vms: (vms.len(), model.vms.len()),
            text: None,
        }
    }
}

/// A row with what it is ranked by.
struct Ranked<'model> {
    place: usize,
    name: Name<'model>,
    is_inactive: bool,
    value: Option<f64>,
}

/// A name, with its beginning as a number of the same order. That of a network
/// interface is all of it, and is compared without a look at the name.
#[derive(Clone, Copy)]
struct Name<'model> {
    beginning: u128,
    name: &'model str,
}

impl<'model> Name<'model> {
    fn new(name: &'model str) -> Self {
        let mut beginning = [0; 16];
        for (to, from) in beginning.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Self {
            beginning: u128::from_be_bytes(beginning),
            name,
        }
    }

    fn compare(self, other: Self, order: Order) -> Ordering {
        match self.beginning.cmp(&other.beginning) {
            Ordering::Equal => order.names(self.name, other.name),
            by_beginning => order.by_name(by_beginning),
        }
    }
}

fn interfaces<'model>(
    interfaces: impl Iterator<Item = (usize, &'model Port)>,
    order: Order,
) -> impl Iterator<Item = Ranked<'model>> {
    let mut series = Series::default();
    interfaces.map(move |(place, interface)| Ranked {
        place,
        name: Name::new(interface.name()),
        is_inactive: false,
        value: value(order.key, None, &series.of(interface).unwrap_or_default()),
    })
}

fn sort(rows: &mut [Ranked<'_>], order: Order) {
    rows.sort_by(|one, other| {
        one.is_inactive
            .cmp(&other.is_inactive)
            .then_with(|| order.values(one.value, other.value))
            .then_with(|| one.name.compare(other.name, order))
    });
}

/// Orders that are of no column here are that of bytes received, as in
/// virt-top's view of network cards.
fn value(key: Key, id: Option<u32>, figures: &Figures) -> Option<f64> {
    let both = figures.rx.plus(figures.tx);
    match key {
        Key::Id => id.map(f64::from),
        Key::Name => None,
        Key::NetTx => figures.tx.bytes_per_s,
        Key::Gso => both.gso_share(),
        Key::SoftwareSegments => figures.software_segments_per_s,
        Key::Checksums => figures.software_checksum_bytes_per_s,
        Key::Packets => both.packets_per_s,
        Key::Drops => figures.drops_per_s,
        Key::Cost => figures.work_cpu_share.or(figures.software_segments_per_s),
        Key::Causes => figures.caused_segments_per_s,
        _ => figures.rx.bytes_per_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_as_texts() {
        let names = [
            "",
            "a",
            "a\u{0}",
            "ab",
            "tap1",
            "tap10",
            "tap2",
            "vm-of-16-bytes-a",
            "vm-of-16-bytes-ab",
            "vm-of-16-bytes-b",
            "\u{e9}",
        ];
        let order = |is_reversed| Order {
            key: Key::Name,
            is_reversed,
        };
        for one in names {
            for other in names {
                let compared = Name::new(one).compare(Name::new(other), order(false));
                assert_eq!(compared, one.cmp(other), "{one:?} {other:?}");
                let reversed = Name::new(one).compare(Name::new(other), order(true));
                assert_eq!(reversed, compared.reverse());
            }
        }
    }
}
