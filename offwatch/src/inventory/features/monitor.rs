//! Notifications of changed features: by an administrator, or by a guest whose
//! driver starts, stops or negotiates anew.

use std::io;

use netlink_packet_generic::GenlMessage;
use netlink_sys::protocols::NETLINK_GENERIC;

use super::{Family, Message};
use crate::{
    inventory::notifications::{Lost, Notifications},
    sample::offloads::Features,
};

/// Receives the notifications. Must live on a tokio runtime.
pub struct Monitor(Notifications<GenlMessage<Message>>);

impl Monitor {
    /// Subscribes. What changes from now on is not missed.
    pub fn open(family: Family) -> io::Result<Self> {
        Notifications::open(NETLINK_GENERIC, family.monitor_group).map(Self)
    }

    /// Waits until the features of an interface change, and returns its
    /// ifindex. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<u32, Lost> {
        self.next_features().await.map(|(ifindex, _)| ifindex)
    }

    /// The same, and the features as they were after that change, unless the
    /// notification cannot be read.
    pub async fn next_features(&mut self) -> Result<(u32, Option<Features>), Lost> {
        loop {
            if let Some(changed) = changed(self.0.next().await?) {
                return Ok(changed);
            }
        }
    }

    /// The ifindex of the next interface whose features have changed; none if the
    /// kernel has told of no other by now.
    pub fn waiting(&mut self) -> Option<Result<u32, Lost>> {
        loop {
            match self.0.waiting()? {
                Err(Lost) => return Some(Err(Lost)),
                Ok(message) => {
                    if let Some((ifindex, _)) = changed(message) {
                        return Some(Ok(ifindex));
                    }
                }
            }
        }
    }
}

fn changed(message: GenlMessage<Message>) -> Option<(u32, Option<Features>)> {
    let message = message.payload;
    let ifindex = message
        .is_features_changed()
        .then(|| message.ifindex().ok())??;
    Some((ifindex, message.features().ok()))
}
