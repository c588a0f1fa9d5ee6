//! VMs by libvirt's API.
//!
//! libvirt's calls block, for ever if the daemon hangs, so a thread of its own
//! owns the connection and everybody else reads its last listing. The
//! connection is read-only.
//!
//! A listing takes one call, however many domains there are, with or without
//! their statistics. XML is read once for each domain and again when something
//! may have changed it: an event of libvirt, [`Libvirt::refresh_xml`], or its
//! age.

mod bulk;
mod cache;
mod connection;
mod domains;
mod events;
mod failure;
mod node;
mod pcpus;
mod shared;
#[cfg(test)]
mod tests;
mod totals;
mod worker;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use self::connection::open_to_write;
pub use self::failure::Failure;
pub(crate) use self::failure::one_line;
pub use self::node::Versions;
use self::shared::Shared;
use self::worker::Worker;
use crate::inventory::listing::Listing;
use crate::sample::Node;

/// A call that takes longer than this counts as unanswered.
const SLOW: Duration = Duration::from_secs(5);

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
    pub domains: Arc<Vec<Listing>>,
    /// State of the connection.
    pub state: State,
    /// Age of the listing; none if there never was one.
    pub age: Option<Duration>,
    /// What it tells was so then or later; none if there never was one.
    pub all_read: Option<Instant>,
    /// The machine as libvirt last told it.
    pub node: Option<Arc<Node>>,
    /// Versions as libvirt last told them.
    pub versions: Option<Versions>,
}

/// The URI, if there is one, else that of LIBVIRT_DEFAULT_URI, else `qemu:///system`:
/// for an ordinary user libvirt's own choice would start a second daemon, which
/// knows no taps.
pub(crate) fn usual(uri: Option<String>) -> String {
    uri.or_else(|| std::env::var("LIBVIRT_DEFAULT_URI").ok())
        .filter(|uri| !uri.is_empty())
        .unwrap_or_else(|| "qemu:///system".to_owned())
}

/// A connection to libvirt, and the thread that owns it. The thread ends when
/// this is dropped.
#[derive(Debug)]
pub struct Libvirt {
    shared: Arc<Shared>,
}

impl Libvirt {
    /// Starts the thread, which connects at once.
    pub fn spawn(uri: Option<String>) -> Self {
        let uri = usual(uri);
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

    /// Asks for a listing with new statistics. The future completes when it is
    /// there, or cannot be; it need not be awaited, and does not hold on to the
    /// connection.
    pub fn refresh_stats(&self) -> impl Future<Output = ()> + use<> {
        let mut inner = self.shared.lock();
        inner.request.list = true;
        inner.request.stats = true;
        inner.stats_asked += 1;
        let number = inner.stats_asked;
        drop(inner);
        self.shared.requested.notify_one();
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let answered = shared.answered.notified();
                if shared.lock().has_answered(number) {
                    return;
                }
                answered.await;
            }
        }
    }

    /// Whether statistics are to tell what each domain uses of each physical
    /// CPU, which takes some calls for each domain.
    pub fn want_pcpus(&self, wanted: bool) {
        self.shared.lock().wants_pcpus = wanted;
    }

    /// The last listing. Never waits for libvirt.
    pub fn latest(&self) -> Snapshot {
        let inner = self.shared.lock();
        Snapshot {
            domains: Arc::clone(&inner.domains),
            state: inner.state(),
            age: inner.listed.map(|listed| listed.elapsed()),
            all_read: inner.all_read,
            node: inner.node.clone(),
            versions: inner.versions.clone(),
        }
    }

    /// How often it has listed something else than before, states and statistics of
    /// domains aside, has read all XML again, or was lost or back.
    pub fn changes(&self) -> u64 {
        self.shared.lock().changes
    }

    /// Completes when [`Self::changes`] is another number.
    pub fn changed(&self, from: u64) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let answered = shared.answered.notified();
                if shared.lock().changes != from {
                    return;
                }
                answered.await;
            }
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
