//! Snapshots that are being sent.

use std::{
    cell::RefCell,
    sync::{Arc, Weak},
};

use crate::export::Snapshot;

/// How many at once: one of ten thousand interfaces has some MiB, and those who read
/// slowly keep theirs in memory.
const MOST: usize = 4;

/// Those that somebody reads, the newest last.
#[derive(Default)]
pub(super) struct Held(RefCell<Vec<Weak<Snapshot>>>);

impl Held {
    /// What is to be sent where the newest snapshot is this. While slow readers hold
    /// as many as there may be, it is the newest of theirs, which tells its age: never
    /// one older than was sent before.
    pub(super) fn one(&self, newest: Arc<Snapshot>) -> Arc<Snapshot> {
        let mut held = self.0.borrow_mut();
        held.retain(|snapshot| snapshot.strong_count() > 0);
        let last = held.last().and_then(Weak::upgrade);
        match last {
            Some(last) if held.len() == MOST || Arc::ptr_eq(&last, &newest) => last,
            _ => {
                held.push(Arc::downgrade(&newest));
                newest
            }
        }
    }
}
