//! What the thread of the connection and everybody else have in common.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::bulk::Uuid;
use super::{Failure, SLOW, State, Versions};
use crate::inventory::listing::Listing;
use crate::sample::Node;

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) inner: Mutex<Inner>,
    /// Something was requested.
    pub(super) requested: Condvar,
    /// Something was published.
    pub(super) published: Condvar,
    /// The same for those who do not block.
    pub(super) answered: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) uri: String,
    pub(super) domains: Arc<Vec<Listing>>,
    pub(super) state: State,
    pub(super) listed: Option<Instant>,
    /// No XML in the listing is older.
    pub(super) all_read: Option<Instant>,
    /// How often something else was published than before, states and statistics
    /// of domains aside.
    pub(super) changes: u64,
    /// The machine, if libvirt has told.
    pub(super) node: Option<Arc<Node>>,
    /// Versions, likewise.
    pub(super) versions: Option<Versions>,
    /// Statistics were asked for so many times, ...
    pub(super) stats_asked: u64,
    /// ... and this one was answered, or failed.
    pub(super) stats_answered: u64,
    /// Physical CPUs are shown.
    pub(super) wants_pcpus: bool,
    /// Start of the calls that are under way.
    pub(super) busy_since: Option<Instant>,
    pub(super) request: Request,
}

/// What the thread is to do.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) list: bool,
    /// Statistics, too, and at once.
    pub(super) stats: bool,
    /// How many times statistics had been asked for.
    pub(super) number: u64,
    /// All XML may have changed.
    pub(super) all_xml: bool,
    /// XML of these domains has changed, by UUID.
    pub(super) xml: HashSet<Uuid>,
    pub(super) stop: bool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is a whole one, so what a panic left is consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        let before = (
            Arc::clone(&inner.domains),
            inner.state.clone(),
            inner.all_read,
        );
        change(&mut inner);
        let (domains, state, all_read) = before;
        let is_same = inner.state == state
            && inner.all_read == all_read
            && inner.domains.len() == domains.len()
            && inner
                .domains
                .iter()
                .zip(&*domains)
                .all(|(one, other)| Arc::ptr_eq(&one.vm, &other.vm));
        inner.changes += u64::from(!is_same);
        drop(inner);
        self.published.notify_all();
        self.answered.notify_waiters();
    }
}

impl Inner {
    /// State of the connection, a call without an answer included.
    pub(super) fn state(&self) -> State {
        match self.busy_since.map(|since| since.elapsed()) {
            Some(busy) if busy > SLOW && !matches!(self.state, State::Failed(_)) => {
                State::Failed(Failure::Lost {
                    uri: self.uri.clone(),
                    message: format!("no answer for {} s", busy.as_secs()),
                })
            }
            _ => self.state.clone(),
        }
    }

    /// Whether statistics asked for are there, or cannot be.
    pub(super) fn has_answered(&self, number: u64) -> bool {
        self.stats_answered >= number || matches!(self.state(), State::Failed(_))
    }

    pub(super) fn fail(&mut self, message: String) {
        let uri = self.uri.clone();
        self.state = State::Failed(Failure::Lost { uri, message });
    }
}
