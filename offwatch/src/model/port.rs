//! The interfaces of a model. What is told of one is made when it is looked
//! at: of ten thousand, a screen shows some, and a stream one after the other.

use std::{borrow::Cow, fmt, ops::Deref, sync::Arc, sync::OnceLock};

use serde::{Serialize, Serializer};

use super::{Interface, Joined, Rates};
use crate::sample::{self, Kind, Nic};

/// An interface of a model: a VM's network card, or another interface of the
/// host.
#[derive(Clone)]
pub struct Port {
    joined: Arc<Joined>,
    /// Its place in the sample; none if the host has no such interface.
    found: Option<u32>,
    /// Its place in the sample before, whether it was counted there or not.
    before: Option<u32>,
    /// The VM's card that it is, if it is one.
    card: Option<Card>,
    made: OnceLock<Box<Interface>>,
}

/// A card by its places in the sample: that of the VM, and that among its cards.
#[derive(Clone, Copy)]
pub(super) struct Card {
    pub(super) vm: u32,
    pub(super) card: u32,
}

impl Port {
    pub(super) fn new(joined: &Arc<Joined>, found: Option<u32>, card: Option<Card>) -> Self {
        Self {
            joined: Arc::clone(joined),
            found,
            before: found.and_then(|found| joined.before(found)),
            card,
            made: OnceLock::new(),
        }
    }

    /// Everything that is told of the interface. Whoever looks at it only once
    /// need not have it kept.
    pub fn make(&self) -> Interface {
        let (found, before) = (self.found(), self.before());
        match (self.nic(), found) {
            (Some(nic), _) => self.joined.of_vm(nic, found, before),
            (None, Some(found)) => self.joined.other(found, before),
            (None, None) => unreachable!("what is no card is an interface of the host"),
        }
    }

    /// Name of the host's interface, if there is one.
    pub fn dev(&self) -> Option<&str> {
        match (self.nic(), self.found()) {
            (Some(nic), found) if nic.unobservable.is_some() || found.is_none() => {
                nic.dev.as_deref()
            }
            (_, found) => found.map(|found| &*found.dev),
        }
    }

    /// The same, or else what carries the frames.
    pub fn name(&self) -> &str {
        let backend = || self.nic().map_or("", |nic| &nic.backend);
        self.dev().unwrap_or_else(backend)
    }

    /// It is a VM's network card.
    pub fn is_card(&self) -> bool {
        self.card.is_some()
    }

    /// `tap`, `bridge`, `physical`, ... or what carries the VM's frames instead.
    pub fn kind(&self) -> &str {
        match (self.observed(), self.nic()) {
            (Some(found), _) => found.kind.name(),
            (None, nic) => nic.map_or("", |nic| &nic.backend),
        }
    }

    /// A tap that belongs to no known VM.
    pub fn is_unowned(&self) -> bool {
        let is_tap = |found: &sample::Interface| found.kind == Kind::Tap;
        !self.is_card() && self.found().is_some_and(is_tap)
    }

    /// Its index.
    pub fn ifindex(&self) -> Option<u32> {
        self.found().map(|found| found.ifindex)
    }

    /// Bridge, bond or switch the interface belongs to.
    pub fn master(&self) -> Option<Cow<'_, str>> {
        let found = self.observed()?;
        self.joined.name_of(found.master?).into()
    }

    /// Its frames are counted.
    pub fn is_counted(&self) -> bool {
        self.observed()
            .is_some_and(|found| found.counted().is_some())
    }

    /// Its rates; none of an interface that is not counted.
    pub fn rates(&self) -> Option<Rates> {
        self.joined.rates(self.observed()?, self.before())
    }

    /// Its rates are those of `other`, as their counters are shared: such are most
    /// interfaces of which nothing was counted. Not known if false.
    pub fn shares_rates(&self, other: &Self) -> bool {
        let is_shared =
            |one: Option<&sample::Interface>, other: Option<&sample::Interface>| match (one, other)
            {
                (Some(one), Some(other)) => one.shares_counters(other),
                (None, None) => true,
                _ => false,
            };
        Arc::ptr_eq(&self.joined, &other.joined)
            && self.observed().is_some()
            && is_shared(self.observed(), other.observed())
            && is_shared(self.before(), other.before())
    }

    /// The interface, unless it is one that cannot be observed.
    fn observed(&self) -> Option<&sample::Interface> {
        let is_observable = self.nic().is_none_or(|nic| nic.unobservable.is_none());
        self.found().filter(|_| is_observable)
    }

    fn found(&self) -> Option<&sample::Interface> {
        let found = self.found?;
        Some(&self.joined.sample.interfaces[found as usize])
    }

    fn before(&self) -> Option<&sample::Interface> {
        self.joined.counted_before(self.before?)
    }

    fn nic(&self) -> Option<&Nic> {
        let Card { vm, card } = self.card?;
        Some(&self.joined.sample.vms[vm as usize].nics[card as usize])
    }
}

impl Deref for Port {
    type Target = Interface;

    fn deref(&self) -> &Interface {
        self.made.get_or_init(|| Box::new(self.make()))
    }
}

impl PartialEq for Port {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.made.get() {
            Some(made) => made.serialize(serializer),
            None => self.make().serialize(serializer),
        }
    }
}
