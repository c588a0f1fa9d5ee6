//! The VMs of this host, from every source there is.
//!
//! libvirt's API names them if it answers, else its status files do. Processes
//! that libvirt does not know come on top. A VM that several sources know is
//! one VM: joined by process id, by UUID where the process id is not known, or
//! by an interface, never by name.

mod combine;
mod daemon;
mod links;
mod merged;
mod setups;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::combine::combine;
use self::combine::{is_active, unreadable};
use self::daemon::{Answer, Daemon};
pub use self::links::LinkTable;
use self::links::refine;
use self::merged::{Merged, add_usage};
#[cfg(feature = "libvirt")]
use super::libvirt::Libvirt;
use super::listing::Listing;
use super::nic::is_network_card;
use super::procfs::{Host, Process, Scanner};
use super::status;
use crate::facts::{domain::Domain, host::HostFacts};
use crate::probe::can_read_processes;
use crate::sample::{Node, Source, Vm};

/// Pause between two looks at all processes while a tap has no owner, at first.
const FIRST_SEARCH: Duration = Duration::from_secs(1);
/// The same at most: a tap without an owner may stay so for ever.
const LAST_SEARCH: Duration = Duration::from_secs(60);
/// Pause between two scans of `/proc` while libvirt tells of all VMs.
const SCAN_PAUSE: Duration = Duration::from_secs(15);

/// Where the host's files are; a test has its own.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The proc file system.
    pub proc: PathBuf,
    /// sysfs.
    pub sys: PathBuf,
    /// libvirt's status files.
    pub status: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            status: status::DIRECTORY.into(),
        }
    }
}

/// Finds the VMs, again and again.
#[derive(Debug)]
pub struct Vms {
    paths: Paths,
    scanner: Scanner,
    daemon: Daemon,
    was_connected: bool,
    /// Revision of the interfaces at the last look, and the taps among them.
    links_revision: u64,
    taps: Arc<Vec<(u32, Arc<str>)>>,
    /// Some tap had no owner.
    has_orphans: bool,
    next_search: Instant,
    search_pause: Duration,
    /// VMMs and holders of taps at the last scan.
    processes: Vec<Process>,
    next_scan: Instant,
    /// VMs whose taps may not be read.
    unreadable: usize,
    /// By libvirt's status files, where these tell of VMs.
    status_setups: Vec<Domain>,
    /// Processes of other users are hidden.
    hidden: bool,
    /// What libvirt told until then is taken up.
    seen_changes: u64,
    /// See [`Self::known_since`].
    known_since: Option<Instant>,
    /// libvirt is asked and does not answer.
    is_unanswered: bool,
    merged: Merged,
}

impl Vms {
    /// The VMs of this host and of the network namespace of this process. A
    /// libvirt that the user named must answer. Waits for libvirt's first
    /// answer, some seconds at most.
    pub fn open(connect: Option<String>) -> Result<Self, String> {
        Ok(Self {
            daemon: Daemon::open(connect)?,
            ..Self::new(Paths::default(), own_netns())
        })
    }

    /// For the network namespace of an inode number. Without one, every
    /// process counts as one of the observed namespace.
    pub fn new(paths: Paths, netns: Option<u64>) -> Self {
        Self {
            scanner: Scanner::new(&paths.proc, netns),
            paths,
            daemon: Daemon::default(),
            was_connected: false,
            links_revision: 0,
            taps: Arc::default(),
            has_orphans: true,
            next_search: Instant::now(),
            search_pause: FIRST_SEARCH,
            processes: Vec::new(),
            next_scan: Instant::now(),
            unreadable: 0,
            status_setups: Vec::new(),
            hidden: false,
            seen_changes: 0,
            known_since: None,
            is_unanswered: false,
            merged: Merged::default(),
        }
    }

    /// Asks libvirt as well.
    #[cfg(feature = "libvirt")]
    #[must_use]
    pub fn with_libvirt(mut self, libvirt: Libvirt) -> Self {
        self.daemon = Daemon::of(libvirt);
        self
    }

    /// Asks libvirt for new statistics. The future completes when they are
    /// there, or cannot be, and may be given up at any time.
    pub fn refresh_stats(&self) -> impl Future<Output = ()> + use<> {
        self.daemon.refresh_stats()
    }

    /// Completes when libvirt has told of VMs anew since the last update, or fails
    /// to; never if it is not asked.
    pub fn changed(&self) -> impl Future<Output = ()> + use<> {
        self.daemon.changed(self.seen_changes)
    }

    /// Has the next update look at processes, and asks libvirt for all VMs and their
    /// interfaces anew: [`Self::changed`] tells when it has answered.
    pub fn refresh(&mut self) {
        self.next_scan = Instant::now();
        self.daemon.refresh();
    }

    /// What the last update told was so then or later: of a tap that is younger it
    /// may have told the owner of another one of the same name.
    pub fn known_since(&self) -> Option<Instant> {
        self.known_since
    }

    /// Whether statistics are to tell what each VM uses of each physical CPU.
    pub fn want_pcpus(&self, wanted: bool) {
        self.daemon.want_pcpus(wanted);
    }

    /// The machine as libvirt last told it.
    pub fn node(&self) -> Option<Arc<Node>> {
        self.daemon.node()
    }

    /// Adds libvirt's version and that of the QEMU that it starts to what is
    /// known of the host.
    pub fn tell_versions(&self, host: &mut HostFacts) {
        self.daemon.tell_versions(host);
    }

    /// Whether libvirt answers: what it lists, or why not.
    pub fn libvirt_state(&self) -> Result<String, String> {
        self.daemon.state()
    }

    /// Whether libvirt did not answer at the last update, though it did before or has
    /// files of VMs that run.
    pub fn libvirt_is_silent(&self) -> bool {
        let is_by_file = |vm: &Vm| vm.source == Source::Status;
        self.is_unanswered && (self.was_connected || self.all().iter().any(is_by_file))
    }

    /// The VMs at the last update, running ones by id and then by name.
    pub fn all(&self) -> &[Vm] {
        &self.merged.vms
    }

    /// Takes up what is new and returns notes on what is missing. Never waits
    /// for libvirt: its listing is the last one that it gave.
    pub fn update(&mut self, links: &LinkTable) -> Vec<String> {
        let links_changed = self.links_revision != links.revision;
        self.links_revision = links.revision;
        let taps_changed = links_changed && self.taps != links.taps;
        if taps_changed {
            self.taps = Arc::clone(&links.taps);
            self.next_search = Instant::now();
            self.search_pause = FIRST_SEARCH;
            self.has_orphans = true;
        }
        let mut notes = Vec::new();
        self.seen_changes = self.daemon.changes();
        let answer = self.daemon.ask(taps_changed);
        let by_libvirt = matches!(answer, Answer::Domains { .. });
        self.is_unanswered = matches!(answer, Answer::Connecting | Answer::Failed { .. });
        let is_scan_due = self.is_scan_due(taps_changed, by_libvirt);
        self.known_since = match &answer {
            Answer::Domains { all_read, .. } => *all_read,
            // Processes are looked at below.
            _ => Some(Instant::now()),
        };
        match answer {
            Answer::Domains { domains, .. }
                if !is_scan_due && self.merged.is_of(&domains, links.revision) =>
            {
                self.merged.renew(&domains);
            }
            answer => self.merge(answer, is_scan_due, links, &mut notes),
        }
        add_usage(&self.paths.proc, &mut self.merged, &self.processes);
        if self.unreadable > 0 {
            notes.push(format!(
                "fdinfo of {} process(es) not readable: needs CAP_SYS_PTRACE",
                self.unreadable
            ));
        }
        if self.hidden && !by_libvirt {
            notes.push(
                "VMs of other users are not seen: /proc hides their processes (hidepid); \
                 needs CAP_SYS_PTRACE"
                    .into(),
            );
        }
        notes
    }

    /// Puts the VMs of all sources together.
    fn merge(
        &mut self,
        answer: Answer,
        is_scan_due: bool,
        links: &LinkTable,
        notes: &mut Vec<String>,
    ) {
        let domains = match &answer {
            Answer::Domains { domains, .. } => Arc::clone(domains),
            _ => Arc::default(),
        };
        let known = self.known(answer, notes);
        if is_scan_due {
            self.scan(&known, links, notes);
        }
        let mut vms = combine(known, &self.processes);
        self.unreadable = unreadable(&vms, &self.processes);
        let mut owned = HashSet::with_capacity(links.taps.len());
        for vm in &mut vms {
            let is_active = is_active(vm);
            let cards = Arc::make_mut(&mut vm.nics).iter_mut();
            owned.extend(cards.filter_map(|nic| refine(nic, is_active, links)));
        }
        let mut taps = links.taps.iter();
        self.has_orphans = taps.any(|(ifindex, _)| !owned.contains(ifindex));
        self.merged = Merged::new(vms, domains, links.revision);
    }

    /// The VMs by libvirt or, without it, by its status files.
    fn known(&mut self, answer: Answer, notes: &mut Vec<String>) -> Vec<Vm> {
        match answer {
            Answer::Domains { domains, .. } => {
                self.was_connected = true;
                self.status_setups = Vec::new();
                return domains.iter().map(Listing::to_vm).collect();
            }
            Answer::Nothing => {}
            Answer::Connecting => notes.push("libvirt has not answered yet".to_owned()),
            Answer::Failed { message, .. } if self.was_connected => notes.push(format!(
                "libvirt does not answer: {message}; names from /run/libvirt and /proc"
            )),
            Answer::Failed { reason, .. } => notes.push(reason),
        }
        let status = status::read(&self.paths.status, &|address| {
            is_network_card(&self.paths.sys, address)
        });
        notes.extend(status.notes);
        self.status_setups = status.setups;
        let mut vms = status.vms;
        // A file outlives its VM if no daemon removes it.
        vms.retain(|vm| match (vm.pid, &vm.uuid) {
            (Some(pid), Some(uuid)) => self.scanner.runs(pid, uuid).unwrap_or(true),
            _ => false,
        });
        vms
    }

    /// While libvirt tells of VMs and every tap has an owner, processes seldom
    /// have anything to add.
    fn is_scan_due(&self, taps_changed: bool, by_libvirt: bool) -> bool {
        let now = Instant::now();
        let is_search_due = self.has_orphans && now >= self.next_search;
        taps_changed || is_search_due || !by_libvirt || now >= self.next_scan
    }

    fn scan(&mut self, known: &[Vm], links: &LinkTable, notes: &mut Vec<String>) {
        let now = Instant::now();
        let deep = self.has_orphans && now >= self.next_search;
        let host = Host {
            macvtap: &|ifindex| Some(links.macvtaps.get(&ifindex)?.to_string()),
            is_network_card: &|address| is_network_card(&self.paths.sys, address),
        };
        // Of these libvirt has told everything.
        let known = known.iter().filter(|vm| vm.stats.is_some());
        let known: HashSet<u32> = known.filter_map(|vm| vm.pid).collect();
        let scan = self.scanner.scan(deep, &known, host);
        self.hidden = self.scanner.is_kept_from() && !can_read_processes();
        self.next_scan = Instant::now() + SCAN_PAUSE;
        if deep {
            self.next_search = Instant::now() + self.search_pause;
            self.search_pause = (self.search_pause * 2).min(LAST_SEARCH);
        }
        self.processes = scan.unwrap_or_else(|error| {
            notes.push(format!("{}: {error}", self.paths.proc.display()));
            Vec::new()
        });
    }
}

/// How many VMMs run on this host whose taps may not be read.
pub fn unreadable_processes() -> std::io::Result<usize> {
    let host = Host {
        macvtap: &|_| None,
        is_network_card: &|_| false,
    };
    let processes = Scanner::new(Paths::default().proc, None).scan(false, &HashSet::new(), host)?;
    let unreadable = processes.iter().filter(|process| process.is_unreadable);
    Ok(unreadable.count())
}

/// Inode number of the network namespace of this process.
pub fn own_netns() -> Option<u64> {
    let namespace = std::fs::metadata("/proc/self/ns/net").ok()?;
    Some(namespace.ino())
}
