use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::sample::{Kind, Source, VmState};

const NETNS: u64 = 4026531840;
const UUID: &str = "299ca1ed-40c0-4352-97b7-f0eeca5000d6";

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

fn list(vms: &mut Vms, links: &LinkTable) -> (Vec<Vm>, Vec<String>) {
    let notes = vms.update(links);
    (vms.all().to_vec(), notes)
}

#[test]
fn status_files_and_processes() {
    let host = TestHost::new();
    host.owt();
    host.process(95, "kvm\n", b"kvm\0-name\0b\0", "tap0");
    host.process(96, "relay\n", b"relay\0", "ow0");
    let links = LinkTable::new([
        ("vnet0".into(), 4, &Kind::Tap),
        ("tap0".into(), 5, &Kind::Tap),
        ("ow0".into(), 6, &Kind::Tap),
    ]);
    let mut vms = Vms::new(host.paths(), Some(NETNS));
    let (found, notes) = list(&mut vms, &links);
    let rows: Vec<_> = found
        .iter()
        .map(|vm| (&*vm.name, vm.pid, vm.source))
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
    assert!(!vms.libvirt_is_silent(), "nobody asks it");
}

#[test]
fn how_vms_were_set_up() {
    let host = TestHost::new();
    host.owt();
    let cmdline = b"kvm\0-name\0b\0-netdev\0tap,id=n,fd=30\0\
        -device\0virtio-net-pci,netdev=n,guest_tso4=off,mac=52:54:00:00:00:0B\0";
    host.process(95, "kvm\n", cmdline, "tap0");
    host.process(96, "relay\n", b"relay\0", "ow0");
    let links = LinkTable::new([
        ("vnet0".into(), 4, &Kind::Tap),
        ("tap0".into(), 5, &Kind::Tap),
        ("ow0".into(), 6, &Kind::Tap),
    ]);
    let mut vms = Vms::new(host.paths(), Some(NETNS));
    vms.update(&links);
    let setups = vms.setups();
    let rows: Vec<_> = setups
        .iter()
        .map(|vm| (vm.name.as_str(), vm.source, vm.nics[0].dev.as_deref()))
        .collect();
    // Nobody tells how a relay was set up.
    assert_eq!(
        rows,
        [
            ("owt", Source::Status, Some("vnet0")),
            ("b", Source::Proc, Some("tap0"))
        ]
    );
    assert_eq!(setups[0].pid, Some(91));
    let driver = setups[1].nics[0].driver.known().unwrap();
    assert_eq!(driver.guest.get("tso4"), Some(&false));
    // The file is gone, the process is not.
    fs::remove_file(host.path().join("status/owt.xml")).unwrap();
    vms.update(&links);
    let owt = &vms.setups()[1];
    assert_eq!((owt.name.as_str(), owt.source), ("owt", Source::Proc));
    assert_eq!(owt.nics[0].dev.as_deref(), Some("vnet0"));
    assert!(owt.nics[0].bandwidth.reason().is_some());
}

#[test]
fn a_status_file_without_its_process_is_out_of_date() {
    let host = TestHost::new();
    host.owt();
    fs::write(host.path().join("proc/91/cmdline"), b"vim\0").unwrap();
    fs::write(host.path().join("proc/91/comm"), b"vim\n").unwrap();
    fs::remove_file(host.path().join("proc/91/fd/30")).unwrap();
    let (found, _) = list(
        &mut Vms::new(host.paths(), Some(NETNS)),
        &LinkTable::default(),
    );
    assert_eq!(found, []);
}

#[test]
fn a_search_for_owners_ends_when_all_are_found() {
    let host = TestHost::new();
    host.process(96, "relay\n", b"relay\0", "ow0");
    let mut vms = Vms::new(host.paths(), Some(NETNS));
    let ow0 = LinkTable::new([("ow0".into(), 6, &Kind::Tap)]);
    list(&mut vms, &ow0);
    assert!(!vms.has_orphans);
    // A new tap starts it again.
    host.process(97, "relay\n", b"relay\0", "ow1");
    let (found, _) = list(&mut vms, &ow0);
    assert_eq!(found.len(), 1);
    let both = LinkTable::new([("ow0".into(), 6, &Kind::Tap), ("ow1".into(), 7, &Kind::Tap)]);
    assert_eq!(list(&mut vms, &both).0.len(), 2);
    // One without an owner is looked for, but not in every call.
    let orphan = LinkTable::new([("left".into(), 8, &Kind::Tap)]);
    list(&mut vms, &orphan);
    assert!(vms.has_orphans && vms.search_pause > FIRST_SEARCH);
}

#[test]
fn libvirt_that_stops_answering() {
    let host = TestHost::new();
    host.owt();
    let mut vms = Vms::new(host.paths(), Some(NETNS));
    let owt = Listing {
        vm: Arc::new(Vm {
            name: "owt".into(),
            ..Vm::default()
        }),
        state: VmState::Running,
        stats: None,
        setup: None,
    };
    let mut notes = Vec::new();
    let listed = vms.known(
        Answer::Domains {
            domains: Arc::new(vec![owt]),
            all_read: None,
        },
        &mut notes,
    );
    assert_eq!((listed.len(), notes.len()), (1, 0));
    let failed = Answer::Failed {
        reason: "libvirt: 'qemu:///system': gone".into(),
        message: "gone".into(),
    };
    let listed = vms.known(failed, &mut notes);
    assert_eq!(&*listed[0].name, "owt");
    assert_eq!(listed[0].source, Source::Status);
    assert_eq!(
        notes,
        ["libvirt does not answer: gone; names from /run/libvirt and /proc"]
    );
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
    let links = LinkTable::new([("vnet0".into(), 4, &Kind::Tap)]);
    let (found, notes) = list(&mut vms, &links);
    let rows: Vec<_> = found.iter().map(|vm| (&*vm.name, vm.source)).collect();
    assert!(rows.contains(&("test", Source::Libvirt)), "{rows:?}");
    assert!(rows.contains(&("owt", Source::Proc)), "{rows:?}");
    assert_eq!(notes, [] as [String; 0]);
    assert!(!vms.libvirt_is_silent());
    vms.is_unanswered = true;
    assert!(vms.libvirt_is_silent(), "it answered before");
}

/// No daemon is at the socket; with its files there was one, without there need not be.
#[cfg(feature = "libvirt")]
#[test]
fn libvirt_is_silent_where_it_has_vms() {
    let (with_files, without) = (TestHost::new(), TestHost::new());
    with_files.owt();
    without.process(95, "kvm\n", b"kvm\0-name\0b\0", "tap0");
    for (host, expected) in [(with_files, true), (without, false)] {
        let libvirt = Libvirt::spawn(Some("qemu+unix:///system?socket=/nonexistent".to_owned()));
        libvirt.wait_first(Duration::from_secs(20));
        let mut vms = Vms::new(host.paths(), Some(NETNS)).with_libvirt(libvirt);
        let links = LinkTable::new([("vnet0".into(), 4, &Kind::Tap)]);
        let (found, notes) = list(&mut vms, &links);
        assert!(notes[0].contains("no daemon"), "{notes:?}");
        assert_eq!((found.len(), vms.libvirt_is_silent()), (1, expected));
    }
}
