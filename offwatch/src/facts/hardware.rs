//! Drivers, as ethtool tells of them.

use serde::{Deserialize, Serialize};

use crate::sample::offloads::Fact;

/// What a driver tells of its device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// Driver (`ethtool -i`).
    pub driver: Fact<Driver>,
    /// Channels (`ethtool -l`).
    pub channels: Fact<Channels>,
    /// Rings (`ethtool -g`).
    pub rings: Fact<Rings>,
    /// Speed and duplex (`ethtool`).
    pub link: Fact<LinkMode>,
}

/// A driver, as `ethtool -i` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// Name of the driver, such as `ixgbe`.
    pub name: String,
    /// Its version: for drivers without one of their own, the kernel's release.
    pub version: Option<String>,
    /// Version of the firmware.
    pub firmware: Option<String>,
    /// Where the device is, such as a PCI address.
    pub bus: Option<String>,
}

/// Queues with interrupts. `None` where the driver has none of the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// Receive only, in use.
    pub rx: Option<u32>,
    /// The most of them.
    pub rx_max: Option<u32>,
    /// Transmit only, in use.
    pub tx: Option<u32>,
    /// The most of them.
    pub tx_max: Option<u32>,
    /// Both, in use.
    pub combined: Option<u32>,
    /// The most of them.
    pub combined_max: Option<u32>,
}

/// Rings, in descriptors. `None` where the driver tells none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rings {
    /// Receive, in use.
    pub rx: Option<u32>,
    /// The most.
    pub rx_max: Option<u32>,
    /// Transmit, in use.
    pub tx: Option<u32>,
    /// The most.
    pub tx_max: Option<u32>,
}

/// The link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkMode {
    /// Mbit/s; none if there is no link, or the driver does not know.
    pub speed_mbit_per_s: Option<u32>,
    /// Duplex; none likewise.
    pub duplex: Option<Duplex>,
}

/// Duplex of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplex {
    /// One direction at a time.
    Half,
    /// Both directions at once.
    Full,
}
