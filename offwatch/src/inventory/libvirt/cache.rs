//! Listings: each domain's XML is read once and kept until something may have
//! changed it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error as VirtError, ErrorNumber};

use super::domains::{Listed, list_domains};
use super::failure::one_line;
use super::pcpus;
use super::worker::Worker;
use crate::inventory::domain_xml;
use crate::inventory::nic::{self, is_network_card};
use crate::inventory::status::DIRECTORY;
use crate::sample::{Nic, Source, Vm, VmStats};

/// XML older than this is read again, for drivers without events.
const OLD_XML: Duration = Duration::from_secs(60);
/// At most so many in one listing.
const OLD_XML_AT_ONCE: usize = 20;
/// Pause after reading all XML, in multiples of the time it took.
const FULL_READ_PAUSE: u32 = 10;
/// Pause after any listing, likewise: each domain that starts sends some events.
const LIST_PAUSE: u32 = 4;
/// Shortest pause between two listings.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// After statistics that took longer, those of guests whose monitor is busy
/// are no longer waited for.
const LONGEST_STATS: Duration = Duration::from_secs(2);

/// What is known of a domain from its XML and from files.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: Option<u32>,
    pub(super) pid: Option<u32>,
    pub(super) nics: Vec<Nic>,
    /// The last that were asked for.
    pub(super) stats: Option<Arc<VmStats>>,
    pub(super) read: Instant,
    pub(super) is_stale: bool,
}

/// What came of reading the XML of a domain.
enum Xml {
    Known(Known),
    /// libvirt refuses.
    Unreadable,
    /// The domain ended in between.
    Ended,
}

impl Worker {
    /// Lists all domains, and reads the XML that is missing or out of date.
    pub(super) fn list(
        &mut self,
        connect: &Connect,
        with_stats: bool,
    ) -> Result<Vec<Vm>, VirtError> {
        let started = Instant::now();
        let domains = list_domains(connect, with_stats, self.no_wait)?;
        self.no_wait |= started.elapsed() > LONGEST_STATS;
        let wants_pcpus = with_stats && self.shared.lock().wants_pcpus;
        let mut known = HashMap::with_capacity(domains.len());
        let mut old = OLD_XML_AT_ONCE;
        let mut read = 0;
        let mut vms = Vec::with_capacity(domains.len());
        for listed in domains {
            let id = listed.id;
            let before = self.known.remove(&listed.uuid);
            let before = before.filter(|known| known.id == id);
            let last_stats = before.as_ref().and_then(|known| known.stats.clone());
            let mut entry = before.filter(|known| {
                // A domain that was just started has no interfaces yet.
                let is_complete = id.is_none() || !known.nics.iter().any(lacks_tap);
                let is_young = known.read.elapsed() < OLD_XML || old == 0;
                old -= usize::from(!is_young);
                is_complete && is_young && !known.is_stale
            });
            if entry.is_none() {
                read += 1;
                // Each call has its own time to be answered.
                self.busy(true);
                entry = match self.read_xml(connect, &listed)? {
                    Xml::Known(known) => Some(known),
                    Xml::Unreadable => None,
                    Xml::Ended => continue,
                };
            }
            let mut stats = listed.stats;
            if let Some(stats) = stats.as_mut().filter(|_| wants_pcpus) {
                self.busy(true);
                add_pcpus(&listed.domain, stats);
            }
            let stats = match with_stats {
                true => stats.map(Arc::new),
                false => last_stats,
            };
            if let Some(known) = &mut entry {
                known.stats.clone_from(&stats);
            }
            vms.push(Vm {
                name: listed.name,
                uuid: Some(listed.uuid.clone()),
                id,
                pid: entry.as_ref().and_then(|known| known.pid),
                state: listed.state,
                source: Source::Libvirt,
                nics: entry
                    .as_ref()
                    .map(|known| known.nics.clone())
                    .unwrap_or_default(),
                stats,
                ..Vm::default()
            });
            known.extend(entry.map(|entry| (listed.uuid, entry)));
        }
        self.known = known;
        let (now, took) = (Instant::now(), started.elapsed());
        self.next_list = now + SHORTEST_PAUSE.max(took * LIST_PAUSE);
        // Reading a few costs nothing worth a limit.
        if read > OLD_XML_AT_ONCE {
            self.next_full_read = now + took * FULL_READ_PAUSE;
        }
        Ok(vms)
    }

    fn read_xml(&self, connect: &Connect, listed: &Listed) -> Result<Xml, VirtError> {
        let Listed { name, id, .. } = listed;
        match listed.domain.get_xml_desc(0) {
            Ok(xml) => Ok(Xml::Known(Known {
                id: *id,
                pid: id.and_then(|_| self.pid(name)),
                nics: nics(name, &xml),
                stats: None,
                read: Instant::now(),
                is_stale: false,
            })),
            Err(error) if error.code() == ErrorNumber::NoDomain => Ok(Xml::Ended),
            Err(error) if !connect.is_alive().unwrap_or(false) => Err(error),
            Err(error) => {
                log::debug!("libvirt: XML of '{name}': {}", one_line(error.message()));
                Ok(Xml::Unreadable)
            }
        }
    }

    /// Process id of an active domain, if its file is there and may be read.
    fn pid(&self, name: &str) -> Option<u32> {
        if !self.uri.starts_with("qemu:") || name.contains('/') {
            return None;
        }
        let file = Path::new(DIRECTORY).join(format!("{name}.pid"));
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    }
}

/// Adds what the domain uses of each physical CPU, as far as libvirt tells.
fn add_pcpus(domain: &Domain, stats: &mut VmStats) {
    let count = stats.vcpus.as_ref().map_or(1, Vec::len);
    match pcpus::vcpus(domain, count) {
        Ok(vcpus) => stats.vcpus = Some(vcpus),
        Err(error) => log::debug!("libvirt: vCPUs: {}", one_line(error.message())),
    }
    match pcpus::times(domain) {
        Ok(times) => stats.pcpus = Some(times),
        Err(error) => log::debug!("libvirt: CPU statistics: {}", one_line(error.message())),
    }
}

fn lacks_tap(card: &Nic) -> bool {
    card.backend == nic::backend::TAP && card.dev.is_none()
}

/// Network cards in the XML of a domain.
fn nics(name: &str, xml: &str) -> Vec<Nic> {
    match domain_xml::parse(xml, &|address| is_network_card(Path::new("/sys"), address)) {
        Ok(domain) => domain.nics,
        Err(error) => {
            log::warn!("libvirt: XML of '{name}': {error}");
            Vec::new()
        }
    }
}
