//! The kernel's notifications of interfaces and features.

use std::io;

use crate::{
    inventory::{
        features::{Family, Monitor},
        link::{Link, LinkError, LinkEvent, Links},
    },
    sample::offloads::Features,
};

/// Something changed.
#[derive(Debug)]
pub(super) enum Event {
    /// Features of the interface with this ifindex: what they were then, unless
    /// that is not told.
    Features(u32, Option<Features>),
    /// An interface is new or changed.
    Link(Box<Link>),
    /// The interface with this ifindex is gone.
    Gone(u32),
    /// Notifications were dropped. The subscriptions are new ones.
    Lost,
}

/// Subscriptions. Must live on a tokio runtime.
pub(super) struct Sources {
    links: Links,
    /// Without ethtool netlink, rtnetlink alone tells that something changed.
    monitor: Option<(Family, Monitor)>,
}

impl Sources {
    /// Subscribes. What changes from now on is not missed.
    pub(super) fn open(family: Option<Family>) -> Result<Self, LinkError> {
        let monitor = |family| Ok::<_, io::Error>((family, Monitor::open(family)?));
        Ok(Self {
            links: Links::open()?,
            monitor: family.map(monitor).transpose()?,
        })
    }

    /// All interfaces.
    pub(super) fn list(&mut self) -> Result<Vec<Link>, LinkError> {
        self.links.list()
    }

    /// Waits for the next event. Nothing is lost if the wait is given up.
    pub(super) async fn next(&mut self) -> Result<Event, LinkError> {
        let features = async {
            match &mut self.monitor {
                Some((_, monitor)) => monitor.next_features().await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            event = self.links.next() => match event {
                LinkEvent::Changed(link) => Some(Event::Link(link)),
                LinkEvent::Gone(ifindex) => Some(Event::Gone(ifindex)),
                LinkEvent::Lost => None,
            },
            changed = features => changed.ok().map(|(ifindex, features)| Event::Features(ifindex, features)),
        };
        match event {
            Some(event) => Ok(event),
            // What is still queued is older than what was lost.
            None => {
                let family = self.monitor.as_ref().map(|(family, _)| *family);
                *self = Self::open(family)?;
                Ok(Event::Lost)
            }
        }
    }

    /// Whether changes of features are not told as such.
    pub(super) fn is_alone(&self) -> bool {
        self.monitor.is_none()
    }
}
