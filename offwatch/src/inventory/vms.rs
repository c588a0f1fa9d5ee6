//! The VMs of this host, from every source there is.
//!
//! libvirt's API names them if it answers, else its status files do. Processes
//! that libvirt does not know come on top. A VM that several sources know is
//! one VM: joined by process id, by UUID where the process id is not known, or
//! by an interface, never by name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[cfg(feature = "libvirt")]
use super::libvirt::{Libvirt, State};
use super::nic::{self, backend, is_network_card};
use super::procfs::{Host, Process, Scanner};
use super::status;
use crate::sample::{Kind, Nic, Source, Vm, VmState};

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

/// The interfaces of the observed namespace, as far as VMs are concerned.
#[derive(Clone, Debug, Default)]
pub struct LinkTable {
    kinds: HashMap<String, Kind>,
    macvtaps: HashMap<u32, String>,
    /// Those that may have an owner.
    taps: BTreeSet<(u32, String)>,
}

impl LinkTable {
    /// From name, ifindex and kind of each interface.
    pub fn new<'a>(links: impl IntoIterator<Item = (&'a str, u32, &'a Kind)>) -> Self {
        let mut all = Self::default();
        for (dev, ifindex, kind) in links {
            if is_macvtap(kind) {
                all.macvtaps.insert(ifindex, dev.to_owned());
            }
            if is_macvtap(kind) || *kind == Kind::Tap {
                all.taps.insert((ifindex, dev.to_owned()));
            }
            all.kinds.insert(dev.to_owned(), kind.clone());
        }
        all
    }
}

fn is_macvtap(kind: &Kind) -> bool {
    matches!(kind, Kind::Other(name) if name == backend::MACVTAP)
}

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

    /// The VMs at this moment, running ones by id and then by name, and notes
    /// on what is missing. Never waits for libvirt, but asks it for a new
    /// listing, which the next call returns.
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
        } else {
            libvirt.refresh();
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

/// Adds to the VMs by libvirt or its files those processes that are none of
/// them, and to VMs the process ids that only the processes tell.
pub fn combine(known: Vec<Vm>, processes: &[Process]) -> Vec<Vm> {
    let mut vms = known;
    let index = |key: &dyn Fn(&Vm) -> Vec<String>| -> HashMap<String, usize> {
        let keys = vms
            .iter()
            .enumerate()
            .flat_map(|(at, vm)| key(vm).into_iter().map(move |key| (key, at)));
        keys.collect()
    };
    let by_pid = index(&|vm| vm.pid.iter().map(u32::to_string).collect());
    let by_uuid = index(&|vm| {
        vm.uuid
            .iter()
            .map(|uuid| uuid.to_ascii_lowercase())
            .collect()
    });
    let by_dev = index(&|vm| devs(vm).map(str::to_owned).collect());
    let mut owned: HashSet<String> = by_dev.keys().cloned().collect();
    let mut uuids: HashSet<String> = by_uuid.keys().cloned().collect();

    // VMMs first: a tap may be held by a helper of the VMM, too.
    let (vmms, holders): (Vec<_>, Vec<_>) = processes.iter().partition(|process| process.is_vmm);
    for process in vmms.into_iter().chain(holders) {
        if by_pid.contains_key(&process.pid.to_string()) {
            continue;
        }
        let by_uuid = process.uuid.as_ref().and_then(|uuid| by_uuid.get(uuid));
        let by_dev = process.devs().find_map(|dev| by_dev.get(dev));
        if let Some(vm) = by_uuid.or(by_dev).and_then(|&at| vms.get_mut(at))
            && vm.pid.is_none()
        {
            // A VM that is shut off gets no process: libvirt's listing is then
            // older than the process, and the next one will tell.
            vm.pid = Some(process.pid).filter(|_| process.is_vmm && is_active(vm));
            continue;
        }
        // The same again, as a child of the VMM: nothing new.
        let has_own = process.devs().any(|dev| !owned.contains(dev));
        let is_twin = process
            .uuid
            .as_ref()
            .is_some_and(|uuid| uuids.contains(uuid));
        let is_shared = process.devs().any(|dev| owned.contains(dev));
        if !has_own && (is_twin || is_shared || !process.is_vmm) {
            continue;
        }
        owned.extend(process.devs().map(str::to_owned));
        uuids.extend(process.uuid.clone());
        vms.push(Vm {
            name: process.name.clone(),
            uuid: process.uuid.clone(),
            id: None,
            pid: Some(process.pid),
            // The process runs; whether it paused the guest cannot be seen.
            state: VmState::Running,
            source: Source::Proc,
            nics: process.nics.clone(),
            ..Vm::default()
        });
    }
    vms
}

/// How many VMs are known by a process alone whose taps cannot be read.
fn unreadable(vms: &[Vm], processes: &[Process]) -> usize {
    let by_process: HashSet<u32> = vms
        .iter()
        .filter(|vm| vm.source == Source::Proc)
        .filter_map(|vm| vm.pid)
        .collect();
    processes
        .iter()
        .filter(|process| process.is_unreadable && by_process.contains(&process.pid))
        .count()
}

fn devs(vm: &Vm) -> impl Iterator<Item = &str> {
    vm.nics.iter().filter_map(|nic| nic.dev.as_deref())
}

fn is_active(vm: &Vm) -> bool {
    vm.id.is_some() || vm.pid.is_some()
}

/// Corrects a card by what its interface is: a name tells nothing, and
/// `<interface type='ethernet'>` takes a macvtap as well as a tap.
fn refine(card: &mut Nic, is_active: bool, links: &LinkTable) {
    let Some(dev) = &card.dev else { return };
    match links.kinds.get(dev) {
        Some(kind) if is_macvtap(kind) && card.backend == backend::TAP => {
            *card = nic::nic(backend::MACVTAP, card.dev.take(), card.mac.take());
        }
        None if is_active && card.unobservable.is_none() => {
            card.unobservable = Some(format!(
                "{}: there is no {dev} in the observed network namespace",
                card.backend
            ));
        }
        _ => {}
    }
}

/// Running VMs by id, then those without one by name, then inactive ones.
fn order(vm: &Vm) -> impl Ord + '_ {
    let id = vm.id.unwrap_or(u32::MAX);
    (!is_active(vm), id, &vm.name, &vm.uuid, vm.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    const NETNS: u64 = 4026531840;
    const UUID: &str = "299ca1ed-40c0-4352-97b7-f0eeca5000d6";

    fn tap(dev: &str) -> Nic {
        nic::nic("tap", Some(dev.to_owned()), None)
    }

    fn vm(name: &str, id: u32, dev: &str) -> Vm {
        Vm {
            name: name.into(),
            uuid: Some(format!("uuid-{name}")),
            id: Some(id),
            state: VmState::Running,
            nics: vec![tap(dev)],
            ..Vm::default()
        }
    }

    fn process(pid: u32, name: &str, dev: &str) -> Process {
        Process {
            pid,
            name: name.into(),
            uuid: Some(format!("uuid-{name}")),
            nics: vec![tap(dev)],
            is_vmm: true,
            is_unreadable: false,
        }
    }

    fn combined(vms: &[Vm], processes: &[Process]) -> Vec<(String, Option<u32>, Source)> {
        combine(vms.to_vec(), processes)
            .into_iter()
            .map(|vm| (vm.name, vm.pid, vm.source))
            .collect()
    }

    fn row(name: &str, pid: Option<u32>, source: Source) -> (String, Option<u32>, Source) {
        (name.into(), pid, source)
    }

    #[test]
    fn one_vm_from_two_sources() {
        let a = vm("a", 1, "vnet0");
        let with_pid = Vm {
            pid: Some(10),
            ..a.clone()
        };
        let same = [row("a", Some(10), Source::Libvirt)];
        // By process id, whatever else it says.
        assert_eq!(combined(&[with_pid], &[process(10, "x", "vnet5")]), same);
        // By UUID.
        assert_eq!(
            combined(std::slice::from_ref(&a), &[process(10, "a", "vnet5")]),
            same
        );
        // By interface.
        assert_eq!(combined(&[a], &[process(10, "x", "vnet0")]), same);
    }

    #[test]
    fn processes_that_libvirt_does_not_know() {
        let a = Vm {
            pid: Some(10),
            ..vm("a", 1, "vnet0")
        };
        let b = process(11, "b", "tap0");
        assert_eq!(
            combined(std::slice::from_ref(&a), &[process(10, "a", "vnet0"), b]),
            [
                row("a", Some(10), Source::Libvirt),
                row("b", Some(11), Source::Proc)
            ]
        );
        // The same name is no reason to be the same VM.
        let namesake = Process {
            uuid: None,
            ..process(12, "a", "tap0")
        };
        assert_eq!(combined(&[a], &[namesake]).len(), 2);
    }

    #[test]
    fn copies_are_not_listed() {
        let a = Vm {
            pid: Some(10),
            ..vm("a", 1, "vnet0")
        };
        // A fork, or a user's process that claims to be the VM.
        assert_eq!(
            combined(std::slice::from_ref(&a), &[process(12, "a", "vnet0")]).len(),
            1
        );
        // The VM's twin with an interface of its own is a VM.
        assert_eq!(combined(&[a], &[process(12, "a", "vnet7")]).len(), 2);
        // A helper that holds the tap, with the lower process id.
        let helper = Process {
            is_vmm: false,
            uuid: None,
            ..process(9, "helper-9", "tap0")
        };
        let qemu = process(11, "b", "tap0");
        assert_eq!(
            combined(&[], &[helper, qemu.clone(), qemu]),
            [row("b", Some(11), Source::Proc)]
        );
    }

    #[test]
    fn a_domain_that_is_shut_off_has_no_process() {
        let off = Vm {
            id: None,
            nics: Vec::new(),
            state: VmState::Shutoff,
            ..vm("a", 1, "vnet0")
        };
        let vms = combine(vec![off.clone()], &[process(10, "a", "vnet0")]);
        assert_eq!(vms, [off]);
    }

    #[test]
    fn interfaces_are_what_they_are() {
        let macvtap = Kind::Other("macvtap".into());
        let links = LinkTable::new([("vnet0", 4, &macvtap), ("macvtap0", 5, &Kind::Tap)]);
        let mut nic = tap("vnet0");
        refine(&mut nic, true, &links);
        assert_eq!(nic.backend, "macvtap");
        assert_eq!(nic.dev.as_deref(), Some("vnet0"));
        assert!(nic.unobservable.is_some());
        let mut nic = tap("macvtap0");
        refine(&mut nic, true, &links);
        assert_eq!(nic, tap("macvtap0"));
        let mut nic = tap("gone0");
        refine(&mut nic, true, &links);
        assert!(nic.unobservable.unwrap().contains("gone0"));
    }

    /// A host without libvirt's daemon.
    struct TestHost(tempfile::TempDir);

    impl TestHost {
        fn new() -> Self {
            let host = Self(tempfile::tempdir().unwrap());
            for directory in ["proc", "sys", "status"] {
                fs::create_dir(host.path().join(directory)).unwrap();
            }
            host
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn paths(&self) -> Paths {
            Paths {
                proc: self.path().join("proc"),
                sys: self.path().join("sys"),
                status: self.path().join("status"),
            }
        }

        fn process(&self, pid: u32, comm: &str, cmdline: &[u8], dev: &str) {
            let directory = self.path().join(format!("proc/{pid}"));
            for sub in ["fd", "fdinfo", "ns"] {
                fs::create_dir_all(directory.join(sub)).unwrap();
            }
            fs::write(directory.join("comm"), comm).unwrap();
            fs::write(directory.join("cmdline"), cmdline).unwrap();
            fs::write(directory.join("fdinfo/30"), format!("iff:\t{dev}\n")).unwrap();
            symlink("/dev/net/tun", directory.join("fd/30")).unwrap();
            symlink(format!("net:[{NETNS}]"), directory.join("ns/net")).unwrap();
        }

        fn owt(&self) {
            let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/inventory");
            let cmdline = fs::read(data.join("cmdline")).unwrap();
            self.process(91, "qemu-system-x86\n", &cmdline, "vnet0");
            fs::copy(data.join("status.xml"), self.path().join("status/owt.xml")).unwrap();
        }
    }

    #[test]
    fn status_files_and_processes() {
        let host = TestHost::new();
        host.owt();
        host.process(95, "kvm\n", b"kvm\0-name\0b\0", "tap0");
        host.process(96, "relay\n", b"relay\0", "ow0");
        let links = LinkTable::new([
            ("vnet0", 4, &Kind::Tap),
            ("tap0", 5, &Kind::Tap),
            ("ow0", 6, &Kind::Tap),
        ]);
        let mut vms = Vms::new(host.paths(), Some(NETNS));
        let (found, notes) = vms.list(&links);
        let rows: Vec<_> = found
            .iter()
            .map(|vm| (vm.name.as_str(), vm.pid, vm.source))
            .collect();
        assert_eq!(
            rows,
            [
                ("owt", Some(91), Source::Status),
                ("b", Some(95), Source::Proc),
                ("relay-96", Some(96), Source::Proc),
            ]
        );
        assert_eq!(notes, [] as [String; 0]);
        assert_eq!(found[0].uuid.as_deref(), Some(UUID));
        assert_eq!(found[0].nics[0].unobservable, None);
    }

    #[test]
    fn a_status_file_without_its_process_is_out_of_date() {
        let host = TestHost::new();
        host.owt();
        fs::write(host.path().join("proc/91/cmdline"), b"vim\0").unwrap();
        fs::write(host.path().join("proc/91/comm"), b"vim\n").unwrap();
        fs::remove_file(host.path().join("proc/91/fd/30")).unwrap();
        let (found, _) = Vms::new(host.paths(), Some(NETNS)).list(&LinkTable::default());
        assert_eq!(found, []);
    }

    #[test]
    fn a_search_for_owners_ends_when_all_are_found() {
        let host = TestHost::new();
        host.process(96, "relay\n", b"relay\0", "ow0");
        let mut vms = Vms::new(host.paths(), Some(NETNS));
        let ow0 = LinkTable::new([("ow0", 6, &Kind::Tap)]);
        vms.list(&ow0);
        assert!(!vms.has_orphans);
        // A new tap starts it again.
        host.process(97, "relay\n", b"relay\0", "ow1");
        let (found, _) = vms.list(&ow0);
        assert_eq!(found.len(), 1);
        let both = LinkTable::new([("ow0", 6, &Kind::Tap), ("ow1", 7, &Kind::Tap)]);
        assert_eq!(vms.list(&both).0.len(), 2);
        // One without an owner is looked for, but not in every call.
        let orphan = LinkTable::new([("left", 8, &Kind::Tap)]);
        vms.list(&orphan);
        assert!(vms.has_orphans && vms.search_pause > FIRST_SEARCH);
    }

    #[test]
    fn libvirt_that_stops_answering() {
        let host = TestHost::new();
        host.owt();
        let mut vms = Vms::new(host.paths(), Some(NETNS));
        let mut notes = Vec::new();
        let listed = vms.known(Answer::Vms(vec![vm("owt", 1, "vnet0")]), &mut notes);
        assert_eq!((listed.len(), notes.len()), (1, 0));
        let failed = Answer::Failed {
            reason: "libvirt: 'qemu:///system': gone".into(),
            message: "gone".into(),
        };
        let listed = vms.known(failed, &mut notes);
        assert_eq!(listed[0].name, "owt");
        assert_eq!(listed[0].source, Source::Status);
        assert_eq!(
            notes,
            ["libvirt does not answer: gone; names from /run/libvirt and /proc"]
        );
    }

    #[test]
    fn the_order_does_not_depend_on_the_sources() {
        let off = Vm {
            id: None,
            ..vm("a", 0, "x")
        };
        let by_process = Vm {
            id: None,
            pid: Some(7),
            ..vm("b", 0, "y")
        };
        let mut vms = [off, by_process, vm("z", 10, "z"), vm("y", 9, "w")];
        vms.sort_by(|a, b| order(a).cmp(&order(b)));
        let names: Vec<_> = vms.iter().map(|vm| vm.name.as_str()).collect();
        assert_eq!(names, ["y", "z", "b", "a"]);
    }

    #[cfg(feature = "libvirt")]
    #[test]
    fn a_named_libvirt_must_answer() {
        let named = Vms::open(Some("test:///default".to_owned())).unwrap();
        let state = named.libvirt_state().unwrap();
        assert!(state.starts_with("test:///default: 1 domains"), "{state}");
        let error = Vms::open(Some("not a uri".to_owned())).unwrap_err();
        assert!(error.contains("'not a uri'"), "{error}");
    }

    #[cfg(feature = "libvirt")]
    #[test]
    fn libvirt_first() {
        let host = TestHost::new();
        host.owt();
        let libvirt = Libvirt::spawn(Some("test:///default".to_owned()));
        libvirt.wait_first(Duration::from_secs(20));
        let mut vms = Vms::new(host.paths(), Some(NETNS)).with_libvirt(libvirt);
        let links = LinkTable::new([("vnet0", 4, &Kind::Tap)]);
        let (found, notes) = vms.list(&links);
        let rows: Vec<_> = found
            .iter()
            .map(|vm| (vm.name.as_str(), vm.source))
            .collect();
        assert!(rows.contains(&("test", Source::Libvirt)), "{rows:?}");
        assert!(rows.contains(&("owt", Source::Proc)), "{rows:?}");
        assert_eq!(notes, [] as [String; 0]);
    }
}
