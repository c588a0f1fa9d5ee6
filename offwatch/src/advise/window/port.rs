//! One interface in a window.

use super::{
    feature::{Feature, States},
    flow::{Flow, Work},
};
use crate::{
    facts::{device::Device, nic::NicSetup},
    sample::{
        self, Kind,
        offloads::{Limits, Tap},
    },
};

/// An interface.
pub struct Port<'s> {
    /// What the later sample has of it: name, ifindex, kind, master, MTU.
    pub found: &'s sample::Interface,
    /// Whose it is.
    pub owner: Owner,
    /// MAC address of the guest, if it is one's.
    pub mac: Option<&'s str>,
    /// What the host received from it: of a tap, what the guest sent.
    pub from: Flow,
    /// What the host sent to it: of a tap, what the guest received.
    pub to: Flow,
    /// Why neither is known, if so.
    pub uncounted: Option<String>,
    /// Software work on the way to it.
    pub work: Option<Work>,
    /// Software work anywhere for frames from it.
    pub caused: Option<Work>,
    /// Frames dropped in the window, by what for.
    pub drops: Drops,
    /// Its features at the end.
    pub features: Option<States>,
    /// Its features at the beginning.
    pub features_before: Option<States>,
    /// How often the kernel told that its active features changed.
    pub features_changed: Option<u64>,
    /// Transmit timeouts, of hardware.
    pub tx_timeouts: Option<Growth>,
    /// How it is stacked, queued, policed and driven.
    pub device: Option<&'s Device>,
    /// The same at the beginning.
    pub device_before: Option<&'s Device>,
    /// How the card was set up, if it is a VM's.
    pub setup: Option<&'s NicSetup>,
}

/// Whose an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A VM's, by its place in [`super::Window::vms`].
    Vm(usize),
    /// A tap without a known owner.
    Unknown,
    /// The host's own.
    Host,
}

/// A counter at the end, and by how much it has grown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// At the end.
    pub total: u64,
    /// In the window.
    pub grown: u64,
}

/// Drops by what for; `None` where that cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// The guest's ring was full.
    pub full_ring: Option<u64>,
    /// The frame could not be cut or checksummed for the device.
    pub validate_xmit: Option<u64>,
    /// A checksum was wrong or could not be computed.
    pub checksum: Option<u64>,
    /// A GSO frame could not be cut.
    pub gso: Option<u64>,
}

impl<'s> Port<'s> {
    /// Its name.
    pub fn dev(&self) -> &'s str {
        &self.found.dev
    }

    /// Whether anything was carried, dropped, or stuck.
    pub fn has_traffic(&self) -> bool {
        self.from.packets + self.to.packets + self.from.drops + self.to.drops != 0
            || self.tx_timeouts.is_some_and(|timeouts| timeouts.grown != 0)
    }

    /// Whether it is a tap.
    pub fn is_tap(&self) -> bool {
        self.found.kind == Kind::Tap
    }

    /// Whether its kind is that, by the kernel's name.
    pub fn is_kind(&self, kind: &str) -> bool {
        self.found.kind.name() == kind
    }

    /// Whether it is known to be on.
    pub fn is_on(&self, feature: Feature) -> bool {
        self.features.is_some_and(|states| states.is_on(feature))
    }

    /// Whether it is known to be off.
    pub fn is_off(&self, feature: Feature) -> bool {
        self.features.is_some_and(|states| !states.is_on(feature))
    }

    /// Whether it is known to be off and can be switched.
    pub fn can_be_turned_on(&self, feature: Feature) -> bool {
        self.features
            .is_some_and(|states| states.can_be_turned_on(feature))
    }

    /// Whether its offloads changed in the window, so that its figures mix two
    /// states.
    pub fn is_mixed(&self) -> bool {
        self.features_changed.is_some_and(|changes| changes != 0)
            || self.features_before.is_some() && self.features_before != self.features
    }

    /// Its limits, if they are known.
    pub fn limits(&self) -> Option<&'s Limits> {
        self.found.limits.known().map(|limits| &**limits)
    }

    /// Whether its GRO makes frames longer than that.
    pub fn merges_beyond(&self, bytes: u32) -> bool {
        let Some(limits) = self.limits() else {
            return false;
        };
        let both = [limits.gro_max_size_bytes, limits.gro_ipv4_max_size_bytes];
        both.into_iter().flatten().any(|limit| limit > bytes)
    }

    /// How the tap was made, if it is one.
    pub fn tap(&self) -> Option<Tap> {
        self.found.offloads.tap
    }

    /// Name of its driver, if it is known.
    pub fn driver(&self) -> Option<&'s str> {
        let driver = self.device?.hardware.as_ref()?.driver.known()?;
        Some(&driver.name)
    }

    /// Segments that were cut on the way to it.
    pub fn cut(&self) -> u64 {
        self.work.map_or(0, |work| work.segments)
    }

    /// Bytes that were checksummed on the way to it.
    pub fn summed(&self) -> u64 {
        self.work.map_or(0, |work| work.checksum_bytes)
    }

    /// Segments that were cut for frames from it.
    pub fn caused_cut(&self) -> u64 {
        self.caused.map_or(0, |work| work.segments)
    }

    /// What the card's `<guest>` says of an offload; `None` where nothing is
    /// said or nothing is known.
    pub fn xml_guest(&self, name: &str) -> Option<bool> {
        self.setup?.driver.known()?.guest.get(name).copied()
    }

    /// The same of `<host>`.
    pub fn xml_host(&self, name: &str) -> Option<bool> {
        self.setup?.driver.known()?.host.get(name).copied()
    }
}
