//! VMs of all hosts, made of what Prometheus answers.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    answer::Series,
    hosts::{Host, Target},
    span::Spans,
};
use crate::model::{Rates, SideRates, WorkNs};

/// A VM of a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vm {
    /// The place of its host.
    pub host: usize,
    /// CPUs of its host that are online.
    pub online_cpus: Option<u32>,
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: Option<String>,
    /// Who told of it there.
    pub source: Option<String>,
    /// State, as its host has it.
    pub state: Option<String>,
    /// libvirt's id.
    pub id: Option<f64>,
    /// CPU time since its start.
    pub cpu_seconds: Option<f64>,
    /// Memory it is given.
    pub memory_bytes: Option<f64>,
    /// CPU time per second.
    pub cpu_seconds_per_s: Option<f64>,
    /// Requests to read from disks, per second.
    pub disk_reads_per_s: Option<f64>,
    /// Requests to write to disks, per second.
    pub disk_writes_per_s: Option<f64>,
    /// Its network cards by the names of their interfaces.
    pub cards: BTreeMap<String, Card>,
}

/// A network card of a VM.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    /// `tap`, ...
    pub kind: Option<String>,
    /// Bridge.
    pub bridge: Option<String>,
    /// Why it cannot be seen.
    pub unobservable: Option<String>,
    /// It is counted, be it only since the last scrape.
    pub is_counted: bool,
    /// The time that its rates cover.
    pub covered_seconds: Option<f64>,
    /// Why they cover none.
    not_covered: Option<&'static str>,
    rates: Rates,
    segmentation: Option<f64>,
    checksum: Option<f64>,
}

/// A counter of cards, and where its rate goes.
type CardRate = (&'static str, fn(&mut Card) -> &mut Option<f64>);
/// A counter of VMs, and where its rate goes.
type VmRate = (&'static str, fn(&mut Vm) -> &mut Option<f64>);

/// Counters of cards, of which rates are asked for.
pub const CARD_RATES: [CardRate; 17] = [
    ("offwatch_vm_receive_packets_total", |card| {
        &mut card.rates.egress.packets_per_s
    }),
    ("offwatch_vm_receive_bytes_total", |card| {
        &mut card.rates.egress.bytes_per_s
    }),
    ("offwatch_vm_receive_gso_packets_total", |card| {
        &mut card.rates.egress.gso_packets_per_s
    }),
    ("offwatch_vm_receive_gso_segments_total", |card| {
        &mut card.rates.egress.gso_segments_per_s
    }),
    ("offwatch_vm_receive_gso_bytes_total", |card| {
        &mut card.rates.egress.gso_bytes_per_s
    }),
    ("offwatch_vm_receive_drops_total", |card| {
        &mut card.rates.egress.drops_per_s
    }),
    ("offwatch_vm_transmit_packets_total", |card| {
        &mut card.rates.ingress.packets_per_s
    }),
    ("offwatch_vm_transmit_bytes_total", |card| {
        &mut card.rates.ingress.bytes_per_s
    }),
    ("offwatch_vm_transmit_gso_packets_total", |card| {
        &mut card.rates.ingress.gso_packets_per_s
    }),
    ("offwatch_vm_transmit_gso_segments_total", |card| {
        &mut card.rates.ingress.gso_segments_per_s
    }),
    ("offwatch_vm_transmit_gso_bytes_total", |card| {
        &mut card.rates.ingress.gso_bytes_per_s
    }),
    ("offwatch_vm_transmit_drops_total", |card| {
        &mut card.rates.ingress.drops_per_s
    }),
    ("offwatch_vm_software_segments_total", |card| {
        &mut card.rates.software_segments_per_s
    }),
    ("offwatch_vm_software_checksum_bytes_total", |card| {
        &mut card.rates.software_checksum_bytes_per_s
    }),
    ("offwatch_vm_caused_software_segments_total", |card| {
        &mut card.rates.caused_segments_per_s
    }),
    ("offwatch_vm_segmentation_seconds_total", |card| {
        &mut card.segmentation
    }),
    ("offwatch_vm_checksum_seconds_total", |card| {
        &mut card.checksum
    }),
];

/// Counters of VMs, of which rates are asked for.
pub const VM_RATES: [VmRate; 3] = [
    ("offwatch_vm_cpu_seconds_total", |vm| {
        &mut vm.cpu_seconds_per_s
    }),
    ("offwatch_vm_disk_read_requests_total", |vm| {
        &mut vm.disk_reads_per_s
    }),
    ("offwatch_vm_disk_write_requests_total", |vm| {
        &mut vm.disk_writes_per_s
    }),
];

/// What is asked for as it is. A VM, or a card, that is in none of these is gone.
pub const NOW: [&str; 10] = [
    "offwatch_vm_interface_info",
    "offwatch_vm_unobservable",
    "offwatch_vm_info",
    "offwatch_vm_state",
    "offwatch_vm_id",
    "offwatch_vm_cpu_seconds_total",
    "offwatch_vm_memory_bytes",
    "offwatch_vm_software_work_approximate",
    "offwatch_vm_caused_software_work_approximate",
    "offwatch_vm_receive_packets_total",
];

/// VMs, as they are put together.
#[derive(Debug)]
pub struct Rows<'a> {
    hosts: &'a [Host],
    places: HashMap<&'a Target, usize>,
    vms: BTreeMap<(usize, String), Vm>,
}

impl<'a> Rows<'a> {
    /// None yet.
    pub fn of(hosts: &'a [Host]) -> Self {
        let places = hosts.iter().enumerate();
        Self {
            hosts,
            places: places.map(|(place, host)| (&host.target, place)).collect(),
            vms: BTreeMap::new(),
        }
    }

    /// Takes what [`NOW`] is. First of all: it tells which VMs and cards there are.
    pub fn learn(&mut self, series: &[Series]) {
        for series in series {
            let Some(&host) = self.places.get(&Target::of(series)) else {
                continue;
            };
            let name = series.label("vm");
            let vm = self
                .vms
                .entry((host, name.to_owned()))
                .or_insert_with(|| Vm {
                    host,
                    online_cpus: self.hosts[host].online_cpus,
                    name: name.to_owned(),
                    ..Vm::default()
                });
            vm.learn(series);
        }
    }

    /// Takes the rates of a counter of [`CARD_RATES`].
    pub fn card_rates(&mut self, (_, place): CardRate, series: &[Series], spans: &Spans) {
        for series in series {
            let dev = series.label("dev");
            let vm = self.vm(series);
            if let Some(card) = vm.and_then(|vm| vm.cards.get_mut(dev)) {
                *place(card) = rate(series, spans);
            }
        }
    }

    /// Takes which time the rates of cards cover, of some hosts.
    pub fn cover(&mut self, of: &[Host], spans: &Spans) {
        let of: HashSet<&Target> = of.iter().map(|host| &host.target).collect();
        for vm in self.vms.values_mut() {
            let target = &self.hosts[vm.host].target;
            if !of.contains(target) {
                continue;
            }
            for (dev, card) in &mut vm.cards {
                match spans.span(target, &vm.name, dev) {
                    Ok(span) => card.covered_seconds = Some(span.seconds),
                    Err(reason) => card.not_covered = Some(reason),
                }
            }
        }
    }

    /// Takes the rates of a counter of [`VM_RATES`].
    pub fn vm_rates(&mut self, (_, place): VmRate, series: &[Series], spans: &Spans) {
        for series in series {
            if let Some(vm) = self.vm(series) {
                *place(vm) = rate(series, spans);
            }
        }
    }

    /// That of a series, if it is still there.
    fn vm(&mut self, series: &Series) -> Option<&mut Vm> {
        let host = *self.places.get(&Target::of(series))?;
        self.vms.get_mut(&(host, series.label("vm").to_owned()))
    }

    /// All of them, by host and name.
    pub fn vms(self) -> Vec<Vm> {
        self.vms.into_values().collect()
    }
}

fn rate(series: &Series, spans: &Spans) -> Option<f64> {
    Some(spans.of(series).ok()?.rate(series.value()?))
}

impl Vm {
    fn learn(&mut self, series: &Series) {
        let known = |label| series.known(label).map(ToOwned::to_owned);
        let value = series.value();
        let is_set = value.is_some_and(|value| value > 0.0);
        match series.label("__name__") {
            "offwatch_vm_info" => (self.uuid, self.source) = (known("uuid"), known("source")),
            "offwatch_vm_state" if is_set => self.state = known("state"),
            "offwatch_vm_id" => self.id = value,
            "offwatch_vm_cpu_seconds_total" => self.cpu_seconds = value,
            "offwatch_vm_memory_bytes" => self.memory_bytes = value,
            of_card => {
                // What cannot be seen need not have one.
                let dev = series.known("dev").unwrap_or("-");
                let card = self.cards.entry(dev.to_owned()).or_default();
                match of_card {
                    "offwatch_vm_interface_info" => {
                        (card.kind, card.bridge) = (known("kind"), known("bridge"));
                    }
                    "offwatch_vm_unobservable" => card.unobservable = known("reason"),
                    "offwatch_vm_software_work_approximate" => {
                        card.rates.software_work_approximate = is_set;
                    }
                    "offwatch_vm_caused_software_work_approximate" => {
                        card.rates.caused_approximate = is_set;
                    }
                    "offwatch_vm_receive_packets_total" => card.is_counted = true,
                    _ => {}
                }
            }
        }
    }

    /// As [`crate::model::overview::Domain`] has it.
    pub fn is_active(&self) -> bool {
        let is_of_libvirt = self.source.as_deref() == Some("libvirt");
        let is_off = self.state.as_deref() == Some("shut off");
        self.id.is_some() || !(is_of_libvirt || is_off)
    }

    /// CPU time as a share of all of its host's CPUs, percent.
    pub fn cpu_percent(&self) -> Option<f64> {
        let cpus = self.online_cpus.filter(|cpus| *cpus > 0)?;
        Some(100.0 * self.cpu_seconds_per_s? / f64::from(cpus))
    }

    /// The rates of its cards.
    pub fn card_rates(&self) -> impl Iterator<Item = Rates> {
        self.cards.values().filter_map(Card::rates)
    }
}

impl Card {
    /// Its rates; none of a card that was not scraped twice in the window, or is not
    /// seen.
    pub fn rates(&self) -> Option<Rates> {
        const NS_PER_S: f64 = 1e9;
        let sides: [&SideRates; 2] = [&self.rates.ingress, &self.rates.egress];
        sides.iter().find_map(|side| side.packets_per_s)?;
        let is_timed = self.segmentation.or(self.checksum).is_some();
        let work_ns = is_timed.then(|| WorkNs {
            segmentation: self.segmentation.map(|share| share * NS_PER_S),
            checksum: self.checksum.map(|share| share * NS_PER_S),
            // Told together with the others.
            crc32c: self.checksum.map(|_| 0.0),
        });
        Some(Rates {
            work_ns,
            ..self.rates
        })
    }

    /// Why it has no rates.
    pub fn no_rates(&self, window: &str) -> String {
        match &self.unobservable {
            Some(reason) => reason.clone(),
            None if self.is_counted => {
                let reason = self.not_covered.unwrap_or("not in all scrapes of its host");
                format!("{reason} in {window}")
            }
            None => "its host does not count it".into(),
        }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
