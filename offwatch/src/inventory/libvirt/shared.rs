//! What the thread of the connection and everybody else have in common.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Failure, State};
use crate::sample::Vm;

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) inner: Mutex<Inner>,
    /// Something was requested.
    pub(super) requested: Condvar,
    /// Something was published.
    pub(super) published: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) uri: String,
    pub(super) vms: Arc<Vec<Vm>>,
    pub(super) state: State,
    pub(super) listed: Option<Instant>,
    /// Start of the calls that are under way.
    pub(super) busy_since: Option<Instant>,
    pub(super) request: Request,
}

/// What the thread is to do.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) list: bool,
    /// All XML may have changed.
    pub(super) all_xml: bool,
    /// XML of these domains has changed, by UUID.
    pub(super) xml: HashSet<String>,
    pub(super) stop: bool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is a whole one, so what a panic left is consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.lock());
        self.published.notify_all();
    }
}

impl Inner {
    pub(super) fn fail(&mut self, message: String) {
        let uri = self.uri.clone();
        self.state = State::Failed(Failure::Lost { uri, message });
    }
}
