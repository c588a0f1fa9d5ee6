//! VMs by libvirt's API.
//!
//! libvirt's calls block, for ever if the daemon hangs, so a thread of its own
//! owns the connection and everybody else reads its last listing. The
//! connection is read-only.
//!
//! A listing takes three calls, however many domains there are. XML is read
//! once for each domain and again when something may have changed it: an event
//! of libvirt, [`Libvirt::refresh_xml`], or its age.

mod events;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error as VirtError, ErrorDomain, ErrorNumber};
use virt::sys;

use super::nic::{is_network_card, printable};
use super::status::DIRECTORY;
use super::{domain_xml, nic};
use crate::sample::{Nic, Source, Vm, VmState};

/// A call that takes longer than this counts as unanswered.
const SLOW: Duration = Duration::from_secs(5);
/// The connection is given up after this many seconds of silence, in thirds.
const KEEP_ALIVE_SECONDS: i32 = 5;
/// Pause before the second attempt to connect; doubled by each one that fails.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest pause between two attempts.
const LAST_RETRY: Duration = Duration::from_secs(30);
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

/// Why there is no listing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// There is no daemon.
    #[error("libvirt: no daemon at '{uri}': {message}; start libvirtd or virtqemud")]
    NoDaemon {
        /// What was connected to.
        uri: String,
        /// libvirt's words.
        message: String,
    },
    /// The URI is not one that libvirt understands.
    #[error("libvirt: bad URI '{uri}': {message}; a local host's is qemu:///system")]
    BadUri {
        /// What was connected to.
        uri: String,
        /// libvirt's words.
        message: String,
    },
    /// libvirt is there but does not let this user in, or something else.
    #[error("libvirt: cannot connect to '{uri}': {message}; see https://libvirt.org/auth.html")]
    Refused {
        /// What was connected to.
        uri: String,
        /// libvirt's words.
        message: String,
    },
    /// The connection was lost.
    #[error("libvirt: '{uri}' does not answer: {message}")]
    Lost {
        /// What was connected to.
        uri: String,
        /// libvirt's words.
        message: String,
    },
}

impl Failure {
    /// libvirt's words alone.
    pub fn message(&self) -> &str {
        match self {
            Self::NoDaemon { message, .. }
            | Self::BadUri { message, .. }
            | Self::Refused { message, .. }
            | Self::Lost { message, .. } => message,
        }
    }
}

/// State of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// The first attempt to connect and list is still under way.
    #[default]
    Connecting,
    /// The listing is the daemon's.
    Connected,
    /// There is none; attempts go on.
    Failed(Failure),
}

/// The last listing.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All domains, active and inactive, in libvirt's order. Out of date
    /// unless connected.
    pub vms: Arc<Vec<Vm>>,
    /// State of the connection.
    pub state: State,
    /// Age of the listing; none if there never was one.
    pub age: Option<Duration>,
}

/// A connection to libvirt, and the thread that owns it. The thread ends when
/// this is dropped.
#[derive(Debug)]
pub struct Libvirt {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// Something was requested.
    requested: Condvar,
    /// Something was published.
    published: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    uri: String,
    vms: Arc<Vec<Vm>>,
    state: State,
    listed: Option<Instant>,
    /// Start of the calls that are under way.
    busy_since: Option<Instant>,
    request: Request,
}

/// What the thread is to do.
#[derive(Debug, Default)]
struct Request {
    list: bool,
    /// All XML may have changed.
    all_xml: bool,
    /// XML of these domains has changed, by UUID.
    xml: HashSet<String>,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is a whole one, so what a panic left is consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.lock());
        self.published.notify_all();
    }
}

impl Libvirt {
    /// Starts the thread, which connects at once. Without a URI it is the one
    /// in LIBVIRT_DEFAULT_URI, or else `qemu:///system`: for an ordinary user
    /// libvirt's own choice would start a second daemon, which knows no taps.
    pub fn spawn(uri: Option<String>) -> Self {
        let uri = uri
            .or_else(|| std::env::var("LIBVIRT_DEFAULT_URI").ok())
            .filter(|uri| !uri.is_empty())
            .unwrap_or_else(|| "qemu:///system".to_owned());
        let shared = Arc::new(Shared::default());
        shared.lock().uri.clone_from(&uri);
        let worker = Arc::clone(&shared);
        let spawned = thread::Builder::new()
            .name("libvirt".to_owned())
            .spawn(move || Worker::new(worker, uri).run());
        if let Err(error) = spawned {
            shared.publish(|inner| inner.fail(format!("cannot start a thread: {error}")));
        }
        Self { shared }
    }

    /// What it is connected to, or would be.
    pub fn uri(&self) -> String {
        self.shared.lock().uri.clone()
    }

    /// Asks for a new listing; it will be there a moment later. It may be asked
    /// for as often as one likes.
    pub fn refresh(&self) {
        self.shared.lock().request.list = true;
        self.shared.requested.notify_one();
    }

    /// Asks for a new listing with all XML read again, as after a tap appeared
    /// or disappeared. Many such requests cost no more than a tenth of the
    /// time: those that come too early are answered later.
    pub fn refresh_xml(&self) {
        let mut inner = self.shared.lock();
        inner.request.list = true;
        inner.request.all_xml = true;
        drop(inner);
        self.shared.requested.notify_one();
    }

    /// The last listing. Never waits for libvirt.
    pub fn latest(&self) -> Snapshot {
        let inner = self.shared.lock();
        let state = match inner.busy_since.map(|since| since.elapsed()) {
            Some(busy) if busy > SLOW && !matches!(inner.state, State::Failed(_)) => {
                State::Failed(Failure::Lost {
                    uri: inner.uri.clone(),
                    message: format!("no answer for {} s", busy.as_secs()),
                })
            }
            _ => inner.state.clone(),
        };
        Snapshot {
            vms: Arc::clone(&inner.vms),
            state,
            age: inner.listed.map(|listed| listed.elapsed()),
        }
    }

    /// Waits until the first attempt has succeeded or failed, but not longer
    /// than `timeout`.
    pub fn wait_first(&self, timeout: Duration) -> Snapshot {
        let inner = self.shared.lock();
        let waited = self
            .shared
            .published
            .wait_timeout_while(inner, timeout, |inner| inner.state == State::Connecting);
        drop(waited);
        self.latest()
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        // Not joined: it may be in a call that never returns.
        self.shared.lock().request.stop = true;
        self.shared.requested.notify_one();
    }
}

impl Inner {
    fn fail(&mut self, message: String) {
        let uri = self.uri.clone();
        self.state = State::Failed(Failure::Lost { uri, message });
    }
}

/// The thread's side.
struct Worker {
    shared: Arc<Shared>,
    uri: String,
    /// Devices of domains whose XML was read, by UUID.
    known: HashMap<String, Known>,
    /// No listing before.
    next_list: Instant,
    /// No full reading of XML before.
    next_full_read: Instant,
}

/// What is known of a domain from its XML and from files.
#[derive(Clone, Debug)]
struct Known {
    id: Option<u32>,
    pid: Option<u32>,
    nics: Vec<Nic>,
    read: Instant,
    is_stale: bool,
}

/// A domain in a listing.
struct Listed {
    domain: Domain,
    uuid: String,
    id: Option<u32>,
    state: VmState,
}

impl Worker {
    fn new(shared: Arc<Shared>, uri: String) -> Self {
        Self {
            shared,
            uri,
            known: HashMap::new(),
            next_list: Instant::now(),
            next_full_read: Instant::now(),
        }
    }

    fn run(mut self) {
        // The bindings panic where libvirt breaks its own promises.
        let _guard = PublishEnd(Arc::clone(&self.shared));
        prepare_library();
        let mut pause = FIRST_RETRY;
        while !self.is_stopped() {
            self.busy(true);
            match Connection::open(&self.uri, &self.shared) {
                Ok(connection) => {
                    // What happened meanwhile is not known.
                    self.known.clear();
                    let failure = self.serve(&connection, &mut pause);
                    if let Some(failure) = failure {
                        self.shared
                            .publish(|inner| inner.state = State::Failed(failure));
                    }
                    // Closing may block, too.
                    self.busy(true);
                    drop(connection);
                }
                Err(failure) => {
                    self.shared
                        .publish(|inner| inner.state = State::Failed(failure));
                }
            }
            self.busy(false);
            self.pause(pause);
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// Lists whenever it is asked to, until the connection fails.
    fn serve(&mut self, connection: &Connection, pause: &mut Duration) -> Option<Failure> {
        loop {
            self.busy(true);
            let listed = self.list(&connection.connect);
            self.busy(false);
            match listed {
                Ok(vms) => {
                    *pause = FIRST_RETRY;
                    self.shared.publish(|inner| {
                        inner.vms = Arc::new(vms);
                        inner.state = State::Connected;
                        inner.listed = Some(Instant::now());
                    });
                }
                Err(error) => {
                    return Some(Failure::Lost {
                        uri: self.uri.clone(),
                        message: one_line(error.message()),
                    });
                }
            }
            let request = self.next_request()?;
            if request.all_xml {
                self.known
                    .values_mut()
                    .for_each(|known| known.is_stale = true);
            }
            for uuid in &request.xml {
                if let Some(known) = self.known.get_mut(uuid) {
                    known.is_stale = true;
                }
            }
        }
    }

    /// Waits for something to do; none to stop.
    fn next_request(&self) -> Option<Request> {
        let mut inner = self.shared.lock();
        loop {
            if inner.request.stop {
                return None;
            }
            let now = Instant::now();
            if inner.request.list && now < self.next_list {
                inner = self
                    .shared
                    .requested
                    .wait_timeout(inner, self.next_list - now)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            }
            if inner.request.list {
                let mut request = std::mem::take(&mut inner.request);
                if request.all_xml && now < self.next_full_read {
                    request.all_xml = false;
                    // Answered by a listing that is allowed to.
                    inner.request.all_xml = true;
                }
                return Some(request);
            }
            inner = self
                .shared
                .requested
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lists all domains and reads the XML that is missing or out of date.
    fn list(&mut self, connect: &Connect) -> Result<Vec<Vm>, VirtError> {
        let started = Instant::now();
        let domains = list_domains(connect)?;
        let mut known = HashMap::with_capacity(domains.len());
        let mut old = OLD_XML_AT_ONCE;
        let mut read = 0;
        let mut vms = Vec::with_capacity(domains.len());
        for Listed {
            domain,
            uuid,
            id,
            state,
        } in domains
        {
            let name = printable(&domain.get_name()?);
            let mut entry = self.known.remove(&uuid).filter(|known| {
                // A domain that was just started has no interfaces yet.
                let is_complete = id.is_none() || !known.nics.iter().any(lacks_tap);
                let is_young = known.read.elapsed() < OLD_XML || old == 0;
                old -= usize::from(!is_young);
                known.id == id && is_complete && is_young && !known.is_stale
            });
            if entry.is_none() {
                read += 1;
                // Each call has its own time to be answered.
                self.busy(true);
                entry = match domain.get_xml_desc(0) {
                    Ok(xml) => Some(Known {
                        id,
                        pid: id.and_then(|_| self.pid(&name)),
                        nics: nics(&name, &xml),
                        read: Instant::now(),
                        is_stale: false,
                    }),
                    // It ended in between.
                    Err(error) if error.code() == ErrorNumber::NoDomain => continue,
                    Err(error) if !connect.is_alive().unwrap_or(false) => return Err(error),
                    Err(error) => {
                        log::debug!("libvirt: XML of '{name}': {}", one_line(error.message()));
                        None
                    }
                };
            }
            vms.push(Vm {
                name,
                uuid: Some(uuid.clone()),
                id,
                pid: entry.as_ref().and_then(|known| known.pid),
                state,
                source: Source::Libvirt,
                nics: entry
                    .as_ref()
                    .map(|known| known.nics.clone())
                    .unwrap_or_default(),
                ..Vm::default()
            });
            known.extend(entry.map(|entry| (uuid, entry)));
        }
        self.known = known;
        let (now, took) = (Instant::now(), started.elapsed());
        self.next_list = now + SHORTEST_PAUSE.max(took * LIST_PAUSE);
        // Reading a few costs nothing worth a limit.
        if read > OLD_XML_AT_ONCE {
            self.next_full_read = now + took * FULL_READ_PAUSE;
        }
        Ok(vms)
    }

    /// Process id of an active domain, if its file is there and may be read.
    fn pid(&self, name: &str) -> Option<u32> {
        if !self.uri.starts_with("qemu:") || name.contains('/') {
            return None;
        }
        let file = Path::new(DIRECTORY).join(format!("{name}.pid"));
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    fn busy(&self, is_busy: bool) {
        self.shared.lock().busy_since = is_busy.then(Instant::now);
    }

    fn is_stopped(&self) -> bool {
        self.shared.lock().request.stop
    }

    fn pause(&self, pause: Duration) {
        let inner = self.shared.lock();
        let waited = self
            .shared
            .requested
            .wait_timeout_while(inner, pause, |inner| !inner.request.stop);
        drop(waited);
    }
}

/// Says so if the thread ends while somebody still reads from it.
struct PublishEnd(Arc<Shared>);

impl Drop for PublishEnd {
    fn drop(&mut self) {
        self.0.publish(|inner| {
            inner.busy_since = None;
            if thread::panicking() {
                inner.fail("internal error in the libvirt thread".to_owned());
            }
        });
    }
}

/// An open connection; closed when dropped.
struct Connection {
    connect: Connect,
    callbacks: Vec<libc::c_int>,
}

impl Connection {
    fn open(uri: &str, shared: &Arc<Shared>) -> Result<Self, Failure> {
        // The bindings panic on a NUL.
        if uri.contains('\0') {
            return Err(Failure::BadUri {
                uri: printable(uri),
                message: "it contains a NUL".to_owned(),
            });
        }
        let bad = |message: String| Failure::BadUri {
            uri: printable(uri),
            message: printable(&message),
        };
        super::uri::local(uri).map_err(bad)?;
        // libvirt's test driver would have libxml2 complain on stderr.
        if let Some(path) = uri.strip_prefix("test://")
            && path != "/default"
            && !std::path::Path::new(path).is_file()
        {
            return Err(bad(format!("there is no file {path}")));
        }
        let connect = Connect::open_read_only(Some(uri)).map_err(|error| failure(uri, &error))?;
        // An alias in libvirt's configuration may stand for another host.
        if let Ok(resolved) = connect.get_uri() {
            super::uri::local(&resolved).map_err(bad)?;
        }
        // Not every driver has it, and none needs it to work.
        if let Err(error) = connect.set_keep_alive(KEEP_ALIVE_SECONDS, 3) {
            log::debug!("libvirt: no keep-alive: {}", one_line(error.message()));
        }
        let callbacks = events::register(&connect, shared);
        Ok(Self { connect, callbacks })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A callback holds a reference to the connection.
        events::deregister(&self.connect, &self.callbacks);
        if let Err(error) = self.connect.close() {
            log::debug!("libvirt: close: {}", one_line(error.message()));
        }
    }
}

/// Silences libvirt's error handler, which writes to stderr, and starts the
/// event loop that keep-alive and events need. Once in a process.
fn prepare_library() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        virt::error::clear_error_callback();
        // Must come before the first connection. A loop must run from then on,
        // or the daemon's own keep-alive would find the connection dead.
        if virt::event::event_register_default_impl().is_err() {
            return;
        }
        let spawned = thread::Builder::new()
            .name("libvirt-events".to_owned())
            .spawn(|| {
                loop {
                    if virt::event::event_run_default_impl().is_err() {
                        thread::sleep(FIRST_RETRY);
                    }
                }
            });
        if let Err(error) = spawned {
            log::warn!("libvirt: no thread for events: {error}");
        }
    });
}

/// Lists all domains with their states, in three calls: asking each domain for
/// its state would take one call for each.
fn list_domains(connect: &Connect) -> Result<Vec<Listed>, VirtError> {
    let domains = connect.list_all_domains(0)?;
    let paused: HashSet<String> = connect
        .list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_PAUSED)?
        .iter()
        .map(Domain::get_uuid_string)
        .collect::<Result<_, _>>()?;
    // Few, as a rule: blocked, shutting down, crashed, suspended.
    let mut others = HashMap::new();
    for domain in connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_OTHER)? {
        // Without a state it ended in between.
        if let Ok((state, _)) = domain.get_state() {
            others.insert(domain.get_uuid_string()?, vm_state(state));
        }
    }
    let mut listed = Vec::with_capacity(domains.len());
    for domain in domains {
        let uuid = domain.get_uuid_string()?;
        let id = domain.get_id();
        let state = match others.get(&uuid) {
            Some(&state) => state,
            None if id.is_none() => VmState::Shutoff,
            None if paused.contains(&uuid) => VmState::Paused,
            None => VmState::Running,
        };
        listed.push(Listed {
            domain,
            uuid,
            id,
            state,
        });
    }
    Ok(listed)
}

fn vm_state(state: sys::virDomainState) -> VmState {
    match state {
        sys::VIR_DOMAIN_RUNNING => VmState::Running,
        sys::VIR_DOMAIN_BLOCKED => VmState::Blocked,
        sys::VIR_DOMAIN_PAUSED => VmState::Paused,
        sys::VIR_DOMAIN_SHUTDOWN => VmState::Shutdown,
        sys::VIR_DOMAIN_SHUTOFF => VmState::Shutoff,
        sys::VIR_DOMAIN_CRASHED => VmState::Crashed,
        sys::VIR_DOMAIN_PMSUSPENDED => VmState::Suspended,
        _ => VmState::Unknown,
    }
}

fn lacks_tap(card: &Nic) -> bool {
    card.backend == nic::backend::TAP && card.dev.is_none()
}

/// Network cards in the XML of a domain.
fn nics(name: &str, xml: &str) -> Vec<Nic> {
    match domain_xml::parse(xml, &|address| is_network_card(Path::new("/sys"), address)) {
        Ok(domain) => domain.nics,
        Err(error) => {
            log::warn!("libvirt: XML of '{name}': {error}");
            Vec::new()
        }
    }
}

/// Sorts the reasons why a connection could not be opened.
fn failure(uri: &str, error: &VirtError) -> Failure {
    let (uri, message) = (printable(uri), one_line(error.message()));
    match (error.code(), error.domain()) {
        // The number of the system's error does not come with it.
        (ErrorNumber::SystemError, ErrorDomain::Rpc) if !message.contains("denied") => {
            Failure::NoDaemon { uri, message }
        }
        (ErrorNumber::InvalidArg | ErrorNumber::NoConnect, _) | (_, ErrorDomain::Uri) => {
            Failure::BadUri { uri, message }
        }
        (ErrorNumber::InternalError, _) if message.contains("URI") => {
            Failure::BadUri { uri, message }
        }
        _ => Failure::Refused { uri, message },
    }
}

/// Error messages may have several lines, as a hypervisor's own output.
fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    printable(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

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
        let mut vms = snapshot.vms.to_vec();
        vms.sort_by(|a, b| a.name.cmp(&b.name));
        let states: Vec<_> = vms
            .iter()
            .map(|vm| (vm.name.as_str(), vm.state, vm.id.is_some()))
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
        assert_eq!(first.vms.len(), 1000);
        assert_eq!(first.vms.iter().filter(|vm| vm.id.is_some()).count(), 900);
        libvirt.refresh();
        let second = eventually(&libvirt, "listed again", |snapshot| {
            !Arc::ptr_eq(&snapshot.vms, &first.vms)
        });
        assert_eq!(second.vms, first.vms);
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
            snapshot
                .vms
                .iter()
                .find(|vm| vm.name == "test")
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
            off.vms.iter().find(|vm| vm.name == "test").unwrap().id,
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
        worker.list(&connection.connect).unwrap();
        let spoil = |worker: &mut Worker| {
            for known in worker.known.values_mut() {
                known.nics[0].dev = Some("wrong".to_owned());
            }
        };
        let dev = |vms: &[Vm]| vms[0].nics[0].dev.clone().unwrap();
        spoil(&mut worker);
        assert_eq!(dev(&worker.list(&connection.connect).unwrap()), "wrong");
        worker
            .known
            .values_mut()
            .for_each(|known| known.is_stale = true);
        assert_eq!(dev(&worker.list(&connection.connect).unwrap()), "owtap0000");
        // Another id: the domain was started again.
        spoil(&mut worker);
        worker
            .known
            .values_mut()
            .for_each(|known| known.id = Some(77));
        assert_eq!(dev(&worker.list(&connection.connect).unwrap()), "owtap0000");
        // Incomplete: the domain was being started.
        worker
            .known
            .values_mut()
            .for_each(|known| known.nics[0].dev = None);
        assert_eq!(dev(&worker.list(&connection.connect).unwrap()), "owtap0000");
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
}
