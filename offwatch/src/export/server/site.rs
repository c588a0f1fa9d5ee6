//! What all connections share.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use tokio::sync::watch;

use super::{access::Access, gate::Gate, held::Held, limits::Limits};
use crate::export::{Latest, Snapshot};

/// What there is to be served, and to whom.
pub(super) struct Site {
    pub(super) latest: Latest,
    pub(super) limits: Limits,
    pub(super) gate: Gate,
    held: Held,
    access: RefCell<Rc<Access>>,
    is_ended: watch::Sender<bool>,
}

impl Site {
    pub(super) fn new(latest: Latest, limits: Limits, access: Access) -> Self {
        Self {
            latest,
            limits,
            gate: Gate::new(limits.connections),
            held: Held::default(),
            access: RefCell::new(Rc::new(access)),
            is_ended: watch::Sender::new(false),
        }
    }

    /// What a scrape is answered with.
    pub(super) async fn snapshot(&self) -> Arc<Snapshot> {
        self.held.one(self.latest.snapshot().await)
    }

    /// Who may scrape; those who are at it may go on as they began.
    pub(super) fn access(&self) -> Rc<Access> {
        Rc::clone(&self.access.borrow())
    }

    /// Others may from now on.
    pub(super) fn set_access(&self, access: Access) {
        self.access.replace(Rc::new(access));
    }

    /// Ends the connections: answers that are under way are the last.
    pub(super) async fn end(&self) {
        self.is_ended.send_replace(true);
        self.gate.emptied(self.limits.end).await;
    }

    /// Waits until connections are to end.
    pub(super) async fn ended(&self) {
        let mut is_ended = self.is_ended.subscribe();
        // The sender is here.
        let _ = is_ended.wait_for(|is_ended| *is_ended).await;
    }
}
