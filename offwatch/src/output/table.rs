//! A table for people.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use super::{
    Render,
    grid::Grid,
    units::{percent, rate},
};
use crate::{
    model::{Model, Port, Rates, SideRates, Vm},
    text::plain,
};

/// The rates of one interval: VMs first, then other interfaces.
pub struct Table;

/// Columns of a VM's card.
pub(crate) const COLUMNS: usize = 13;
/// Their headings.
pub(crate) const VM_COLUMNS: [&str; COLUMNS] = [
    "VM", "DEV", "RXbit/s", "TXbit/s", "RXpk/s", "TXpk/s", "RXgso%", "TXgso%", "RXseg", "SWSEG/s",
    "SWCSUM/s", "CAUSES/s", "DROP/s",
];
/// Columns of text; those of numbers follow.
pub(crate) const TEXT_COLUMNS: usize = 2;

/// A line of the table.
pub(crate) type Row = [String; COLUMNS];

impl Render for Table {
    fn render(&self, model: &Model, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{}", headline(model))?;
        for note in &model.host.notes {
            writeln!(to, "note: {}", plain(note))?;
        }
        let mut notes = BTreeSet::new();
        let blind = &model.host.blind;
        let unseen = [
            ("GSO", blind.gso),
            ("software work, unless it is counted exactly", blind.work),
            ("drops", blind.drops),
        ];
        notes.extend(unseen.into_iter().filter_map(|(what, reason)| {
            reason.map(|reason| format!("{what}: cannot be seen: {reason}"))
        }));

        let mut vms = Grid::new(TEXT_COLUMNS, VM_COLUMNS);
        for vm in &model.vms {
            if vm.interfaces.is_empty() {
                vms.add_row(blank_row(&vm.name, "(no network card)"));
            }
            for interface in &vm.interfaces {
                vms.add_row(row(&vm.name, interface, true, &mut notes));
            }
        }
        if model.vms.is_empty() {
            writeln!(to, "no VMs to show")?;
        } else {
            vms.write(to)?;
        }

        if !model.other_interfaces.is_empty() {
            let columns = VM_COLUMNS.map(|column| if column == "VM" { "OTHER" } else { column });
            let mut others = Grid::new(TEXT_COLUMNS, columns);
            for interface in &model.other_interfaces {
                let label = if interface.is_unowned() {
                    "tap, unowned"
                } else {
                    interface.kind()
                };
                others.add_row(row(label, interface, false, &mut notes));
            }
            writeln!(to)?;
            others.write(to)?;
        }
        for note in notes {
            writeln!(to, "{}", plain(&note))?;
        }
        Ok(())
    }
}

fn headline(model: &Model) -> String {
    let seconds = model.interval_seconds.map_or_else(
        || "no interval yet".into(),
        |seconds| format!("over {seconds:.1} s"),
    );
    let host = &model.host;
    let all = model.vms.len();
    let counted = |vm: &&Vm| vm.interfaces.iter().any(Port::is_counted);
    let with_network = model.vms.iter().filter(counted).count();
    format!(
        "offwatch {} - {} - Linux {} - VMs: {all}, {with_network} counted - hook {}, {seconds}",
        utc_time(model.time_unix_ms),
        plain(&host.name),
        plain(&host.kernel),
        host.hook.name(),
    )
}

/// The time of day.
pub(crate) fn utc_time(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000 % 86_400;
    format!(
        "{:02}:{:02}:{:02} UTC",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Of what has no rates.
pub(crate) fn blank_row(label: &str, dev: &str) -> Row {
    let mut row = [const { String::new() }; COLUMNS];
    (row[0], row[1]) = (plain(label), plain(dev));
    row[TEXT_COLUMNS..].fill("-".into());
    row
}

fn row(label: &str, interface: &Port, of_vm: bool, notes: &mut BTreeSet<String>) -> Row {
    let dev = interface.name();
    let Some(rates) = interface.rates() else {
        if let Some(reason) = interface.make().unavailable.values().next() {
            let whose = if of_vm { label } else { dev };
            notes.insert(format!("{whose}: {reason}"));
        }
        return blank_row(label, dev);
    };
    cells([label, dev], &rates, of_vm, notes)
}

/// A row of rates, with what is to be told below the table.
pub(crate) fn cells(
    [label, dev]: [&str; TEXT_COLUMNS],
    rates: &Rates,
    of_vm: bool,
    notes: &mut BTreeSet<String>,
) -> Row {
    let (ingress, egress) = (&rates.ingress, &rates.egress);
    let (rx, tx) = if of_vm {
        (egress, ingress)
    } else {
        (ingress, egress)
    };
    let bits = |side: &SideRates| rate(side.bytes_per_s.map(|bytes| bytes * 8.0));
    let drops = ingress
        .drops_per_s
        .zip(egress.drops_per_s)
        .map(|(a, b)| a + b);
    if rates.software_work_approximate || rates.caused_approximate {
        notes.insert("~ at least: frames were dropped or are waiting before the device".into());
    }
    let at_least = |approximate: bool, value: Option<f64>| {
        let mark = if approximate && value.is_some() {
            "~"
        } else {
            ""
        };
        format!("{mark}{}", rate(value))
    };
    [
        plain(label),
        plain(dev),
        bits(rx),
        bits(tx),
        rate(rx.packets_per_s),
        rate(tx.packets_per_s),
        percent(rx.gso_share()),
        percent(tx.gso_share()),
        rate(segment_bytes(rx)),
        at_least(
            rates.software_work_approximate,
            rates.software_segments_per_s,
        ),
        at_least(
            rates.software_work_approximate,
            rates.software_checksum_bytes_per_s,
        ),
        at_least(rates.caused_approximate, rates.caused_segments_per_s),
        rate(drops),
    ]
}

fn segment_bytes(side: &SideRates) -> Option<f64> {
    let single = side.packets_per_s? - side.gso_packets_per_s?;
    let segments = single + side.gso_segments_per_s?;
    (segments > 0.0)
        .then(|| side.bytes_per_s.map(|bytes| bytes / segments))
        .flatten()
}
