//! The newest snapshot, for whoever scrapes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    time::timeout,
};

use super::{Own, Snapshot};
use crate::source::Command;

/// A snapshot that is no older answers a scrape: scrapes at one time share one.
const FRESH: Duration = Duration::from_secs(1);
/// How long a scrape waits for a new one.
const PATIENCE: Duration = Duration::from_secs(1);

/// The newest snapshot.
#[derive(Clone)]
pub struct Latest {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Asks for a sample; none of a snapshot that stays.
    commands: Option<UnboundedSender<Command>>,
    /// A sample was asked for.
    is_asked: Arc<AtomicBool>,
    own: Arc<Own>,
}

/// Whoever makes the snapshots.
pub(crate) struct Publisher {
    snapshots: watch::Sender<Arc<Snapshot>>,
    is_asked: Arc<AtomicBool>,
}

impl Publisher {
    /// Shows a snapshot to all who wait for one.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        // Who asks from now on asks for the next one.
        self.is_asked.store(false, Ordering::Release);
        self.snapshots.send_replace(Arc::new(snapshot));
    }
}

impl Latest {
    /// Begins with a snapshot. Newer ones are asked for with `commands`.
    pub(crate) fn new(
        first: Snapshot,
        own: Arc<Own>,
        commands: UnboundedSender<Command>,
    ) -> (Self, Publisher) {
        let (sender, receiver) = watch::channel(Arc::new(first));
        let is_asked = Arc::<AtomicBool>::default();
        let publisher = Publisher {
            snapshots: sender,
            is_asked: Arc::clone(&is_asked),
        };
        let latest = Self {
            snapshots: receiver,
            commands: Some(commands),
            is_asked,
            own,
        };
        (latest, publisher)
    }

    /// Always this one.
    pub fn fixed(mut snapshot: Snapshot) -> Self {
        let own = snapshot.own.get_or_insert_default().clone();
        Self {
            snapshots: watch::channel(Arc::new(snapshot)).1,
            commands: None,
            is_asked: Arc::default(),
            own,
        }
    }

    /// What the exporter counts of itself.
    pub fn own(&self) -> &Arc<Own> {
        &self.own
    }

    /// A snapshot no older than a second, or else the newest there is within a
    /// second: it tells when it was taken.
    pub async fn snapshot(&self) -> Arc<Snapshot> {
        let mut snapshots = self.snapshots.clone();
        let newest = Arc::clone(&snapshots.borrow_and_update());
        let Some(commands) = &self.commands else {
            return newest;
        };
        if newest.age() <= FRESH {
            return newest;
        }
        if !self.is_asked.swap(true, Ordering::AcqRel) {
            // A source that has ended does nothing.
            let _ = commands.send(Command::Now);
        }
        // One that is late, or that ended the source, leaves the newest there is.
        let _ = timeout(
            PATIENCE,
            snapshots.wait_for(|snapshot| snapshot.age() <= FRESH),
        )
        .await;
        Arc::clone(&self.snapshots.borrow())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    fn snapshot(age: Duration) -> Snapshot {
        let taken = Instant::now().checked_sub(age).expect("a running clock");
        Snapshot::default().taken(taken, Duration::ZERO, &Arc::default())
    }

    #[tokio::test]
    async fn those_who_wait_share_one_sample() {
        let (commands, mut asked) = unbounded_channel();
        let old = snapshot(Duration::from_secs(20));
        let (latest, publisher) = Latest::new(old, Arc::default(), commands);
        let sampler = async {
            assert_eq!(asked.recv().await, Some(Command::Now));
            tokio::task::yield_now().await;
            publisher.publish(snapshot(Duration::ZERO));
        };
        let other = latest.clone();
        let (one, two, ()) = tokio::join!(latest.snapshot(), other.snapshot(), sampler);
        assert!(Arc::ptr_eq(&one, &two));
        assert!(one.age() < Duration::from_secs(20));
        assert!(asked.is_empty(), "once");
    }

    #[tokio::test]
    async fn the_newest_there_is_comes_where_none_is_new() {
        let (commands, mut asked) = unbounded_channel();
        let old = snapshot(Duration::from_secs(20));
        let (latest, _publisher) = Latest::new(old, Arc::default(), commands);
        assert!(latest.snapshot().await.age() >= Duration::from_secs(20));
        assert_eq!(asked.recv().await, Some(Command::Now));
        let fixed = Latest::fixed(Snapshot::default());
        assert_eq!(fixed.snapshot().await.age(), Duration::ZERO);
    }
}
