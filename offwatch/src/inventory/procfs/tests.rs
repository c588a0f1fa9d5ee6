use std::os::unix::fs::symlink;

use super::*;

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
    scanner.scan(deep, &HashSet::new(), host).unwrap()
}

fn devs(process: &Process) -> Vec<&str> {
    process.devs().collect()
}

#[test]
fn qemu_by_libvirt() {
    let tree = Tree::new();
    let cmdline = include_bytes!("../../../tests/data/inventory/cmdline");
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
        memory_kib: Some(224 << 10),
        is_vmm: true,
        setup: processes[0].setup.clone(),
        is_unreadable: false,
    };
    assert_eq!(processes, [expected]);
}

#[test]
fn hidden_processes_are_not_taken_for_none() {
    let tree = Tree::new();
    let own = tree.process(91, "offwatch", b"offwatch\0top\0");
    symlink(&own, tree.0.path().join("self")).unwrap();
    assert!(tree.scanner().is_kept_from(), "there is no first process");
    tree.process(1, "init", b"init\0");
    assert!(!tree.scanner().is_kept_from());
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
fn what_is_known_already_is_not_read() {
    let tree = Tree::new();
    tree.process(5, "kvm", b"kvm\0-name\0a\0");
    tree.process(6, "kvm", b"kvm\0-name\0b\0");
    let host = Host {
        macvtap: &|_| None,
        is_network_card: &|_| false,
    };
    let known = HashSet::from([5]);
    let processes = tree.scanner().scan(true, &known, host).unwrap();
    let pids: Vec<u32> = processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, [6]);
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
    assert!(nowhere.scan(true, &HashSet::new(), host).is_err());
}
