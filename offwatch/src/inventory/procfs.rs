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

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::nic::{backend, nic, printable};
use super::qemu_args::{self, QemuArgs};
use crate::sample::Nic;

/// A process is looked at in every scan until it is this old: it may be
/// between fork and exec.
const SETTLED: Duration = Duration::from_secs(10);

/// No command line is longer than this.
const LONGEST_CMDLINE: u64 = 1 << 20;

/// Programs that hold the tap of a VM only until they hand it over.
const PASS_TAPS_ON: [&str; 4] = ["libvirtd", "virtqemud", "virtlxcd", "qemu-bridge-helper"];

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
    /// It is a VMM by its program, not only the holder of a tap.
    pub is_vmm: bool,
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

/// What a process is by its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Qemu,
    OtherVmm,
    PassesTapsOn,
    Unknown,
}

/// An interface behind a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tap {
    Name(String),
    Macvtap(u32),
}

/// The taps of a process, by descriptor.
enum Taps {
    Known(BTreeMap<u32, Tap>),
    Unreadable,
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
    /// followed by later scans. In the order of process ids.
    pub fn scan(&mut self, deep: bool, host: Host<'_>) -> io::Result<Vec<Process>> {
        let now = Instant::now();
        let mut pids: Vec<u32> = fs::read_dir(&self.root)?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
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
        Some(Process {
            pid,
            name: args.name.unwrap_or_else(|| match program {
                Program::Qemu => format!("qemu-{pid}"),
                _ => format!("{name}-{pid}"),
            }),
            uuid: args.uuid,
            nics,
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

/// Joins the command line's back ends with the taps that are open.
fn nics(args: &QemuArgs, taps: &Taps, is_here: bool, host: Host<'_>) -> Vec<Nic> {
    let (taps, is_unreadable) = match taps {
        Taps::Known(taps) => (taps.clone(), false),
        Taps::Unreadable => (BTreeMap::new(), true),
    };
    let mut unclaimed: BTreeSet<Tap> = taps.values().cloned().collect();
    let mut nics = Vec::new();
    let mut unresolved = Vec::new();
    for net in &args.nets {
        if net.backend != backend::TAP {
            nics.push(nic(&net.backend, None, net.mac.clone()));
            continue;
        }
        let by_fd = net.fds.iter().find_map(|fd| taps.get(fd)).cloned();
        let by_name = net.ifname.clone().map(Tap::Name);
        match by_fd.or(by_name) {
            Some(tap) => {
                unclaimed.remove(&tap);
                nics.push(tap_nic(&tap, net.mac.clone(), is_here, host));
            }
            None => unresolved.push((nics.len(), net)),
        }
    }
    // A tap that QEMU opened itself, or a helper did, has no descriptor on the
    // command line. One of each belong together; with more, the MAC addresses
    // could be swapped, so the taps are listed without.
    if let ([(position, net)], 1) = (unresolved.as_slice(), unclaimed.len())
        && let Some(tap) = unclaimed.pop_first()
    {
        nics.insert(*position, tap_nic(&tap, net.mac.clone(), is_here, host));
        unresolved.clear();
    }
    for (_, net) in unresolved.iter().skip(unclaimed.len()) {
        let mut nic = nic(backend::TAP, None, net.mac.clone());
        nic.unobservable = Some(if is_unreadable {
            "tap: reading its interface needs CAP_SYS_PTRACE".to_owned()
        } else {
            "tap: the process holds no interface for it".to_owned()
        });
        nics.push(nic);
    }
    // Hot-plugged ones, and all of a VMM whose command line is not read.
    nics.extend(
        unclaimed
            .iter()
            .map(|tap| tap_nic(tap, None, is_here, host)),
    );
    nics
}

/// The card in front of a tap.
fn tap_nic(tap: &Tap, mac: Option<String>, is_here: bool, host: Host<'_>) -> Nic {
    match tap {
        Tap::Name(dev) if is_here => nic(backend::TAP, Some(dev.clone()), mac),
        Tap::Name(dev) => {
            let mut nic = nic(backend::TAP, None, mac);
            nic.unobservable = Some(format!(
                "tap: {dev} is held by a process of another network namespace"
            ));
            nic
        }
        Tap::Macvtap(ifindex) => {
            let dev = (host.macvtap)(*ifindex).filter(|_| is_here);
            nic(backend::MACVTAP, dev, mac)
        }
    }
}

/// What a process is, and the name of its program.
fn program(directory: &Path) -> (Program, String) {
    let comm = fs::read(directory.join("comm")).unwrap_or_default();
    let name = printable(String::from_utf8_lossy(&comm).trim_end());
    let by_comm = by_name(&name);
    if by_comm != Program::Unknown {
        return (by_comm, name);
    }
    // `-name process=` and some wrappers change the name of the thread. The
    // link can be read with the same privilege as the descriptors.
    let exe = fs::read_link(directory.join("exe")).unwrap_or_default();
    let exe = exe.file_name().unwrap_or_default().to_string_lossy();
    (
        by_name(exe.strip_suffix(" (deleted)").unwrap_or(&exe)),
        name,
    )
}

fn by_name(name: &str) -> Program {
    // Names in `comm` are cut after 15 bytes; wrappers add a dot in front.
    let name = name.strip_prefix('.').unwrap_or(name);
    let is = |program: &str| name == program || (name.len() == 15 && program.starts_with(name));
    if name.starts_with("qemu-system-")
        || name.starts_with("qemu-kvm")
        || matches!(name, "qemu" | "kvm")
    {
        Program::Qemu
    } else if ["cloud-hypervisor", "firecracker", "crosvm", "lkvm"]
        .into_iter()
        .any(is)
    {
        Program::OtherVmm
    } else if PASS_TAPS_ON.into_iter().any(is) {
        Program::PassesTapsOn
    } else {
        Program::Unknown
    }
}

/// Reads the taps of a process. Where the descriptors may not be listed but
/// their details may (CAP_SYS_PTRACE without CAP_DAC_READ_SEARCH), the details
/// of all are read if `thorough`.
fn read_taps(directory: &Path, thorough: bool) -> Taps {
    let mut taps = BTreeMap::new();
    let mut is_refused = false;
    match fs::read_dir(directory.join("fd")) {
        Ok(entries) => {
            for entry in entries.flatten() {
                match fs::read_link(entry.path()) {
                    Ok(target) => {
                        let fd = number(&entry.file_name());
                        let tap = fd.and_then(|fd| tap_of(directory, fd, &target));
                        taps.extend(fd.zip(tap));
                    }
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        is_refused = true;
                        break;
                    }
                    // Closed in between.
                    Err(_) => {}
                }
            }
        }
        Err(error) => is_refused = error.kind() == io::ErrorKind::PermissionDenied,
    }
    if !is_refused {
        return Taps::Known(taps);
    }
    if !thorough {
        return Taps::Unreadable;
    }
    let Ok(entries) = fs::read_dir(directory.join("fdinfo")) else {
        return Taps::Unreadable;
    };
    for entry in entries.flatten() {
        match fs::read(entry.path()) {
            Ok(text) => {
                let tap = interface_of(&text).map(Tap::Name);
                taps.extend(number(&entry.file_name()).zip(tap));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Taps::Unreadable;
            }
            Err(_) => {}
        }
    }
    Taps::Known(taps)
}

/// The tap behind a descriptor, by where its link points.
fn tap_of(directory: &Path, fd: u32, target: &Path) -> Option<Tap> {
    let target = target.as_os_str().as_bytes();
    if target.ends_with(b"/net/tun") {
        let text = fs::read(directory.join("fdinfo").join(fd.to_string())).ok()?;
        return interface_of(&text).map(Tap::Name);
    }
    let ifindex = target.strip_prefix(b"/dev/tap")?;
    Some(Tap::Macvtap(number(OsStr::from_bytes(ifindex))?))
}

/// The interface that a tun descriptor's details name.
fn interface_of(fdinfo: &[u8]) -> Option<String> {
    let line = fdinfo
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"iff:"))?;
    let name = String::from_utf8_lossy(line);
    // Empty for a descriptor that no interface is attached to.
    Some(name.trim())
        .filter(|name| !name.is_empty())
        .map(printable)
}

fn number(text: &OsStr) -> Option<u32> {
    text.to_str()?.parse().ok()
}

fn read_cmdline(directory: &Path) -> io::Result<Vec<u8>> {
    let mut cmdline = Vec::new();
    let file = fs::File::open(directory.join("cmdline"))?;
    file.take(LONGEST_CMDLINE).read_to_end(&mut cmdline)?;
    Ok(cmdline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const HERE: u64 = 4026531840;

    /// A made-up `/proc`.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            fs::create_dir(tree.0.path().join("sys")).unwrap();
            fs::write(tree.0.path().join("uptime"), "1 1").unwrap();
            tree
        }

        fn process(&self, pid: u32, comm: &str, cmdline: &[u8]) -> PathBuf {
            let directory = self.0.path().join(pid.to_string());
            for sub in ["fd", "fdinfo", "ns"] {
                fs::create_dir_all(directory.join(sub)).unwrap();
            }
            fs::write(directory.join("comm"), format!("{comm}\n")).unwrap();
            fs::write(directory.join("cmdline"), cmdline).unwrap();
            symlink(format!("net:[{HERE}]"), directory.join("ns/net")).unwrap();
            symlink("/dev/null", directory.join("fd/0")).unwrap();
            directory
        }

        fn scanner(&self) -> Scanner {
            Scanner::new(self.0.path(), Some(HERE))
        }
    }

    fn open_tap(directory: &Path, fd: u32, dev: &str) {
        symlink("/dev/net/tun", directory.join(format!("fd/{fd}"))).unwrap();
        let text = format!("pos:\t0\nflags:\t0104002\nmnt_id:\t58\nino:\t105\niff:\t{dev}\n");
        fs::write(directory.join(format!("fdinfo/{fd}")), text).unwrap();
    }

    fn scan(scanner: &mut Scanner, deep: bool) -> Vec<Process> {
        let host = Host {
            macvtap: &|ifindex| (ifindex == 7).then(|| "macvtap0".to_owned()),
            is_network_card: &|address| address == "0000:3b:02.1",
        };
        scanner.scan(deep, host).unwrap()
    }

    fn devs(process: &Process) -> Vec<&str> {
        process.devs().collect()
    }

    #[test]
    fn qemu_by_libvirt() {
        let tree = Tree::new();
        let cmdline = include_bytes!("../../tests/data/inventory/cmdline");
        let directory = tree.process(91, "qemu-system-x86", cmdline);
        open_tap(&directory, 30, "vnet0");
        let processes = scan(&mut tree.scanner(), false);
        let tap = Nic {
            dev: Some("vnet0".into()),
            mac: Some("52:54:00:0f:00:11".into()),
            backend: "tap".into(),
            unobservable: None,
        };
        let expected = Process {
            pid: 91,
            name: "owt".into(),
            uuid: Some("299ca1ed-40c0-4352-97b7-f0eeca5000d6".into()),
            nics: vec![tap],
            is_vmm: true,
            is_unreadable: false,
        };
        assert_eq!(processes, [expected]);
    }

    #[test]
    fn queues_of_one_tap_are_one_card_and_hot_plugged_ones_are_found() {
        let tree = Tree::new();
        let cmdline = b"qemu-kvm\0-name\0a\0-netdev\0tap,fds=30:31,id=n\0-device\0vfio-pci,host=0000:3b:02.1\0-device\0vfio-pci,host=0000:01:00.0\0";
        let directory = tree.process(5, "qemu-kvm", cmdline);
        for (fd, dev) in [
            (30, "vnet0"),
            (31, "vnet0"),
            (40, "vnet9"),
            (41, "vnet9"),
            (42, ""),
        ] {
            open_tap(&directory, fd, dev);
        }
        symlink("/dev/tap7", directory.join("fd/50")).unwrap();
        symlink("/dev/tapestry", directory.join("fd/51")).unwrap();
        let processes = scan(&mut tree.scanner(), false);
        assert_eq!(devs(&processes[0]), ["vnet0", "vnet9", "macvtap0"]);
        let backends: Vec<_> = processes[0]
            .nics
            .iter()
            .map(|nic| nic.backend.as_str())
            .collect();
        assert_eq!(backends, ["tap", "tap", "macvtap", "vfio"]);
    }

    #[test]
    fn taps_that_qemu_opened_itself() {
        let tree = Tree::new();
        let one = b"qemu-system-arm\0-nic\0bridge,br=br0,mac=52:54:00:00:00:01\0";
        open_tap(&tree.process(5, "qemu-system-arm", one), 9, "tap0");
        let two = b"kvm\0-nic\0tap,mac=52:54:00:00:00:02\0-nic\0tap,mac=52:54:00:00:00:03\0";
        let directory = tree.process(6, "kvm", two);
        open_tap(&directory, 9, "tap1");
        open_tap(&directory, 10, "tap2");
        tree.process(7, "kvm", b"kvm\0-nic\0tap,mac=52:54:00:00:00:04\0");
        let processes = scan(&mut tree.scanner(), false);
        assert_eq!(processes[0].name, "qemu-5");
        assert_eq!(processes[0].nics.len(), 1);
        assert_eq!(
            processes[0].nics[0].mac.as_deref(),
            Some("52:54:00:00:00:01")
        );
        assert_eq!(devs(&processes[1]), ["tap1", "tap2"]);
        assert_eq!(processes[1].nics.len(), 2);
        assert!(processes[1].nics.iter().all(|nic| nic.mac.is_none()));
        assert_eq!(devs(&processes[2]), [] as [&str; 0]);
        assert!(processes[2].nics[0].unobservable.is_some());
    }

    #[test]
    fn a_tap_of_another_namespace_is_not_taken_by_its_name() {
        let tree = Tree::new();
        let directory = tree.process(
            5,
            "qemu-system-x86",
            b"q\0-name\0pod\0-nic\0tap,ifname=tap0\0",
        );
        open_tap(&directory, 30, "tap0");
        fs::remove_file(directory.join("ns/net")).unwrap();
        symlink("net:[4026532222]", directory.join("ns/net")).unwrap();
        let processes = scan(&mut tree.scanner(), true);
        assert_eq!(devs(&processes[0]), [] as [&str; 0]);
        assert_eq!(processes[0].nics.len(), 1);
        assert!(
            processes[0].nics[0]
                .unobservable
                .as_ref()
                .unwrap()
                .contains("tap0")
        );
        let mut anywhere = Scanner::new(tree.0.path(), None);
        assert_eq!(devs(&scan(&mut anywhere, true)[0]), ["tap0"]);
    }

    #[test]
    fn other_vmms_and_holders() {
        let tree = Tree::new();
        open_tap(
            &tree.process(5, "cloud-hyperviso", b"/bin/cloud-hypervisor\0"),
            9,
            "ch0",
        );
        open_tap(&tree.process(6, "relay", b"relay\0"), 9, "ow0");
        open_tap(&tree.process(7, "libvirtd", b"libvirtd\0"), 9, "vnet7");
        tree.process(8, "bash", b"bash\0");
        let mut scanner = tree.scanner();
        let names = |processes: &[Process]| -> Vec<String> {
            processes
                .iter()
                .map(|process| process.name.clone())
                .collect()
        };
        assert_eq!(names(&scan(&mut scanner, false)), ["cloud-hypervisor-5"]);
        assert_eq!(
            names(&scan(&mut scanner, true)),
            ["cloud-hypervisor-5", "relay-6"]
        );
        // Found once, followed from then on.
        let processes = scan(&mut scanner, false);
        assert_eq!(names(&processes), ["cloud-hypervisor-5", "relay-6"]);
        assert!(!processes[1].is_vmm);
        fs::remove_dir_all(tree.0.path().join("6")).unwrap();
        assert_eq!(names(&scan(&mut scanner, false)), ["cloud-hypervisor-5"]);
    }

    #[test]
    fn what_is_no_vm() {
        let tree = Tree::new();
        tree.process(
            5,
            "qemu-system-x86",
            b"q\0-S\0-machine\0none,accel=kvm:tcg\0",
        );
        tree.process(6, "qemu-system-x86", b"");
        tree.process(7, "qemu-nbd", b"qemu-nbd\0");
        tree.process(8, "kvm-nx-lpage-re", b"");
        fs::create_dir(tree.0.path().join("9")).unwrap();
        assert_eq!(scan(&mut tree.scanner(), true), []);
    }

    #[test]
    fn a_renamed_qemu_is_known_by_its_program() {
        let tree = Tree::new();
        let directory = tree.process(5, "mail", b"q\0-name\0mail,process=mail\0");
        symlink(
            "/usr/bin/qemu-system-x86_64 (deleted)",
            directory.join("exe"),
        )
        .unwrap();
        assert_eq!(scan(&mut tree.scanner(), false)[0].name, "mail");
    }

    #[test]
    fn a_young_process_may_still_become_qemu() {
        let tree = Tree::new();
        let directory = tree.process(5, "libvirtd", b"libvirtd\0");
        let mut scanner = tree.scanner();
        assert_eq!(scan(&mut scanner, true), []);
        fs::write(directory.join("comm"), "qemu-system-x86\n").unwrap();
        assert_eq!(scan(&mut scanner, false).len(), 1);
    }

    #[test]
    fn details_without_descriptors() {
        let tree = Tree::new();
        let directory = tree.process(5, "qemu-system-x86", b"q\0-name\0a\0-netdev\0tap,fd=30\0");
        open_tap(&directory, 30, "vnet0");
        // root reads every directory, so take the way for those who may not.
        let taps = read_taps(&directory, true);
        assert!(matches!(&taps, Taps::Known(taps) if taps.len() == 1));
        let args = qemu_args::parse(&qemu_args::split(b"q\0-netdev\0tap,fd=30\0"));
        let host = Host {
            macvtap: &|_| None,
            is_network_card: &|_| false,
        };
        let nics = nics(&args, &Taps::Unreadable, true, host);
        assert_eq!(nics.len(), 1);
        assert!(
            nics[0]
                .unobservable
                .as_ref()
                .unwrap()
                .contains("CAP_SYS_PTRACE")
        );
    }

    #[test]
    fn bytes_that_are_not_utf8() {
        let tree = Tree::new();
        let directory = tree.process(
            5,
            "qemu-system-x86",
            b"q\0-name\0\xff\x1b\0-netdev\0tap,fd=30\0",
        );
        fs::write(directory.join("comm"), b"qemu-system-\xff\n").unwrap();
        open_tap(&directory, 30, "vnet0");
        fs::write(directory.join("fdinfo/30"), b"iff:\t\xfe\x07\n").unwrap();
        let processes = scan(&mut tree.scanner(), true);
        assert_eq!(processes[0].name, "\u{fffd}?");
        assert_eq!(devs(&processes[0]), ["\u{fffd}?"]);
    }

    #[test]
    fn whether_a_process_still_runs_a_vm() {
        let tree = Tree::new();
        tree.process(
            5,
            "q",
            b"q\0-uuid\x00299CA1ED-40c0-4352-97b7-f0eeca5000d6\0",
        );
        let scanner = tree.scanner();
        assert_eq!(
            scanner.runs(5, "299ca1ed-40c0-4352-97b7-f0eeca5000d6"),
            Some(true)
        );
        assert_eq!(
            scanner.runs(5, "00000000-40c0-4352-97b7-f0eeca5000d6"),
            Some(false)
        );
        assert_eq!(
            scanner.runs(6, "299ca1ed-40c0-4352-97b7-f0eeca5000d6"),
            Some(false)
        );
    }

    #[test]
    fn the_real_proc_can_be_scanned() {
        let mut scanner = Scanner::new("/proc", None);
        scan(&mut scanner, true);
        scan(&mut scanner, false);
        let mut nowhere = Scanner::new("/nonexistent", None);
        let host = Host {
            macvtap: &|_| None,
            is_network_card: &|_| false,
        };
        assert!(nowhere.scan(true, host).is_err());
    }
}
