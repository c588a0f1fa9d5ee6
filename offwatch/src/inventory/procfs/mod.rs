//! VMs by their processes: who holds which tap, from `/proc` alone.
//!
//! A process that holds a tap has `/dev/net/tun` open, and
//! `/proc/PID/fdinfo/N` then names the interface (`iff:`). The name alone does
//! not tell the network namespace of the tap. It is taken for one of the
//! observed namespace only if the process itself lives there: QEMU started by
//! libvirt does, and a pod's QEMU with a `tap0` of its own does not. A VMM
//! that was moved to another namespace after it got its tap is therefore
//! listed without an interface rather than with the wrong one.
//!
//! Reading the descriptors of another user's process needs CAP_SYS_PTRACE;
//! names and UUIDs on command lines need nothing.

mod nics;
mod program;
mod taps;
#[cfg(test)]
mod tests;
pub mod usage;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::nics::nics;
use self::program::{Program, program};
use self::taps::{Taps, read_taps};
use super::nic::{backend, nic, printable};
use super::qemu_args::{self, QemuArgs};
use super::qemu_card;
use crate::facts::domain::Domain;
use crate::sample::Nic;

/// A process is looked at in every scan until it is this old: it may be
/// between fork and exec.
const SETTLED: Duration = Duration::from_secs(10);

/// No command line is longer than this.
const LONGEST_CMDLINE: u64 = 1 << 20;

/// A process that runs a VM or holds a tap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name of the VM, or else `PROGRAM-PID`.
    pub name: String,
    /// UUID of the VM, in lower case.
    pub uuid: Option<String>,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// Memory that its command line gives the guest, KiB.
    pub memory_kib: Option<u64>,
    /// It is a VMM by its program, not only the holder of a tap.
    pub is_vmm: bool,
    /// How its command line sets it up, if that is one of QEMU.
    pub setup: Option<Box<Domain>>,
    /// Its descriptors could not be read, so its taps are not known.
    pub is_unreadable: bool,
}

impl Process {
    /// Interfaces of the observed namespace that it holds.
    pub fn devs(&self) -> impl Iterator<Item = &str> {
        self.nics.iter().filter_map(|nic| nic.dev.as_deref())
    }
}

/// What a scan needs to know about the host beyond `/proc`.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// Name of the macvtap of an ifindex: its descriptor tells only that.
    pub macvtap: &'a dyn Fn(u32) -> Option<String>,
    /// Whether the PCI device at an address is a network card.
    pub is_network_card: &'a dyn Fn(&str) -> bool,
}

/// Scans `/proc`, and remembers which processes are of no interest.
#[derive(Debug)]
pub struct Scanner {
    root: PathBuf,
    netns: Option<u64>,
    /// Processes that are no VMM.
    others: HashMap<u32, Other>,
}

/// A process that is no VMM.
#[derive(Clone, Copy, Debug)]
struct Other {
    first_seen: Instant,
    holds_tap: bool,
}

impl Scanner {
    /// A scanner of a proc file system (`/proc`) for the network namespace of
    /// an inode number. Without a number every namespace is the right one.
    pub fn new(root: impl Into<PathBuf>, netns: Option<u64>) -> Self {
        Self {
            root: root.into(),
            netns,
            others: HashMap::new(),
        }
    }

    /// Lists the VMMs and, if `deep`, looks for taps in all other processes
    /// too, which takes some 0.1 s for 1,000 processes. Holders found once are
    /// followed by later scans. Processes that are `known` already are left out.
    /// In the order of process ids.
    pub fn scan(
        &mut self,
        deep: bool,
        known: &HashSet<u32>,
        host: Host<'_>,
    ) -> io::Result<Vec<Process>> {
        let now = Instant::now();
        let mut pids: Vec<u32> = fs::read_dir(&self.root)?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| !known.contains(pid))
            .collect();
        pids.sort_unstable();
        let mut others = HashMap::with_capacity(self.others.len());
        let mut processes = Vec::new();
        for pid in pids {
            let seen = self.others.get(&pid).copied();
            if let Some(other) = seen
                && !deep
                && !other.holds_tap
                && now.duration_since(other.first_seen) > SETTLED
            {
                others.insert(pid, other);
                continue;
            }
            let directory = self.root.join(pid.to_string());
            let (program, name) = program(&directory);
            let process = match program {
                Program::Qemu | Program::OtherVmm => self.vmm(pid, program, &name, host),
                Program::Unknown if deep || seen.is_some_and(|other| other.holds_tap) => {
                    self.holder(pid, &name, host)
                }
                Program::Unknown | Program::PassesTapsOn => None,
            };
            if matches!(program, Program::Unknown | Program::PassesTapsOn) {
                let other = Other {
                    first_seen: seen.map_or(now, |other| other.first_seen),
                    holds_tap: process.is_some(),
                };
                others.insert(pid, other);
            }
            processes.extend(process);
        }
        self.others = others;
        Ok(processes)
    }

    /// Whether `/proc` keeps processes of other users from this one, as its
    /// option `hidepid` does: then no VM of theirs is found. The first process,
    /// which is always there, can be read by everyone else.
    pub fn is_kept_from(&self) -> bool {
        match read_cmdline(&self.root.join("1")) {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.root.join("self").exists()
            }
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        }
    }

    /// Whether a process still runs the VM of a UUID; none if that cannot be told.
    pub fn runs(&self, pid: u32, uuid: &str) -> Option<bool> {
        match read_cmdline(&self.root.join(pid.to_string())) {
            Ok(cmdline) => {
                let argv = qemu_args::split(&cmdline);
                Some(argv.iter().any(|arg| arg.eq_ignore_ascii_case(uuid)))
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(_) => Some(false),
        }
    }

    /// Reads a VMM; none if it is a zombie or was started without a VM.
    fn vmm(&self, pid: u32, program: Program, name: &str, host: Host<'_>) -> Option<Process> {
        let directory = self.root.join(pid.to_string());
        // Empty for zombies and for threads of the kernel.
        let argv = qemu_args::split(&read_cmdline(&directory).ok()?);
        if argv.is_empty() {
            return None;
        }
        let args = match program {
            Program::Qemu => qemu_args::parse(&argv),
            _ => QemuArgs::default(),
        };
        if args.is_probe {
            return None;
        }
        // `comm` is cut after 15 bytes, the command line is not.
        let argv0 = argv.first().map(String::as_str).unwrap_or_default();
        let argv0 = argv0.rsplit('/').next().unwrap_or(argv0);
        let name = match argv0.starts_with(name) {
            true => printable(argv0),
            false => name.to_owned(),
        };
        let taps = read_taps(&directory, true);
        let is_here = self.is_here(&directory);
        let mut nics = nics(&args, &taps, is_here, host);
        let cards = args
            .pci
            .iter()
            .filter(|address| (host.is_network_card)(address));
        nics.extend(cards.map(|_| nic(backend::VFIO, None, None)));
        let name = args.name.clone().unwrap_or_else(|| match program {
            Program::Qemu => format!("qemu-{pid}"),
            _ => format!("{name}-{pid}"),
        });
        let is_qemu = program == Program::Qemu;
        Some(Process {
            pid,
            setup: is_qemu.then(|| Box::new(qemu_card::domain(&name, &args))),
            name,
            uuid: args.uuid,
            nics,
            memory_kib: args.memory_kib,
            is_vmm: true,
            is_unreadable: matches!(taps, Taps::Unreadable),
        })
    }

    /// Reads any other process; none unless it holds a tap of the observed namespace.
    fn holder(&self, pid: u32, name: &str, host: Host<'_>) -> Option<Process> {
        let directory = self.root.join(pid.to_string());
        let taps = read_taps(&directory, false);
        if matches!(&taps, Taps::Known(taps) if taps.is_empty()) || !self.is_here(&directory) {
            return None;
        }
        let nics = nics(&QemuArgs::default(), &taps, true, host);
        let process = Process {
            pid,
            name: format!("{name}-{pid}"),
            nics,
            ..Process::default()
        };
        (!process.nics.is_empty()).then_some(process)
    }

    /// Whether a process lives in the observed network namespace, as far as
    /// can be told.
    fn is_here(&self, directory: &Path) -> bool {
        let Some(observed) = self.netns else {
            return true;
        };
        let link = fs::read_link(directory.join("ns/net")).unwrap_or_default();
        let inode = link
            .to_str()
            .and_then(|link| link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok());
        inode == Some(observed)
    }
}

fn read_cmdline(directory: &Path) -> io::Result<Vec<u8>> {
    let mut cmdline = Vec::new();
    let file = fs::File::open(directory.join("cmdline"))?;
    file.take(LONGEST_CMDLINE).read_to_end(&mut cmdline)?;
    Ok(cmdline)
}
