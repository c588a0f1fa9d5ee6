//! What is asked of the kernel, by whichever way it offers.

use std::io;

use serde::{Deserialize, Serialize};

use super::target::Id;
pub use crate::inventory::features::message::Reply;
use crate::sample::offloads::{FeatureNames, FeatureSet, Features};

pub mod ioctl;
pub mod netlink;

/// Which features are to be switched, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Those that are to be switched.
    pub mask: FeatureSet,
    /// Those of them that are to be on.
    pub on: FeatureSet,
}

impl Request {
    /// Adds a feature.
    pub fn switch(&mut self, bit: usize, on: bool) {
        let feature = FeatureSet::from_iter([bit]);
        self.mask = self.mask | feature;
        self.on = match on {
            true => self.on | feature,
            false => self.on - feature,
        };
    }

    /// What leads from one set to another.
    pub fn between(from: FeatureSet, to: FeatureSet) -> Self {
        let mask = from ^ to;
        Self {
            mask,
            on: to & mask,
        }
    }

    /// A set after this.
    #[must_use]
    pub fn applied_to(&self, set: FeatureSet) -> FeatureSet {
        (set - self.mask) | (self.on & self.mask)
    }

    /// Whether nothing is to be switched.
    pub fn is_empty(&self) -> bool {
        self.mask.is_empty()
    }
}

/// Why the kernel changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// `ENODEV`: there is no interface with this ifindex, or it has another name.
    #[error("{} with ifindex {} is gone, or is another interface now", .0.dev, .0.ifindex)]
    Gone(Id),
    /// `EPERM`.
    #[error("not permitted: this takes CAP_NET_ADMIN in the network namespace")]
    NotPermitted,
    /// Anything else, with what the kernel said of it (extack).
    #[error("{source}{}", .told.as_ref().map(|told| format!(" ({told})")).unwrap_or_default())]
    Other {
        /// Its error.
        source: io::Error,
        /// Its words.
        told: Option<String>,
    },
}

/// The best way that the running kernel offers, in the network namespace of this
/// thread.
pub fn open() -> io::Result<Box<dyn Kernel + Send>> {
    or_ioctl(netlink::Netlink::open())
}

/// The ioctl where there is no ethtool netlink. Any other error is one.
fn or_ioctl(netlink: io::Result<netlink::Netlink>) -> io::Result<Box<dyn Kernel + Send>> {
    match netlink {
        Ok(netlink) => Ok(Box::new(netlink)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            Ok(Box::new(ioctl::Ioctl::open()?))
        }
        Err(error) => Err(error),
    }
}

/// Reads and changes features in the network namespace in which it was opened.
/// All of it waits a bounded time.
pub trait Kernel {
    /// How the kernel calls its features.
    fn names(&mut self) -> io::Result<FeatureNames>;

    /// Features of one interface. A [`Refusal::Gone`] if its name is another.
    fn of(&mut self, id: &Id) -> Result<Features, Refusal>;

    /// Features of all interfaces, by ifindex.
    fn list(&mut self) -> io::Result<Vec<(u32, Features)>>;

    /// Switches features of one interface: it must have this ifindex and this
    /// name. `Ok` says only that the request was taken; what became of it is in
    /// the reply, and certain when it is read back.
    fn set(&mut self, id: &Id, request: &Request) -> Result<Reply, Refusal>;

    /// The same of several interfaces, in this order; each fares by itself.
    fn set_each(&mut self, requests: &[(&Id, Request)]) -> Vec<Result<Reply, Refusal>> {
        let each = requests.iter();
        each.map(|(id, request)| self.set(id, request)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_ethtool_netlink_the_ioctl_is_asked() {
        let without = or_ioctl(Err(io::ErrorKind::Unsupported.into()));
        let names = without.and_then(|mut kernel| kernel.names());
        assert_eq!(names.expect("names").bit("tx-scatter-gather"), Some(0));
        let failed = or_ioctl(Err(io::ErrorKind::OutOfMemory.into()));
        let error = failed.map(drop).expect_err("an error");
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }

    #[test]
    fn a_request_leads_from_one_set_to_another() {
        let set = |bits: &[usize]| bits.iter().copied().collect::<FeatureSet>();
        let request = Request::between(set(&[1, 2]), set(&[2, 65]));
        assert_eq!(request.mask, set(&[1, 65]));
        assert_eq!(request.on, set(&[65]));
        assert_eq!(request.applied_to(set(&[1, 2, 9])), set(&[2, 9, 65]));
        assert!(Request::between(set(&[4]), set(&[4])).is_empty());
        let mut request = Request::default();
        request.switch(3, false);
        request.switch(4, true);
        request.switch(5, true);
        request.switch(5, false);
        assert_eq!(request.applied_to(set(&[3, 5])), set(&[4]));
    }
}
