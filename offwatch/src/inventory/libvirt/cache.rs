//! Listings: each domain's XML is read once and kept until something may have
//! changed it.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use virt::connect::Connect;
use virt::error::{Error as VirtError, ErrorNumber};

use super::domains::{Listed, list_domains};
use super::failure::one_line;
use super::worker::Worker;
use crate::inventory::domain_xml;
use crate::inventory::nic::{self, is_network_card, printable};
use crate::inventory::status::DIRECTORY;
use crate::sample::{Nic, Source, Vm};

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

/// What is known of a domain from its XML and from files.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: Option<u32>,
    pub(super) pid: Option<u32>,
    pub(super) nics: Vec<Nic>,
    pub(super) read: Instant,
    pub(super) is_stale: bool,
}

impl Worker {
    /// Lists all domains and reads the XML that is missing or out of date.
    pub(super) fn list(&mut self, connect: &Connect) -> Result<Vec<Vm>, VirtError> {
        let started = Instant::now();
        let domains = list_domains(connect)?;
        let mut known = HashMap::with_capacity(domains.len());
        let mut old = OLD_XML_AT_ONCE;
        let mut read = 0;
        let mut vms = Vec::with_capacity(domains.len());
        for Listed {
            domain,
            uuid,
            id,
            state,
        } in domains
        {
            let name = printable(&domain.get_name()?);
            let mut entry = self.known.remove(&uuid).filter(|known| {
                // A domain that was just started has no interfaces yet.
                let is_complete = id.is_none() || !known.nics.iter().any(lacks_tap);
                let is_young = known.read.elapsed() < OLD_XML || old == 0;
                old -= usize::from(!is_young);
                known.id == id && is_complete && is_young && !known.is_stale
            });
            if entry.is_none() {
                read += 1;
                // Each call has its own time to be answered.
                self.busy(true);
                entry = match domain.get_xml_desc(0) {
                    Ok(xml) => Some(Known {
                        id,
                        pid: id.and_then(|_| self.pid(&name)),
                        nics: nics(&name, &xml),
                        read: Instant::now(),
                        is_stale: false,
                    }),
                    // It ended in between.
                    Err(error) if error.code() == ErrorNumber::NoDomain => continue,
                    Err(error) if !connect.is_alive().unwrap_or(false) => return Err(error),
                    Err(error) => {
                        log::debug!("libvirt: XML of '{name}': {}", one_line(error.message()));
                        None
                    }
                };
            }
            vms.push(Vm {
                name,
                uuid: Some(uuid.clone()),
                id,
                pid: entry.as_ref().and_then(|known| known.pid),
                state,
                source: Source::Libvirt,
                nics: entry
                    .as_ref()
                    .map(|known| known.nics.clone())
                    .unwrap_or_default(),
                ..Vm::default()
            });
            known.extend(entry.map(|entry| (uuid, entry)));
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

    /// Process id of an active domain, if its file is there and may be read.
    fn pid(&self, name: &str) -> Option<u32> {
        if !self.uri.starts_with("qemu:") || name.contains('/') {
            return None;
        }
        let file = Path::new(DIRECTORY).join(format!("{name}.pid"));
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
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
