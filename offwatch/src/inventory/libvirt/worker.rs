//! The thread that owns the connection.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::bulk::Uuid;
use super::cache::Known;
use super::connection::{Connection, FIRST_RETRY, prepare_library};
use super::failure::one_line;
use super::shared::{Request, Shared};
use super::{Failure, State, node};

/// The machine is asked for again after this time: CPUs come and go.
const OLD_NODE: Duration = Duration::from_secs(60);
/// Longest pause between two attempts.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// The thread's side.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) uri: String,
    /// Domains whose XML was read, by UUID.
    pub(super) known: HashMap<Uuid, Known>,
    /// How many listings there were.
    pub(super) listings: u64,
    /// No listing before.
    pub(super) next_list: Instant,
    /// No full reading of XML before.
    pub(super) next_full_read: Instant,
    /// Statistics are not to wait for guests whose monitor is busy.
    pub(super) no_wait: bool,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, uri: String) -> Self {
        Self {
            shared,
            uri,
            known: HashMap::new(),
            listings: 0,
            next_list: Instant::now(),
            next_full_read: Instant::now(),
            no_wait: false,
        }
    }

    pub(super) fn run(mut self) {
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
                    self.no_wait = false;
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
        let mut request = Request {
            stats: true,
            number: self.shared.lock().stats_asked,
            ..Request::default()
        };
        let mut node_read = None;
        // All XML is read by the first listing.
        let mut all_read = Instant::now();
        loop {
            self.busy(true);
            let listed = self.list(&connection.connect, request.stats);
            let is_old = |read: &Instant| read.elapsed() > OLD_NODE;
            if node_read.as_ref().is_none_or(is_old) && listed.is_ok() {
                self.busy(true);
                let node = node::read(&connection.connect).map(Arc::new);
                let versions = node::versions(&connection.connect);
                let mut inner = self.shared.lock();
                inner.node = node;
                inner.versions = Some(versions);
                drop(inner);
                node_read = Some(Instant::now());
            }
            self.busy(false);
            match listed {
                Ok(domains) => {
                    *pause = FIRST_RETRY;
                    self.shared.publish(|inner| {
                        inner.domains = Arc::new(domains);
                        inner.state = State::Connected;
                        inner.listed = Some(Instant::now());
                        inner.all_read = Some(all_read);
                        if request.stats {
                            inner.stats_answered = request.number;
                        }
                    });
                }
                Err(error) => {
                    return Some(Failure::Lost {
                        uri: self.uri.clone(),
                        message: one_line(error.message()),
                    });
                }
            }
            request = self.next_request()?;
            if request.all_xml {
                all_read = Instant::now();
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
    pub(super) fn next_request(&self) -> Option<Request> {
        let mut inner = self.shared.lock();
        loop {
            if inner.request.stop {
                return None;
            }
            let now = Instant::now();
            if inner.request.list && !inner.request.stats && now < self.next_list {
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
                request.number = inner.stats_asked;
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

    pub(super) fn busy(&self, is_busy: bool) {
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
