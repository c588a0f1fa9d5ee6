//! Network cards of VMs, as they were set up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sample::offloads::Fact;

/// A network card as it was set up. What was left to a default is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NicSetup {
    /// Name of the host's interface behind it, if there is one.
    pub dev: Option<String>,
    /// MAC address as the guest sees it.
    pub mac: Option<String>,
    /// What carries its frames, as in [`Nic::backend`](crate::sample::Nic::backend).
    pub backend: String,
    /// Model, such as `virtio`, `virtio-transitional`, `e1000`.
    pub model: Fact<String>,
    /// What it is connected to, by name: a bridge, a network of libvirt, a
    /// device.
    pub connected_to: Option<String>,
    /// MTU that the guest is told, bytes; none if it is not told one.
    pub mtu_bytes: Fact<Option<u32>>,
    /// How the card is emulated.
    pub driver: Fact<DriverSetup>,
    /// Limits that libvirt keeps with the tc of the host; of QEMU's command
    /// line alone they are not known.
    pub bandwidth: Fact<Bandwidth>,
}

impl NicSetup {
    /// Whether it is a virtio card, the only ones with offloads; none if its
    /// model is not known.
    pub fn is_virtio(&self) -> Option<bool> {
        self.model.known().map(|model| model.starts_with("virtio"))
    }
}

/// `<driver>` of an interface in libvirt's words; none where nothing is said,
/// and QEMU's default holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverSetup {
    /// Who carries frames: `vhost` in the kernel, `qemu` itself.
    pub name: Option<String>,
    /// Queue pairs.
    pub queues: Option<u32>,
    /// Descriptors of a receive ring.
    pub rx_queue_size: Option<u32>,
    /// Descriptors of a transmit ring.
    pub tx_queue_size: Option<u32>,
    /// What the host offers the guest to leave undone when it sends: `csum`,
    /// `gso`, `tso4`, `tso6`, `ecn`, `ufo`, `uso`, and `mrg_rxbuf`, by name.
    pub host: BTreeMap<String, bool>,
    /// What the guest may accept when it receives: `csum`, `tso4`, `tso6`,
    /// `ecn`, `ufo`, `uso4`, `uso6`, by name.
    pub guest: BTreeMap<String, bool>,
}

/// `<bandwidth>`, from the guest's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    /// What the guest receives: libvirt shapes it with `htb` on the tap.
    pub inbound: Option<Rate>,
    /// What the guest sends: libvirt polices it at the ingress of the tap.
    pub outbound: Option<Rate>,
}

/// A rate in libvirt's units, made bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Average, bytes per second.
    pub average_bytes_per_s: Option<u64>,
    /// Peak, bytes per second.
    pub peak_bytes_per_s: Option<u64>,
    /// What may pass at peak rate, bytes.
    pub burst_bytes: Option<u64>,
    /// Guaranteed, bytes per second (`floor`).
    pub floor_bytes_per_s: Option<u64>,
}
