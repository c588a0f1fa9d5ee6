//! Listings: each domain's XML is read once and kept until something may have
//! changed it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use virt::connect::Connect;
use virt::error::{Error as VirtError, ErrorNumber};

use super::domains::{Handle, Listed, list_domains, text};
use super::failure::one_line;
use super::pcpus;
use super::worker::Worker;
use crate::facts::domain::Domain;
use crate::inventory::domain_xml;
use crate::inventory::listing::Listing;
use crate::inventory::nic::{self, is_network_card, printable};
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
    /// All but state and statistics.
    pub(super) vm: Arc<Vm>,
    /// As libvirt has it.
    pub(super) raw_name: Vec<u8>,
    /// The last that were asked for.
    pub(super) stats: Option<Arc<VmStats>>,
    /// How it was set up, if it is active.
    pub(super) setup: Option<Arc<Domain>>,
    /// None if libvirt refused its XML.
    pub(super) read: Option<Instant>,
    pub(super) is_stale: bool,
    /// The last listing that had the domain.
    pub(super) listed: u64,
}

/// What a listing does, and how much is left for it to do.
struct Pass<'a> {
    connect: &'a Connect,
    with_stats: bool,
    wants_pcpus: bool,
    now: Instant,
    /// XML for its age alone.
    old: usize,
    /// XML that was read.
    read: usize,
    domains: Vec<Listing>,
}

impl Worker {
    /// Lists all domains, and reads the XML that is missing or out of date.
    pub(super) fn list(
        &mut self,
        connect: &Connect,
        with_stats: bool,
    ) -> Result<Vec<Listing>, VirtError> {
        let started = Instant::now();
        self.listings += 1;
        let mut pass = Pass {
            connect,
            with_stats,
            wants_pcpus: with_stats && self.shared.lock().wants_pcpus,
            now: started,
            old: OLD_XML_AT_ONCE,
            read: 0,
            domains: Vec::with_capacity(self.known.len()),
        };
        let no_wait = self.no_wait;
        let mut answered = None;
        list_domains(connect, with_stats, no_wait, &mut |listed| {
            answered.get_or_insert_with(|| started.elapsed());
            self.take(&mut pass, listed)
        })?;
        self.no_wait |= answered.is_some_and(|answered| answered > LONGEST_STATS);
        let number = self.listings;
        self.known.retain(|_, known| known.listed == number);
        let (now, took) = (Instant::now(), started.elapsed());
        self.next_list = now + SHORTEST_PAUSE.max(took * LIST_PAUSE);
        // Reading a few costs nothing worth a limit.
        if pass.read > OLD_XML_AT_ONCE {
            self.next_full_read = now + took * FULL_READ_PAUSE;
        }
        Ok(pass.domains)
    }

    /// Takes up one domain.
    fn take(&mut self, pass: &mut Pass<'_>, mut listed: Listed<'_>) -> Result<(), VirtError> {
        if let Some(stats) = listed.stats.as_mut().filter(|_| pass.wants_pcpus) {
            self.busy(true);
            add_pcpus(&listed.handle, stats);
        }
        let number = self.listings;
        if let Some(known) = self.known.get_mut(&listed.uuid) {
            let is_old = pass.old > 0 && known.is_old(pass.now);
            pass.old -= usize::from(is_old);
            if !is_old && known.holds_for(&listed) {
                pass.domains
                    .push(known.list(listed, pass.with_stats, number));
                return Ok(());
            }
        }
        pass.read += 1;
        // Each call has its own time to be answered.
        self.busy(true);
        // Without an answer it ended in between.
        if let Some(mut known) = self.read_xml(pass.connect, &listed)? {
            let uuid = listed.uuid;
            pass.domains
                .push(known.list(listed, pass.with_stats, number));
            self.known.insert(uuid, known);
        }
        Ok(())
    }

    /// Reads what is not known of a domain; none if there is no such domain.
    fn read_xml(&self, connect: &Connect, listed: &Listed<'_>) -> Result<Option<Known>, VirtError> {
        let id = listed.id;
        let raw_name = listed.handle.name();
        let before = self.known.get(&listed.uuid);
        let before = before.filter(|known| known.vm.id == id);
        let mut vm = Vm {
            name: printable(&String::from_utf8_lossy(&raw_name)).into(),
            uuid: Some(text(&listed.uuid).into()),
            id,
            source: Source::Libvirt,
            ..Vm::default()
        };
        let mut read = None;
        let mut setup = None;
        match listed.handle.ask(|domain| domain.get_xml_desc(0)) {
            Ok(xml) => {
                vm.pid = id.and_then(|_| self.pid(&vm.name));
                let domain = parse(&vm.name, &xml);
                vm.nics = Arc::new(domain.nics);
                setup = id.map(|_| Arc::new(domain.setup));
                read = Some(Instant::now());
            }
            Err(error) if error.code() == ErrorNumber::NoDomain => return Ok(None),
            Err(error) if !connect.is_alive().unwrap_or(false) => return Err(error),
            Err(error) => {
                let name = &vm.name;
                log::debug!("libvirt: XML of '{name}': {}", one_line(error.message()));
            }
        }
        let unchanged = before.filter(|known| *known.vm == vm);
        Ok(Some(Known {
            vm: unchanged.map_or_else(|| Arc::new(vm), |known| Arc::clone(&known.vm)),
            raw_name,
            stats: before.and_then(|known| known.stats.clone()),
            setup,
            read,
            is_stale: false,
            listed: 0,
        }))
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

impl Known {
    /// Takes up a listing.
    fn list(&mut self, listed: Listed<'_>, with_stats: bool, number: u64) -> Listing {
        if with_stats {
            self.stats = listed.stats.map(Arc::new);
        }
        self.listed = number;
        Listing {
            vm: Arc::clone(&self.vm),
            state: listed.state,
            stats: self.stats.clone(),
            setup: self.setup.clone(),
        }
    }

    /// Whether its XML is to be read again for its age.
    fn is_old(&self, now: Instant) -> bool {
        let age = self.read.map(|read| now.saturating_duration_since(read));
        age.is_some_and(|age| age >= OLD_XML)
    }

    /// Whether it still holds for a listed domain.
    fn holds_for(&self, listed: &Listed<'_>) -> bool {
        // A domain that was just started has no interfaces yet.
        let is_complete = listed.id.is_none() || !self.vm.nics.iter().any(lacks_tap);
        let is_read = self.read.is_some() && !self.is_stale;
        // Only a domain that is shut off can be given another name.
        let has_name = || listed.id.is_some() || self.raw_name == listed.handle.name();
        is_read && is_complete && self.vm.id == listed.id && has_name()
    }
}

/// Adds what the domain uses of each physical CPU, as far as libvirt tells.
fn add_pcpus(handle: &Handle<'_>, stats: &mut VmStats) {
    let count = stats.vcpus.as_ref().map_or(1, Vec::len);
    match handle.ask(|domain| pcpus::vcpus(domain, count)) {
        Ok(vcpus) => stats.vcpus = Some(vcpus),
        Err(error) => log::debug!("libvirt: vCPUs: {}", one_line(error.message())),
    }
    match handle.ask(pcpus::times) {
        Ok(times) => stats.pcpus = Some(times),
        Err(error) => log::debug!("libvirt: CPU statistics: {}", one_line(error.message())),
    }
}

fn lacks_tap(card: &Nic) -> bool {
    card.backend == nic::backend::TAP && card.dev.is_none()
}

/// The XML of a domain.
fn parse(name: &str, xml: &str) -> domain_xml::Domain {
    match domain_xml::parse(xml, &|address| is_network_card(Path::new("/sys"), address)) {
        Ok(domain) => domain,
        Err(error) => {
            log::warn!("libvirt: XML of '{name}': {error}");
            domain_xml::Domain::default()
        }
    }
}
