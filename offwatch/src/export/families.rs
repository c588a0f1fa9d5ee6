//! All metrics: what each is called, what it means, and where its values are. What
//! docs/metrics.md lists is made from here.

mod advice;
mod host;
mod own;
mod port;
mod vm;

use super::{
    Own,
    exposition::Writer,
    snapshot::{HostValues, Row, Series, Snapshot, VmRow},
    value::Value,
};

/// Features of an interface that are told, by the kernel's names: those that decide
/// who segments and who computes checksums.
pub(super) const FEATURES: [&str; 9] = [
    "tx-checksum-ip-generic",
    "tx-scatter-gather",
    "tx-tcp-segmentation",
    "tx-tcp6-segmentation",
    "tx-udp-segmentation",
    "tx-generic-segmentation",
    "rx-checksum",
    "rx-gro",
    "rx-lro",
];

/// Types of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never falls, except to 0 with a new beginning.
    Counter,
    /// Any value.
    Gauge,
    /// Always 1: what it tells is in its labels.
    Info,
    /// Counts by upper bounds.
    Histogram,
}

/// A metric.
#[derive(Debug)]
pub struct Family {
    /// Its name, without `_total` or `_info`.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its unit, with which the name ends.
    pub unit: Option<&'static str>,
    /// What it means.
    pub help: &'static str,
    /// Its labels, in their order.
    pub labels: &'static [&'static str],
    values: Values,
}

/// Where the values of a metric are.
#[derive(Clone, Copy, Debug)]
enum Values {
    /// A value of each VM's card.
    Cards(fn(&Row) -> Option<Value>),
    /// A value of each other interface.
    Interfaces(fn(&Row) -> Option<Value>),
    /// Anything of each card.
    OfCards(fn(&Row, &mut Writer<'_>)),
    /// Anything of each other interface.
    OfInterfaces(fn(&Row, &mut Writer<'_>)),
    /// A value of each VM.
    Vms(fn(&VmRow) -> Option<Value>),
    /// Anything of each VM.
    OfVms(fn(&VmRow, &mut Writer<'_>)),
    /// A value of the host.
    OneOfHost(fn(&HostValues) -> Option<Value>),
    /// A value of the exporter while it runs.
    Own(fn(&Own) -> Option<Value>),
    /// A value of all.
    Host(fn(&Snapshot) -> Option<Value>),
    /// Anything of the host; little, as it is written at once.
    OfHost(fn(&Snapshot, &mut Writer<'_>)),
}

impl Family {
    /// Of how many things it has values in a snapshot.
    pub(super) fn len(&self, snapshot: &Snapshot) -> usize {
        match self.values {
            Values::Cards(_) | Values::OfCards(_) => snapshot.cards.len(),
            Values::Interfaces(_) | Values::OfInterfaces(_) => snapshot.interfaces.len(),
            Values::Vms(_) | Values::OfVms(_) => snapshot.vms.len(),
            Values::OneOfHost(_) | Values::Own(_) | Values::Host(_) | Values::OfHost(_) => 1,
        }
    }

    /// Writes those of one of them.
    pub(super) fn write(&self, snapshot: &Snapshot, place: usize, to: &mut Writer<'_>) {
        let mut one = |labels: &str, value: Option<Value>| {
            if let Some(value) = value {
                to.series(labels, None, value);
            }
        };
        match self.values {
            Values::Cards(value) => {
                let row = &snapshot.cards[place];
                one(&row.labels, value(row));
            }
            Values::Interfaces(value) => {
                let row = &snapshot.interfaces[place];
                one(&row.labels, value(row));
            }
            Values::OfCards(write) => write(&snapshot.cards[place], to),
            Values::OfInterfaces(write) => write(&snapshot.interfaces[place], to),
            Values::Vms(value) => {
                let vm = &snapshot.vms[place];
                one(&vm.labels, value(vm));
            }
            Values::OfVms(write) => write(&snapshot.vms[place], to),
            Values::OneOfHost(value) => one("", value(&snapshot.host)),
            Values::Own(value) => one("", snapshot.own.as_deref().and_then(value)),
            Values::Host(value) => one("", value(snapshot)),
            Values::OfHost(write) => write(snapshot, to),
        }
    }
}

/// All of them, in the order in which they are written.
pub fn all() -> impl Iterator<Item = &'static Family> {
    let groups = [
        host::FAMILIES,
        host::SUMS,
        vm::FAMILIES,
        port::CARDS,
        port::INTERFACES,
        advice::FAMILIES,
        own::FAMILIES,
    ];
    groups.into_iter().flatten()
}

/// Series that are ready.
fn series(all: &[Series], to: &mut Writer<'_>) {
    for one in all {
        to.series(&one.labels, None, one.value);
    }
}
