use std::fmt::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use virt::connect::Connect;
use virt::domain::Domain;

use super::connection::{Connection, prepare_library};
use super::shared::Request;
use super::*;
use crate::sample::{Source, Vm, VmState};

const PATIENCE: Duration = Duration::from_secs(20);

/// A host for libvirt's test driver. Each domain has two interfaces.
fn node(active: usize, inactive: usize) -> tempfile::NamedTempFile {
    let mut xml = String::from("<node>");
    for n in 0..active + inactive {
        let runstate = if n < active { 1 } else { 5 };
        write!(
            xml,
            "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>\
             <name>vm{n:04}</name><uuid>00000000-0000-4000-8000-{n:012x}</uuid>\
             <memory>65536</memory><vcpu>1</vcpu><os><type>hvm</type></os><devices>\
             <interface type='bridge'><mac address='52:54:00:00:{:02x}:{:02x}'/>\
             <source bridge='br0'/><target dev='owtap{n:04}'/></interface>\
             <interface type='user'><mac address='52:54:01:00:{0:02x}:{1:02x}'/></interface>\
             </devices><test:runstate>{runstate}</test:runstate></domain>",
            n / 256,
            n % 256,
        )
        .unwrap();
    }
    xml.push_str("</node>");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), xml).unwrap();
    file
}

fn vms(snapshot: &Snapshot) -> Vec<Vm> {
    snapshot.domains.iter().map(Listing::to_vm).collect()
}

fn spawn(file: &tempfile::NamedTempFile) -> Libvirt {
    Libvirt::spawn(Some(format!("test://{}", file.path().display())))
}

fn eventually(libvirt: &Libvirt, what: &str, is: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let end = Instant::now() + PATIENCE;
    loop {
        let snapshot = libvirt.latest();
        if is(&snapshot) {
            return snapshot;
        }
        assert!(Instant::now() < end, "not {what}: {snapshot:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn active_and_inactive_domains() {
    let file = node(2, 1);
    let snapshot = spawn(&file).wait_first(PATIENCE);
    assert_eq!(snapshot.state, State::Connected);
    assert!(snapshot.age.is_some());
    // How they were set up is of interest while they run.
    let mut setups: Vec<_> = snapshot
        .domains
        .iter()
        .filter_map(|domain| domain.setup.clone())
        .map(|setup| (setup.name.clone(), setup.nics[0].connected_to.clone()))
        .collect();
    setups.sort();
    let on_br0 = |name: &str| (name.to_owned(), Some("br0".to_owned()));
    assert_eq!(setups, [on_br0("vm0000"), on_br0("vm0001")]);
    let versions = snapshot.versions.clone().unwrap();
    assert!(versions.libvirt.unwrap().contains('.'));
    assert_eq!(versions.qemu, None, "the test driver starts none");
    let mut vms = vms(&snapshot);
    vms.sort_by(|a, b| a.name.cmp(&b.name));
    let states: Vec<_> = vms
        .iter()
        .map(|vm| (&*vm.name, vm.state, vm.id.is_some()))
        .collect();
    assert_eq!(
        states,
        [
            ("vm0000", VmState::Running, true),
            ("vm0001", VmState::Running, true),
            ("vm0002", VmState::Shutoff, false),
        ]
    );
    assert_eq!(
        vms[1].uuid.as_deref(),
        Some("00000000-0000-4000-8000-000000000001")
    );
    let nics: Vec<_> = vms[1]
        .nics
        .iter()
        .map(|nic| (nic.backend.as_str(), nic.dev.as_deref(), nic.mac.as_deref()))
        .collect();
    assert_eq!(
        nics,
        [
            ("tap", Some("owtap0001"), Some("52:54:00:00:00:01")),
            ("slirp", None, Some("52:54:01:00:00:01")),
        ]
    );
    assert_eq!(vms[2].nics[0].dev, None);
    assert!(
        vms.iter()
            .all(|vm| vm.source == Source::Libvirt && vm.pid.is_none())
    );
}

#[test]
fn a_thousand_domains() {
    let file = node(900, 100);
    let libvirt = spawn(&file);
    let first = libvirt.wait_first(PATIENCE);
    assert_eq!(first.state, State::Connected);
    assert_eq!(first.domains.len(), 1000);
    assert_eq!(vms(&first).iter().filter(|vm| vm.id.is_some()).count(), 900);
    drop(libvirt.refresh_stats());
    let second = eventually(&libvirt, "listed again", |snapshot| {
        !Arc::ptr_eq(&snapshot.domains, &first.domains)
    });
    // What has not changed is not made again.
    let mut pairs = first.domains.iter().zip(&*second.domains);
    assert!(pairs.all(|(one, other)| Arc::ptr_eq(&one.vm, &other.vm)));
}

#[test]
fn changes_of_state_are_seen() {
    // Domains of test:///default live in this process, and every
    // connection to it sees them.
    let libvirt = Libvirt::spawn(Some("test:///default".to_owned()));
    assert_eq!(libvirt.wait_first(PATIENCE).state, State::Connected);
    let mut admin = Connect::open(Some("test:///default")).unwrap();
    let domain = Domain::lookup_by_name(&admin, "test").unwrap();
    let state = |snapshot: &Snapshot| {
        vms(snapshot)
            .iter()
            .find(|vm| &*vm.name == "test")
            .unwrap()
            .state
    };
    // By the event alone: nobody calls refresh.
    domain.suspend().unwrap();
    eventually(&libvirt, "paused", |snapshot| {
        state(snapshot) == VmState::Paused
    });
    domain.resume().unwrap();
    eventually(&libvirt, "running", |snapshot| {
        state(snapshot) == VmState::Running
    });
    domain.destroy().unwrap();
    let off = eventually(&libvirt, "shut off", |snapshot| {
        state(snapshot) == VmState::Shutoff
    });
    assert_eq!(
        vms(&off).iter().find(|vm| &*vm.name == "test").unwrap().id,
        None
    );
    domain.create().unwrap();
    eventually(&libvirt, "running", |snapshot| {
        state(snapshot) == VmState::Running
    });
    drop(domain);
    admin.close().unwrap();
}

#[test]
fn xml_is_read_again_when_asked_for() {
    let file = node(1, 0);
    let shared = Arc::new(Shared::default());
    let uri = format!("test://{}", file.path().display());
    prepare_library();
    let connection = Connection::open(&uri, &shared).unwrap();
    let mut worker = Worker::new(shared, uri);
    worker.list(&connection.connect, false).unwrap();
    let spoil = |worker: &mut Worker| {
        for known in worker.known.values_mut() {
            Arc::make_mut(&mut Arc::make_mut(&mut known.vm).nics)[0].dev = Some("wrong".to_owned());
        }
    };
    let dev = |domains: &[Listing]| domains[0].vm.nics[0].dev.clone().unwrap();
    spoil(&mut worker);
    assert_eq!(
        dev(&worker.list(&connection.connect, false).unwrap()),
        "wrong"
    );
    worker
        .known
        .values_mut()
        .for_each(|known| known.is_stale = true);
    assert_eq!(
        dev(&worker.list(&connection.connect, false).unwrap()),
        "owtap0000"
    );
    // Another id: the domain was started again.
    spoil(&mut worker);
    worker
        .known
        .values_mut()
        .for_each(|known| Arc::make_mut(&mut known.vm).id = Some(77));
    assert_eq!(
        dev(&worker.list(&connection.connect, false).unwrap()),
        "owtap0000"
    );
    // Incomplete: the domain was being started.
    worker
        .known
        .values_mut()
        .for_each(|known| Arc::make_mut(&mut Arc::make_mut(&mut known.vm).nics)[0].dev = None);
    assert_eq!(
        dev(&worker.list(&connection.connect, false).unwrap()),
        "owtap0000"
    );
}

#[test]
fn a_change_is_told_and_so_is_what_was_read_again() {
    let file = node(2, 0);
    let libvirt = spawn(&file);
    let first = libvirt.wait_first(PATIENCE);
    let changed = libvirt.changed(libvirt.changes());
    // The same again is no change; libvirt's driver reads its file once.
    wait(libvirt.refresh_stats());
    let again = libvirt.latest();
    assert_eq!(again.all_read, first.all_read);
    let asked = Instant::now();
    libvirt.refresh_xml();
    wait(changed);
    assert!(libvirt.latest().all_read.is_some_and(|read| read >= asked));
}

#[test]
fn full_readings_are_limited() {
    let worker = Worker {
        next_full_read: Instant::now() + PATIENCE,
        ..Worker::new(Arc::default(), String::new())
    };
    worker.shared.lock().request = Request {
        list: true,
        all_xml: true,
        ..Request::default()
    };
    let request = worker.next_request().unwrap();
    assert!(request.list && !request.all_xml);
    // Put off, not forgotten.
    let worker = Worker {
        next_full_read: Instant::now(),
        ..worker
    };
    worker.shared.lock().request.list = true;
    assert!(worker.next_request().unwrap().all_xml);
}

#[test]
fn failures_say_what_to_do() {
    let failed = |uri: &str| match Libvirt::spawn(Some(uri.to_owned()))
        .wait_first(PATIENCE)
        .state
    {
        State::Failed(failure) => failure,
        other => panic!("{uri}: {other:?}"),
    };
    let bad = failed("not a uri");
    assert!(matches!(bad, Failure::BadUri { .. }), "{bad:?}");
    assert!(bad.to_string().contains("'not a uri'"));
    assert!(matches!(failed("a\0b"), Failure::BadUri { .. }));
    assert!(matches!(failed("test:///"), Failure::BadUri { .. }));
    let socket = failed("qemu+unix:///system?socket=/nonexistent/socket");
    assert!(matches!(socket, Failure::NoDaemon { .. }), "{socket:?}");
    for failure in [bad, socket] {
        assert_eq!(failure.to_string().lines().count(), 1);
    }
}

#[test]
fn a_daemon_that_comes_late_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.xml");
    let libvirt = Libvirt::spawn(Some(format!("test://{}", path.display())));
    assert!(matches!(
        libvirt.wait_first(PATIENCE).state,
        State::Failed(_)
    ));
    std::fs::copy(node(1, 0).path(), &path).unwrap();
    eventually(&libvirt, "connected", |snapshot| {
        snapshot.state == State::Connected
    });
}

#[test]
fn a_call_without_an_answer_is_a_failure() {
    let libvirt = Libvirt {
        shared: Arc::default(),
    };
    libvirt.shared.publish(|inner| {
        inner.state = State::Connected;
        inner.busy_since = Instant::now().checked_sub(SLOW * 2);
    });
    let State::Failed(failure) = libvirt.latest().state else {
        panic!("still connected");
    };
    assert!(
        failure.to_string().contains("no answer for 10 s"),
        "{failure}"
    );
}

fn wait(future: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(future);
}

#[test]
fn statistics_are_those_asked_for() {
    let file = node(1, 1);
    let libvirt = spawn(&file);
    let first = libvirt.wait_first(PATIENCE);
    let node = first.node.unwrap();
    assert!(node.memory_kib > 0 && node.online_cpus > 0, "{node:?}");
    let asked_ns = crate::clock::monotonic_ns();
    wait(libvirt.refresh_stats());
    let vms = vms(&libvirt.latest());
    let mut active = vms.iter().filter(|vm| vm.id.is_some());
    let stats = active.next().unwrap().stats.as_ref().unwrap();
    assert!(stats.monotonic_ns >= asked_ns);
    assert_eq!(stats.start, u64::from(vms[0].id.or(vms[1].id).unwrap()));
    let mut inactive = vms.iter().filter(|vm| vm.id.is_none());
    assert_eq!(inactive.next().unwrap().stats, None);
}

#[test]
fn nobody_waits_for_statistics_that_cannot_come() {
    let libvirt = Libvirt::spawn(Some("not a uri".to_owned()));
    libvirt.wait_first(PATIENCE);
    wait(libvirt.refresh_stats());
    let libvirt = Libvirt {
        shared: Arc::default(),
    };
    libvirt.shared.publish(|inner| {
        inner.state = State::Connected;
        inner.busy_since = Instant::now().checked_sub(SLOW * 2);
    });
    wait(libvirt.refresh_stats());
}

#[test]
fn a_listing_after_an_event_keeps_the_statistics() {
    let file = node(1, 0);
    let shared = Arc::new(Shared::default());
    let uri = format!("test://{}", file.path().display());
    prepare_library();
    let connection = Connection::open(&uri, &shared).unwrap();
    let mut worker = Worker::new(shared, uri);
    let mut list = |with_stats| {
        let domains = worker.list(&connection.connect, with_stats).unwrap();
        domains[0].stats.clone()
    };
    let stats = list(true);
    assert!(stats.is_some());
    assert_eq!(list(false), stats);
    assert_ne!(list(true), stats);
}
