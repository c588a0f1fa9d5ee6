//! The VMs of this host, from every source there is.
//!
//! libvirt's API names them if it answers, else its status files do. Processes
//! that libvirt does not know come on top. A VM that several sources know is
//! one VM: joined by process id, by UUID where the process id is not known, or
//! by an interface, never by name.

mod combine;
mod links;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::combine::combine;
use self::combine::{devs, is_active, order, unreadable};
pub use self::links::LinkTable;
use self::links::refine;
#[cfg(feature = "libvirt")]
use super::libvirt::{Libvirt, State};
use super::nic::is_network_card;
use super::procfs::{Host, Process, Scanner, usage};
use super::status;
use crate::sample::{Node, Vm};

/// How long the first answer of a libvirt that the user named may take.
#[cfg(feature = "libvirt")]
const NAMED_PATIENCE: Duration = Duration::from_secs(10);
/// The same where the user named none: the VMs of `/proc` do until it answers.
#[cfg(feature = "libvirt")]
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause between two looks at all processes while a tap has no owner, at first.
const FIRST_SEARCH: Duration = Duration::from_secs(1);
/// The same at most: a tap without an owner may stay so for ever.
const LAST_SEARCH: Duration = Duration::from_secs(60);

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
    #[cfg(feature = "libvirt")]
    libvirt: Option<Libvirt>,
    was_connected: bool,
    /// Taps at the last look.
    taps: BTreeSet<(u32, String)>,
    /// Some tap had no owner.
    has_orphans: bool,
    next_search: Instant,
    search_pause: Duration,
}

/// What libvirt says at this moment.
#[cfg_attr(
    not(feature = "libvirt"),
    allow(dead_code, reason = "nobody answers then")
)]
enum Answer {
    /// It is not to be asked.
    Nothing,
    /// Its listing.
    Vms(Vec<Vm>),
    /// Not yet.
    Connecting,
    /// There is none.
    Failed {
        /// Why, and what to do.
        reason: String,
        /// libvirt's words alone.
        message: String,
    },
}

impl Vms {
    /// The VMs of this host and of the network namespace of this process. A
    /// libvirt that the user named must answer. Waits for libvirt's first
    /// answer, some seconds at most.
    #[cfg(feature = "libvirt")]
    pub fn open(connect: Option<String>) -> Result<Self, String> {
        let must_answer = connect.is_some();
        let libvirt = Libvirt::spawn(connect);
        let first = libvirt.wait_first(if must_answer {
            NAMED_PATIENCE
        } else {
            PATIENCE
        });
        match first.state {
            State::Failed(failure) if must_answer => Err(failure.to_string()),
            _ => Ok(Self::new(Paths::default(), own_netns()).with_libvirt(libvirt)),
        }
    }

    /// The VMs of this host and of the network namespace of this process.
    #[cfg(not(feature = "libvirt"))]
    pub fn open(connect: Option<String>) -> Result<Self, String> {
        match connect {
            Some(uri) => Err(format!("cannot connect to '{uri}': built without libvirt")),
            None => Ok(Self::new(Paths::default(), own_netns())),
        }
    }

    /// For the network namespace of an inode number. Without one, every
    /// process counts as one of the observed namespace.
    pub fn new(paths: Paths, netns: Option<u64>) -> Self {
        Self {
            scanner: Scanner::new(&paths.proc, netns),
            paths,
            #[cfg(feature = "libvirt")]
            libvirt: None,
            was_connected: false,
            taps: BTreeSet::new(),
            has_orphans: true,
            next_search: Instant::now(),
            search_pause: FIRST_SEARCH,
        }
    }

    /// Asks libvirt as well.
    #[cfg(feature = "libvirt")]
    #[must_use]
    pub fn with_libvirt(mut self, libvirt: Libvirt) -> Self {
        self.libvirt = Some(libvirt);
        self
    }

    /// Asks libvirt for new statistics. The future completes when they are
    /// there, or cannot be, and may be given up at any time.
    #[cfg(feature = "libvirt")]
    pub fn refresh_stats(&self) -> impl Future<Output = ()> + use<> {
        let answer = self.libvirt.as_ref().map(Libvirt::refresh_stats);
        async move {
            if let Some(answer) = answer {
                answer.await;
            }
        }
    }

    /// Nobody is asked.
    #[cfg(not(feature = "libvirt"))]
    pub fn refresh_stats(&self) -> impl Future<Output = ()> + use<> {
        std::future::ready(())
    }

    /// Whether statistics are to tell what each VM uses of each physical CPU.
    #[cfg_attr(
        not(feature = "libvirt"),
        allow(clippy::unused_self, reason = "nobody is asked then")
    )]
    pub fn want_pcpus(&self, wanted: bool) {
        #[cfg(feature = "libvirt")]
        if let Some(libvirt) = &self.libvirt {
            libvirt.want_pcpus(wanted);
        }
        #[cfg(not(feature = "libvirt"))]
        let _ = wanted;
    }

    /// The machine as libvirt last told it.
    #[cfg(feature = "libvirt")]
    pub fn node(&self) -> Option<Arc<Node>> {
        self.libvirt.as_ref()?.latest().node
    }

    /// The machine as libvirt last told it.
    #[cfg(not(feature = "libvirt"))]
    pub fn node(&self) -> Option<Arc<Node>> {
        None
    }

    /// The VMs at this moment, running ones by id and then by name, and notes
    /// on what is missing. Never waits for libvirt: the listing is the last
    /// one that it gave.
    pub fn list(&mut self, links: &LinkTable) -> (Vec<Vm>, Vec<String>) {
        let taps_changed = self.taps != links.taps;
        if taps_changed {
            self.taps.clone_from(&links.taps);
            self.next_search = Instant::now();
            self.search_pause = FIRST_SEARCH;
            self.has_orphans = true;
        }
        let mut notes = Vec::new();
        let answer = self.ask_libvirt(taps_changed);
        let known = self.known(answer, &mut notes);
        let processes = self.processes(links, &mut notes);
        let mut vms = combine(known, &processes);
        let unreadable = unreadable(&vms, &processes);
        if unreadable > 0 {
            notes.push(format!(
                "fdinfo of {unreadable} processes not readable: needs CAP_SYS_PTRACE"
            ));
        }
        for vm in &mut vms {
            let is_active = is_active(vm);
            for nic in &mut vm.nics {
                refine(nic, is_active, links);
            }
        }
        self.add_usage(&mut vms, &processes);
        let owned: HashSet<&str> = vms.iter().flat_map(devs).collect();
        self.has_orphans = links
            .taps
            .iter()
            .any(|(_, dev)| !owned.contains(dev.as_str()));
        vms.sort_by(|a, b| order(a).cmp(&order(b)));
        (vms, notes)
    }

    /// Whether libvirt answers: what it lists, or why not.
    #[cfg(feature = "libvirt")]
    pub fn libvirt_state(&self) -> Result<String, String> {
        let Some(libvirt) = &self.libvirt else {
            return Err("libvirt is not asked".to_owned());
        };
        let snapshot = libvirt.latest();
        match snapshot.state {
            State::Connected => {
                let running = snapshot.vms.iter().filter(|vm| is_active(vm)).count();
                let all = snapshot.vms.len();
                let uri = libvirt.uri();
                Ok(format!("{uri}: {all} domains, {running} of them active"))
            }
            State::Connecting => {
                Err("libvirt does not answer; restart libvirtd or virtqemud".to_owned())
            }
            State::Failed(failure) => Err(failure.to_string()),
        }
    }

    /// Whether libvirt answers.
    #[cfg(not(feature = "libvirt"))]
    pub fn libvirt_state(&self) -> Result<String, String> {
        Err("built without libvirt".to_owned())
    }

    #[cfg(feature = "libvirt")]
    fn ask_libvirt(&self, taps_changed: bool) -> Answer {
        let Some(libvirt) = &self.libvirt else {
            return Answer::Nothing;
        };
        if taps_changed {
            libvirt.refresh_xml();
        }
        let snapshot = libvirt.latest();
        match snapshot.state {
            State::Connected => Answer::Vms(snapshot.vms.to_vec()),
            State::Connecting => Answer::Connecting,
            State::Failed(failure) => Answer::Failed {
                reason: failure.to_string(),
                message: failure.message().to_owned(),
            },
        }
    }

    #[cfg(not(feature = "libvirt"))]
    fn ask_libvirt(&self, _taps_changed: bool) -> Answer {
        Answer::Nothing
    }

    /// The VMs by libvirt or, without it, by its status files.
    fn known(&mut self, answer: Answer, notes: &mut Vec<String>) -> Vec<Vm> {
        match answer {
            Answer::Vms(vms) => {
                self.was_connected = true;
                return vms;
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
        let mut vms = status.vms;
        // A file outlives its VM if no daemon removes it.
        vms.retain(|vm| match (vm.pid, &vm.uuid) {
            (Some(pid), Some(uuid)) => self.scanner.runs(pid, uuid).unwrap_or(true),
            _ => false,
        });
        vms
    }

    /// Adds what processes used, for VMs of which libvirt tells nothing.
    fn add_usage(&self, vms: &mut [Vm], processes: &[Process]) {
        let memory: HashMap<u32, Option<u64>> = processes
            .iter()
            .map(|process| (process.pid, process.memory_kib))
            .collect();
        for vm in vms.iter_mut().filter(|vm| vm.stats.is_none()) {
            let Some(pid) = vm.pid else { continue };
            let memory_kib = memory.get(&pid).copied().flatten();
            vm.stats = usage::read(&self.paths.proc, pid, memory_kib).map(Arc::new);
        }
    }

    fn processes(&mut self, links: &LinkTable, notes: &mut Vec<String>) -> Vec<Process> {
        let now = Instant::now();
        let deep = self.has_orphans && now >= self.next_search;
        let host = Host {
            macvtap: &|ifindex| links.macvtaps.get(&ifindex).cloned(),
            is_network_card: &|address| is_network_card(&self.paths.sys, address),
        };
        let scan = self.scanner.scan(deep, host);
        if deep {
            self.next_search = Instant::now() + self.search_pause;
            self.search_pause = (self.search_pause * 2).min(LAST_SEARCH);
        }
        scan.unwrap_or_else(|error| {
            notes.push(format!("{}: {error}", self.paths.proc.display()));
            Vec::new()
        })
    }
}

/// How many VMMs run on this host whose taps may not be read.
pub fn unreadable_processes() -> std::io::Result<usize> {
    let host = Host {
        macvtap: &|_| None,
        is_network_card: &|_| false,
    };
    let processes = Scanner::new(Paths::default().proc, None).scan(false, host)?;
    let unreadable = processes.iter().filter(|process| process.is_unreadable);
    Ok(unreadable.count())
}

/// Inode number of the network namespace of this process.
fn own_netns() -> Option<u64> {
    let namespace = std::fs::metadata("/proc/self/ns/net").ok()?;
    Some(namespace.ino())
}
