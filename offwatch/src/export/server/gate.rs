//! How many connections there are at once.

use std::{cell::Cell, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::Notified},
    time::timeout,
};

/// Lets a number of connections in.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    count: u16,
    /// A connection waits for a place.
    is_wanted: Cell<bool>,
    /// A connection waits for a descriptor.
    is_starved: Cell<bool>,
    room: Notify,
}

impl Gate {
    pub(super) fn new(count: u16) -> Self {
        Self {
            places: Arc::new(Semaphore::new(count.into())),
            count,
            is_wanted: Cell::new(false),
            is_starved: Cell::new(false),
            room: Notify::new(),
        }
    }

    /// Waits for a place; for one at a time.
    pub(super) async fn enter(&self) -> OwnedSemaphorePermit {
        let places = Arc::clone(&self.places);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return place;
        }
        self.is_wanted.set(true);
        // The one that is idle longest; if none is, the next that will be.
        self.room.notify_one();
        let place = places.acquire_owned().await;
        self.is_wanted.set(false);
        place.unwrap_or_else(|_| unreachable!("the semaphore is never closed"))
    }

    /// Tells whether descriptors or memory are too few for another connection. As long as
    /// they are, idle ones give way, one each time.
    pub(super) fn starved(&self, is_starved: bool) {
        self.is_starved.set(is_starved);
        if is_starved {
            self.room.notify_one();
        }
    }

    /// Resolves when an idle connection is asked whether its place
    /// [is wanted](Self::is_wanted).
    pub(super) fn asked(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Whether an idle connection is to give way.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.get() || self.is_starved.get()
    }

    /// Waits until there are no connections, but no longer than that.
    pub(super) async fn emptied(&self, patience: Duration) {
        let all = self.places.acquire_many(self.count.into());
        let _ = timeout(patience, all).await;
    }
}
