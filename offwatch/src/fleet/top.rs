//! VMs of all hosts, ranked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::{Map, Value, json};

use super::{
    fleet::{Fleet, list},
    hosts::{Host, span},
    place::Place,
    rows::{Card, Vm},
};
use crate::{
    model::{Rates, SideRates},
    offload::Figures,
    output::{
        grid::Grid,
        table::{self, COLUMNS, TEXT_COLUMNS, VM_COLUMNS},
        units::rate,
    },
    rank::{Key, Order},
    text::plain,
};

/// Name of the JSON form.
pub const SCHEMA: &str = "offwatch.fleet.top";
/// Version of that form; grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// Host, those of `top`, the time that rates cover, and what VMs are ranked by.
const CELLS: usize = COLUMNS + 3;

/// Ranked VMs.
#[derive(Debug)]
pub struct Top {
    /// Their hosts.
    pub fleet: Fleet,
    /// The first ones.
    pub vms: Vec<Vm>,
    /// How many there are.
    pub count: usize,
    /// How they are ranked.
    pub order: Order,
    /// What rates cover, seconds.
    pub window_s: u64,
    notes: Vec<String>,
    /// Hosts that do not tell what VMs are ranked by.
    untold: Vec<String>,
}

impl Top {
    /// Ranks VMs and keeps the first `limit` (0: all).
    pub fn new(fleet: Fleet, vms: Vec<Vm>, order: Order, limit: usize, window_s: u64) -> Self {
        let cost_by_segments = order.key == Key::Cost && vms.iter().any(is_untimed);
        let place = |vm| Place {
            vm,
            cost_by_segments,
        };
        // Those that compare as equal stay in the order of hosts.
        let mut places: Vec<usize> = (0..vms.len()).collect();
        places.sort_by_cached_key(|&at| order.row(&place(&vms[at])));
        let ranked: Vec<Place<'_>> = vms.iter().map(place).collect();
        let untold = untold(&fleet, order.key, &ranked);
        let count = vms.len();
        let shown = if limit == 0 { count } else { limit };
        let mut vms: Vec<Option<Vm>> = vms.into_iter().map(Some).collect();
        let first = places.iter().take(shown);
        let by_segments = "ranked by segments cut in software: not all hosts time what that takes";
        Self {
            vms: first.filter_map(|&at| vms[at].take()).collect(),
            fleet,
            count,
            order,
            window_s,
            untold,
            notes: cost_by_segments
                .then(|| by_segments.to_owned())
                .into_iter()
                .collect(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = self.fleet.head("top");
        let window = span(self.window_s as f64);
        let order = match self.order.is_reversed {
            true => format!("{}, reversed", self.order.key),
            false => self.order.key.to_string(),
        };
        let _ = writeln!(
            text,
            " - VMs: {} of {} - by {order} - over {window}",
            self.vms.len(),
            self.count,
        );
        self.fleet.tell(&mut text);
        let mut notes: BTreeSet<String> = self.notes.iter().cloned().collect();
        notes.extend(self.untold.iter().cloned());
        let key = column(self.order.key);
        let mut headings = [""; CELLS];
        headings[0] = "HOST";
        headings[1..=COLUMNS].copy_from_slice(&VM_COLUMNS);
        // The last one may be empty.
        headings[COLUMNS + 1..].copy_from_slice(&["OVER", key.map_or("", |(name, _)| name)]);
        let mut grid = Grid::new(TEXT_COLUMNS + 1, headings);
        for vm in &self.vms {
            let host = &self.fleet.names[vm.host];
            notes.extend(blind(host, &self.fleet.hosts[vm.host]));
            let of_key = key.map_or_else(String::new, |(_, cell)| cell(vm));
            let mut add = |row: table::Row, covered: Option<f64>| {
                let covered = covered.map_or_else(|| "-".into(), |s| format!("{s:.0}s"));
                grid.add_row(around(host, row, [covered, of_key.clone()]));
            };
            if vm.cards.is_empty() {
                add(table::blank_row(&vm.name, "(no network card)"), None);
            }
            for (dev, card) in &vm.cards {
                let Some(rates) = card.rates() else {
                    let reason = card.no_rates(&window);
                    notes.insert(format!("{host}, {} {dev}: {reason}", vm.name));
                    add(table::blank_row(&vm.name, dev), None);
                    continue;
                };
                let row = table::cells([&vm.name, dev], &rates, true, &mut notes);
                add(row, card.covered_seconds);
            }
        }
        match self.vms.is_empty() {
            true => text.push_str("no VMs to show\n"),
            false => {
                let mut table = Vec::new();
                // A Vec takes all.
                let _ = grid.write(&mut table);
                for line in String::from_utf8_lossy(&table).lines() {
                    let _ = writeln!(text, "{}", line.trim_end());
                }
            }
        }
        list(&mut text, &notes.into_iter().collect::<Vec<_>>());
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let vms: Vec<Value> = self.vms.iter().map(|vm| self.vm(vm)).collect();
        let mut value = json!({
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "sort": self.order.key.name(),
            "reverse": self.order.is_reversed,
            "window_seconds": self.window_s,
            "notes": self.notes.iter().chain(&self.untold).collect::<Vec<_>>(),
            "vms_total": self.count,
            "vms": vms,
        });
        if let (Value::Object(all), Value::Object(fleet)) = (&mut value, json!(self.fleet)) {
            all.extend(fleet);
        }
        value
    }

    fn vm(&self, vm: &Vm) -> Value {
        let host = &self.fleet.hosts[vm.host];
        let window = span(self.window_s as f64);
        let interfaces = vm
            .cards
            .iter()
            .map(|(dev, card)| interface(dev, card, host, &window));
        let mut value = json!({
            "host": host.host,
            "job": host.target.job(),
            "instance": host.target.instance(),
            "vm": vm.name,
            "uuid": vm.uuid,
            "state": vm.state,
            "id": vm.id,
            "cpu_percent": vm.cpu_percent(),
            "cpu_seconds_total": vm.cpu_seconds,
            "memory_bytes": vm.memory_bytes,
            "disk_read_requests_per_s": vm.disk_reads_per_s,
            "disk_write_requests_per_s": vm.disk_writes_per_s,
            "interfaces": interfaces.collect::<Vec<_>>(),
        });
        let has_rate = [
            "cpu_percent",
            "disk_read_requests_per_s",
            "disk_write_requests_per_s",
        ];
        explain(&mut value, |field| match vm.cpu_seconds {
            Some(_) if has_rate.contains(&field) => {
                format!("not told by its host, or not twice in {window}")
            }
            _ => "not told by its host".into(),
        });
        value
    }
}

/// What a host cannot see, for people: as `top` says it there.
fn blind<'a>(name: &'a str, host: &'a Host) -> impl Iterator<Item = String> {
    let cannot = host.cannot_see.iter();
    let shown = cannot.filter(|(what, _)| ["gso", "software_work", "drops"].contains(&&***what));
    shown.map(move |(what, reason)| format!("{name}: {what} cannot be seen: {reason}"))
}

/// Work without the time that it took.
fn is_untimed(vm: &Vm) -> bool {
    let figures = Figures::of_cards(vm.card_rates());
    vm.is_active() && figures.software_segments_per_s.is_some() && figures.work_cpu_share.is_none()
}

/// What VMs are ranked by, where no other column shows it: its heading, and how it is
/// shown.
type Column = (&'static str, fn(&Vm) -> String);

fn column(key: Key) -> Option<Column> {
    Some(match key {
        Key::Id => ("ID", |vm| known(vm.id, |id| id.to_string())),
        Key::Cpu => ("%CPU", |vm| {
            known(vm.cpu_percent(), |cpu| format!("{cpu:.1}"))
        }),
        Key::Memory => ("MEM", |vm| {
            known(vm.memory_bytes, |bytes| {
                format!("{:.0}MiB", bytes / f64::from(1 << 20))
            })
        }),
        Key::Time => ("TIME", |vm| {
            known(vm.cpu_seconds, |time| format!("{time:.0}s"))
        }),
        Key::BlockReads => ("RDRQ/s", |vm| rate(vm.disk_reads_per_s)),
        Key::BlockWrites => ("WRRQ/s", |vm| rate(vm.disk_writes_per_s)),
        _ => return None,
    })
}

fn known(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".into(), text)
}

/// Cells around those of `top`: the host, the time that rates cover, and what VMs are
/// ranked by.
fn around(host: &str, row: table::Row, last: [String; 2]) -> [String; CELLS] {
    let mut cells = [const { String::new() }; CELLS];
    let row = row.into_iter().chain(last);
    cells[0] = plain(host);
    for (cell, of_row) in cells[1..].iter_mut().zip(row) {
        *cell = of_row;
    }
    cells
}

/// Hosts of which no VM has what they are ranked by.
fn untold(fleet: &Fleet, key: Key, ranked: &[Place<'_>]) -> Vec<String> {
    let mut told = vec![None; fleet.hosts.len()];
    let active = ranked.iter().filter(|place| place.vm.is_active());
    for place in active {
        let told = told[place.vm.host].get_or_insert(false);
        *told |= key == Key::Name || key.value(place).is_some();
    }
    let untold = told.iter().zip(&fleet.names);
    let untold = untold.filter(|(told, _)| **told == Some(false));
    untold
        .map(|(_, name)| {
            format!(
                "{name} does not tell what VMs are ranked by: {}",
                key.label()
            )
        })
        .collect()
}

fn interface(dev: &str, card: &Card, host: &Host, window: &str) -> Value {
    let mut value = json!({
        "dev": dev,
        "kind": card.kind,
        "bridge": card.bridge,
        "rates_cover_seconds": card.covered_seconds,
        "from_vm": null,
        "to_vm": null,
        "caused": null,
    });
    let Some(rates) = card.rates() else {
        explain(&mut value, |_| card.no_rates(window));
        return value;
    };
    let unseen = |what: &str| {
        let reason = host.cannot_see.get(what).cloned();
        reason.unwrap_or_else(|| format!("not told by its host, or not twice in {window}"))
    };
    let reason = |field: &str| {
        unseen(match field {
            _ if field.starts_with("software") => "software_work",
            "segmentation_ns_per_s" => "segmentation_seconds",
            "checksum_ns_per_s" => "checksum_seconds",
            "drops_per_s" => "drops",
            _ => "gso",
        })
    };
    value["from_vm"] = side(&rates.ingress);
    value["to_vm"] = side(&rates.egress);
    work(&mut value["to_vm"], &rates);
    value["caused"] = json!({
        "software_segments_per_s": rates.caused_segments_per_s,
        "software_work_approximate": rates.caused_approximate,
    });
    for part in ["from_vm", "to_vm", "caused"] {
        explain(&mut value[part], reason);
    }
    explain(&mut value, |_| "not told by its host".into());
    value
}

fn side(side: &SideRates) -> Value {
    json!(side)
}

fn work(to_vm: &mut Value, rates: &Rates) {
    let work = rates.work_ns.unwrap_or_default();
    let fields = [
        (
            "software_segments_per_s",
            json!(rates.software_segments_per_s),
        ),
        (
            "software_checksum_bytes_per_s",
            json!(rates.software_checksum_bytes_per_s),
        ),
        (
            "software_work_approximate",
            json!(rates.software_work_approximate),
        ),
        ("segmentation_ns_per_s", json!(work.segmentation)),
        ("checksum_ns_per_s", json!(work.checksum)),
    ];
    if let Value::Object(to_vm) = to_vm {
        to_vm.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    }
}

/// Adds to an object why some of its fields are null.
pub(super) fn explain(value: &mut Value, reason: impl Fn(&str) -> String) {
    let Value::Object(fields) = value else {
        return;
    };
    let null = fields.iter().filter(|(_, value)| value.is_null());
    let reasons: BTreeMap<String, Value> = null
        .map(|(name, _)| (name.clone(), reason(name).into()))
        .collect();
    let reasons: Map<String, Value> = reasons.into_iter().collect();
    fields.insert("unavailable".into(), reasons.into());
}

#[cfg(test)]
#[path = "top_tests.rs"]
mod tests;
