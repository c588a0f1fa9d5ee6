//! By the kernel's ethtool netlink.

use std::io;

use nix::errno::Errno;

use super::{Kernel, Refusal, Reply, Request};
use crate::{
    enforce::target::Id,
    inventory::features::{Family, FeatureSocket},
    sample::offloads::{FeatureNames, Features},
};

/// A socket for requests alone: notifications have another, so that one that
/// overruns loses no answer.
pub struct Netlink {
    socket: FeatureSocket,
    names: FeatureNames,
}

impl Netlink {
    /// In the network namespace of this thread. The error tells what is missing.
    pub fn open() -> io::Result<Self> {
        Self::of_family(Family::resolve()?)
    }

    /// The same of a family that is known already.
    pub fn of_family(family: Family) -> io::Result<Self> {
        let mut socket = FeatureSocket::open(family)?;
        let names = socket.names()?;
        Ok(Self { socket, names })
    }

    fn refusal(&self, id: &Id, source: io::Error) -> Refusal {
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENODEV) => Refusal::Gone(id.clone()),
            Some(Errno::EPERM) => Refusal::NotPermitted,
            _ => Refusal::Other {
                told: self.socket.told().map(ToOwned::to_owned),
                source,
            },
        }
    }
}

impl Kernel for Netlink {
    fn names(&mut self) -> io::Result<FeatureNames> {
        Ok(self.names.clone())
    }

    fn of(&mut self, id: &Id) -> Result<Features, Refusal> {
        let features = self.socket.of_both(id.ifindex, &id.dev);
        features.map_err(|error| self.refusal(id, error))
    }

    fn list(&mut self) -> io::Result<Vec<(u32, Features)>> {
        self.socket.list()
    }

    fn set(&mut self, id: &Id, request: &Request) -> Result<Reply, Refusal> {
        let features = request.mask.iter().filter_map(|bit| {
            let name = self.names.name(bit)?;
            Some((name, request.on.contains(bit)))
        });
        let reply = self.socket.set(id.ifindex, &id.dev, features);
        reply
            .map(Option::unwrap_or_default)
            .map_err(|error| self.refusal(id, error))
    }
}
