//! Offload features of interfaces, by the kernel's ethtool netlink.
//!
//! An own codec of the few messages it takes.

pub mod bitset;
pub mod message;
mod monitor;

use std::{fmt::Debug, io};

use netlink_packet_generic::{
    GenlFamily, GenlMessage,
    ctrl::{
        GenlCtrl, GenlCtrlCmd,
        nlas::{GenlCtrlAttrs, McastGrpAttrs},
    },
};
use netlink_sys::protocols::NETLINK_GENERIC;

use self::message::{Message, Reply};
pub use self::monitor::Monitor;
use super::{
    netlink::{Requests, malformed},
    rolling::Rolling,
};
use crate::sample::offloads::{FeatureNames, Features};

const FAMILY: &str = "ethtool";
const MONITOR_GROUP: &str = "monitor";

/// What the kernel calls the ethtool family while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    id: u16,
    monitor_group: u32,
}

impl Family {
    /// Asks the kernel. The error tells what is missing.
    pub fn resolve() -> io::Result<Self> {
        let ask = GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(FAMILY.into())],
        };
        let mut requests = Requests::open(NETLINK_GENERIC)?;
        let answers = requests.request(GenlMessage::from_payload(ask));
        let answers = answers.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel has no ethtool netlink (CONFIG_ETHTOOL_NETLINK)",
            ),
            _ => error,
        })?;
        let attributes: Vec<GenlCtrlAttrs> = answers
            .into_iter()
            .flat_map(|answer| answer.payload.nlas)
            .collect();
        let id = attributes.iter().find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(*id),
            _ => None,
        });
        let groups = attributes.iter().find_map(|attribute| match attribute {
            GenlCtrlAttrs::McastGroups(groups) => Some(groups),
            _ => None,
        });
        let monitor_group = groups
            .into_iter()
            .flatten()
            .find_map(|group| group_id(group));
        match (id, monitor_group) {
            (Some(id), Some(monitor_group)) => Ok(Self { id, monitor_group }),
            _ => Err(malformed("the ethtool family has no number")),
        }
    }

    /// A message to the family.
    pub(super) fn message<M: GenlFamily + Debug>(self, message: M) -> GenlMessage<M> {
        let mut message = GenlMessage::from_payload(message);
        message.set_resolved_family_id(self.id);
        message
    }
}

/// The number of the group with notifications, if this is it.
fn group_id(group: &[McastGrpAttrs]) -> Option<u32> {
    let is_monitor = group
        .iter()
        .any(|attribute| matches!(attribute, McastGrpAttrs::Name(name) if name == MONITOR_GROUP));
    group.iter().find_map(|attribute| match attribute {
        McastGrpAttrs::Id(id) if is_monitor => Some(*id),
        _ => None,
    })
}

/// Asks for features and switches them. Only switching needs a privilege,
/// `CAP_NET_ADMIN`.
pub struct FeatureSocket {
    family: Family,
    requests: Requests<GenlMessage<Message>>,
}

impl FeatureSocket {
    /// Opens a socket in the network namespace of this thread.
    pub fn open(family: Family) -> io::Result<Self> {
        Ok(Self {
            family,
            requests: Requests::open(NETLINK_GENERIC)?,
        })
    }

    /// How the running kernel calls its features.
    pub fn names(&mut self) -> io::Result<FeatureNames> {
        let request = self.family.message(Message::get_feature_names());
        let answers = self.requests.request(request)?;
        let answer = answers.first().ok_or_else(|| malformed("no answer"))?;
        answer.payload.feature_names().map_err(malformed)
    }

    /// Features of one interface.
    pub fn of(&mut self, ifindex: u32) -> io::Result<Features> {
        self.ask(Message::get_features(Some(ifindex)))
    }

    /// Features of the interface that has this ifindex and this name.
    pub fn of_both(&mut self, ifindex: u32, dev: &str) -> io::Result<Features> {
        self.ask(Message::get_features_of(ifindex, dev))
    }

    /// Switches features, by name, of the interface that has this ifindex and
    /// this name. No reply: the kernel, before Linux 5.9, had nothing to change.
    pub fn set<'name>(
        &mut self,
        ifindex: u32,
        dev: &str,
        features: impl Iterator<Item = (&'name str, bool)>,
    ) -> io::Result<Option<Reply>> {
        let message = Message::set_features(ifindex, dev, features);
        let answers = self.requests.request(self.family.message(message))?;
        let mut answers = answers.iter().map(|answer| &answer.payload);
        let reply = answers.find(|answer| answer.is_set_reply());
        reply.map(Message::set_reply).transpose().map_err(malformed)
    }

    /// What the kernel said about the last refusal, in its own words.
    pub fn told(&self) -> Option<&str> {
        self.requests.told()
    }

    fn ask(&mut self, message: Message) -> io::Result<Features> {
        let answers = self.requests.request(self.family.message(message))?;
        let answer = answers.first().ok_or_else(|| malformed("no answer"))?;
        answer.payload.features().map_err(malformed)
    }

    /// Features of all interfaces, by ifindex.
    pub fn list(&mut self) -> io::Result<Vec<(u32, Features)>> {
        let request = self.family.message(Message::get_features(None));
        let mut entries = Vec::new();
        self.requests
            .each(request, |answer| entries.push(entry(&answer.payload)))?;
        entries.into_iter().collect()
    }
}

/// Reads features of all interfaces a part at a time, again and again: the
/// kernel does not notify when a feature is asked for that stays off.
pub struct FeatureSweep(Rolling<GenlMessage<Message>>);

impl FeatureSweep {
    /// Opens a socket in the network namespace of this thread, to read at most so
    /// many datagrams, each with about 200 interfaces, at a time.
    pub fn open(family: Family, datagrams: usize) -> io::Result<Self> {
        let requests = Requests::open(NETLINK_GENERIC)?;
        let request = family.message(Message::get_features(None));
        Ok(Self(Rolling::new(requests, request, datagrams)))
    }

    /// Reads the next part.
    pub fn advance(&mut self, mut each: impl FnMut(u32, Features)) -> io::Result<()> {
        self.0.advance(|message, _| {
            if let Ok((ifindex, features)) = entry(&message.payload) {
                each(ifindex, features);
            }
        })
    }
}

fn entry(message: &Message) -> io::Result<(u32, Features)> {
    let entry = message
        .ifindex()
        .and_then(|ifindex| Ok((ifindex, message.features()?)));
    entry.map_err(malformed)
}

#[cfg(test)]
mod tests;
