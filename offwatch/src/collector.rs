//! Takes samples of this host.

mod counters;
mod evidence;
mod facts;
mod features;
mod own_nics;
mod shortfall;
mod table;

use std::{
    collections::{HashMap, btree_map::Entry},
    path::Path,
    pin::pin,
    sync::Arc,
};

use nix::unistd::{SysconfVar, sysconf};

use self::{
    evidence::Evidence,
    own_nics::own_nics,
    table::{Common, Known, Table},
};
use crate::{
    clock::{monotonic_ns, wall_clock_ms},
    error::Error,
    inventory::{
        link::{Link, LinkEvent, Links},
        node,
        vhost::VhostThreads,
        vms::{LinkTable, Vms},
    },
    memory,
    probe::{BpfLog, ExactChoice, Probe, ProbeError, ProbeOptions},
    sample::{self, ExactHooks, Hook, Host, Interface, Kind, Node, Sample, Vm},
};

/// What to observe, and how.
#[derive(Debug)]
pub struct Options {
    /// Hooks to try, in order.
    pub hooks: &'static [Hook],
    /// Whether to count packets.
    pub packets: Packets,
    /// Programs at the functions that do software work.
    pub exact: ExactChoice,
    /// libvirt to ask for names; if it is given it must answer.
    pub connect: Option<String>,
    /// Have the programs log every packet.
    pub bpf_log: bool,
}

/// Whether samples hold interfaces with counts of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// They do not: packets are counted only for VMs whose traffic libvirt does
    /// not tell, and that they cannot be is only noted.
    Unneeded,
    /// They do, or hold the reason why packets cannot be counted.
    Wanted,
    /// They do: without counting packets there is nothing to show.
    Needed,
}

/// Follows the interfaces of this network namespace and reads their counters.
pub struct Collector {
    /// None if packets cannot be counted, and need not be.
    probe: Option<Probe>,
    /// Why they are not counted.
    uncounted: Arc<str>,
    log: Option<BpfLog>,
    links: Links,
    table: Table,
    common: Common,
    has_sampled: bool,
    evidence: Evidence,
    /// The same as the inventory of VMs wants it; none if it has changed.
    link_table: Option<LinkTable>,
    holds_interfaces: bool,
    vms: Vms,
    vhost: VhostThreads,
    host: Host,
    /// The machine as the kernel tells it.
    own_node: Arc<Node>,
    /// How often an interface appeared, changed or disappeared.
    changes: u64,
    /// Interfaces that the kernel has and netlink did not list.
    unlisted: usize,
}

impl Collector {
    /// Begins to count. Must run on a tokio runtime.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let netns = observed_netns()?;
        // Subscribed before the first listing, so no interface is missed.
        let links = Links::open()?;
        let (mut probe, uncounted) = match start_probe(options, netns) {
            Ok(probe) => (Some(probe), Arc::default()),
            Err(error) if options.packets == Packets::Needed => return Err(error.into()),
            Err(error) => (None, error.to_string().into()),
        };
        let log = match &mut probe {
            Some(probe) if options.bpf_log => Some(probe.take_log()?),
            _ => None,
        };
        let vms = Vms::open(options.connect.clone()).map_err(Error::Libvirt)?;
        let host = Host {
            name: system_text("hostname"),
            kernel: system_text("osrelease"),
            online_cpus: online_cpus(),
            netns,
            hook: probe.as_ref().map(Probe::hook).unwrap_or_default(),
            reads: probe.as_ref().map(Probe::reads).unwrap_or_default(),
            ..Host::default()
        };
        let mut collector = Self {
            probe,
            uncounted,
            log,
            links,
            table: Table::new(),
            common: Common::default(),
            has_sampled: false,
            evidence: Evidence::open(host.online_cpus),
            link_table: None,
            holds_interfaces: options.packets != Packets::Unneeded,
            vms,
            vhost: VhostThreads::new("/proc"),
            host,
            own_node: Arc::new(node::read(Path::new("/proc"), Path::new("/sys"))),
            changes: 0,
            unlisted: 0,
        };
        collector.list_again()?;
        Ok(collector)
    }

    /// Follows changes of the interfaces until `until` completes; what has happened
    /// by then is seen.
    pub async fn follow_until<T>(&mut self, until: impl Future<Output = T>) -> Result<T, Error> {
        let mut until = pin!(until);
        let done = loop {
            tokio::select! {
                biased;
                event = self.links.next() => self.take(event)?,
                () = self.evidence.follow(&mut self.table) => {}
                done = &mut until => break done,
            }
        };
        // The runtime may not have looked at the sockets since.
        while let Some(event) = self.links.waiting() {
            self.take(event)?;
        }
        self.evidence.catch_up(&mut self.table);
        Ok(done)
    }

    fn take(&mut self, event: LinkEvent) -> Result<(), Error> {
        match event {
            LinkEvent::Changed(link) => self.changed(*link),
            LinkEvent::Gone(ifindex) => self.gone(ifindex),
            // What is still queued is older than what was lost: a new
            // subscription first, then the listing.
            LinkEvent::Lost => {
                self.links = Links::open()?;
                self.list_again()?;
            }
        }
        Ok(())
    }

    /// Asks libvirt for new statistics. The future completes when they are
    /// there, or cannot be.
    pub fn refresh_stats(&self) -> impl Future<Output = ()> + use<> {
        self.vms.refresh_stats()
    }

    /// Whether samples are to tell what each VM uses of each physical CPU,
    /// which costs libvirt some calls for each.
    pub fn want_pcpus(&self, wanted: bool) {
        self.vms.want_pcpus(wanted);
    }

    /// Reads everything.
    pub fn sample(&mut self) -> Sample {
        let sample = self.read_all();
        if !self.has_sampled {
            self.has_sampled = true;
            // Of what the start and the first reading of everything took, most
            // is free now.
            memory::give_back();
        }
        sample
    }

    fn read_all(&mut self) -> Sample {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        let mut notes = self.update_vms();
        let mut vms = match self.holds_interfaces {
            true => self.vms.all().to_vec(),
            false => self.vms.all().iter().map(without_nics).collect(),
        };
        let vhost = self.vhost.cpu_ns(vms.iter().filter_map(|vm| vm.pid));
        for vm in &mut vms {
            vm.vhost_cpu_ns = vm.pid.and_then(|pid| vhost.get(&pid).copied());
        }
        self.count_nics(&mut vms, &mut notes);
        if self.unlisted != 0 {
            notes.push(format!(
                "{} interfaces are not shown: their names are not UTF-8",
                self.unlisted
            ));
        }
        let interfaces = if self.holds_interfaces {
            self.interfaces()
        } else {
            Vec::new()
        };
        notes.extend(Evidence::note(&self.table));
        notes.extend(self.probe.as_ref().and_then(Probe::exact_note));
        Sample {
            time_unix_ms: wall_clock_ms(),
            monotonic_ns: monotonic_ns(),
            host: Host {
                unattributed: self.probe.as_ref().map(Probe::unattributed),
                node: Some(
                    self.vms
                        .node()
                        .unwrap_or_else(|| Arc::clone(&self.own_node)),
                ),
                exact: self.exact_hooks(),
                libvirt_is_silent: self.vms.libvirt_is_silent(),
                notes,
                feature_names: self.evidence.feature_names().clone(),
                // As little looked at as interfaces, where those are not wanted.
                evidence: match self.holds_interfaces {
                    true => self.evidence.host(),
                    false => sample::evidence::Evidence::default(),
                },
                ..self.host.clone()
            },
            interfaces,
            vms,
            facts: None,
        }
    }

    /// Takes up what is new of the VMs; returns notes on what is missing.
    fn update_vms(&mut self) -> Vec<String> {
        let table = &self.table;
        let link_table = self.link_table.get_or_insert_with(|| {
            let links = table.values();
            LinkTable::new(links.map(|link| (Arc::clone(&link.dev), link.ifindex, &link.kind)))
        });
        self.vms.update(link_table)
    }

    fn interfaces(&mut self) -> Vec<Arc<Interface>> {
        let probe = self.probe.as_ref();
        for known in self.table.values_mut() {
            known.count(probe, &self.uncounted);
        }
        // After the counters, which it holds against the kernel's.
        self.evidence.refresh(&mut self.table, probe);
        let interfaces = self.table.values_mut();
        interfaces
            .map(|known| known.show(&mut self.common))
            .collect()
    }

    /// Adds offwatch's own counts for VMs whose traffic libvirt does not tell.
    fn count_nics(&self, vms: &mut [Vm], notes: &mut Vec<String>) {
        let mut is_lacking = false;
        for (vm, known) in vms.iter_mut().zip(self.vms.all()) {
            let Some(stats) = &mut vm.stats else { continue };
            if stats.nics.is_some() {
                continue;
            }
            match (&self.probe, &self.link_table) {
                (Some(probe), Some(links)) => {
                    let read = |dev: &str| probe.slot(links.ifindex(dev)?);
                    Arc::make_mut(stats).nics = own_nics(&known.nics, read);
                }
                _ => is_lacking = true,
            }
        }
        if is_lacking {
            notes.push(format!("packets are not counted: {}", self.uncounted));
        }
    }

    fn list_again(&mut self) -> Result<(), Error> {
        let links = self.links.list()?;
        let listed: HashMap<u32, &Link> = links.iter().map(|link| (link.ifindex, link)).collect();
        // Unseen, an interface may have been replaced by one with its ifindex.
        let stale: Vec<u32> = self
            .table
            .values()
            .filter(|known| {
                listed
                    .get(&known.ifindex)
                    .is_none_or(|link| (&link.kind, &link.mac) != (&known.kind, &known.mac))
            })
            .map(|known| known.ifindex)
            .collect();
        self.unlisted = system_interfaces().saturating_sub(links.len());
        stale.into_iter().for_each(|ifindex| self.gone(ifindex));
        links.into_iter().for_each(|link| self.changed(link));
        Ok(())
    }

    fn changed(&mut self, link: Link) {
        self.changes += 1;
        self.link_table = None;
        if let Some(probe) = &mut self.probe
            && unobserved(&link.kind).is_none()
        {
            probe.observe(link.ifindex);
        }
        let known = match self.table.entry(link.ifindex) {
            Entry::Vacant(entry) => entry.insert(Known::new(link, self.evidence.unread_counters())),
            Entry::Occupied(entry) => {
                let known = entry.into_mut();
                known.changed(link);
                known
            }
        };
        self.evidence.changed(known);
    }

    fn gone(&mut self, ifindex: u32) {
        self.evidence.gone(ifindex);
        self.changes += 1;
        self.link_table = None;
        self.table.remove(&ifindex);
        let Some(probe) = &mut self.probe else { return };
        probe.forget(ifindex);
        if probe.has_refused() {
            // Its slot is free for one that had to wait.
            let observable = self.table.values();
            let observable = observable.filter(|known| unobserved(&known.kind).is_none());
            observable.for_each(|link| probe.observe(link.ifindex));
        }
    }

    fn exact_hooks(&self) -> ExactHooks {
        match &self.probe {
            Some(probe) => probe.exact_hooks(),
            None => ExactHooks::unavailable(&self.uncounted),
        }
    }
}

/// A VM without its cards, where nobody looks at them.
fn without_nics(vm: &Vm) -> Vm {
    Vm {
        name: vm.name.clone(),
        uuid: vm.uuid.clone(),
        id: vm.id,
        pid: vm.pid,
        state: vm.state,
        source: vm.source,
        nics: Arc::default(),
        stats: vm.stats.clone(),
        ..Vm::default()
    }
}

/// Why an interface is not counted, if it is not.
fn unobserved(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Loopback => Some("the loopback device carries no VM's traffic"),
        Kind::Other(kind) if kind == "macvtap" || kind == "ipvtap" => {
            Some("not observable here: its frames pass the host under the device below it")
        }
        _ => None,
    }
}

fn start_probe(options: &Options, netns: u64) -> Result<Probe, ProbeError> {
    let mut refused = Vec::new();
    let how = ProbeOptions {
        netns,
        log: options.bpf_log,
        exact: options.exact,
        interfaces: system_interfaces(),
    };
    for hook in options.hooks {
        match Probe::start_with(*hook, how) {
            Ok(probe) => return Ok(probe),
            Err(error) => refused.push(error),
        }
    }
    Err(ProbeError::of_all(refused))
}

/// Inode number of this thread's network namespace.
pub fn observed_netns() -> Result<u64, Error> {
    use std::os::unix::fs::MetadataExt as _;
    let path = std::path::Path::new("/proc/thread-self/ns/net");
    let metadata = std::fs::metadata(path);
    metadata
        .map(|namespace| namespace.ino())
        .map_err(Error::file("cannot read", path))
}

/// One of the texts in `/proc/sys/kernel`, empty if it cannot be read.
pub fn system_text(name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}"));
    text.unwrap_or_default().trim().to_owned()
}

/// How many interfaces this network namespace has.
fn system_interfaces() -> usize {
    const HEADINGS: usize = 2;
    // Not as text: a name need not be UTF-8.
    let table = std::fs::read("/proc/thread-self/net/dev").unwrap_or_default();
    let lines = table.iter().filter(|byte| **byte == b'\n').count();
    lines.saturating_sub(HEADINGS)
}

fn online_cpus() -> u32 {
    let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    online
        .and_then(|cpus| u32::try_from(cpus).ok())
        .unwrap_or(1)
}
