//! Evidence that rules need, and why it is missing where it is.

use std::borrow::Cow;

use super::window::{Port, Vm, Window};
use crate::sample::{Kind, offloads::Fact};

/// Evidence without which a rule cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Frames are counted.
    Frames,
    /// GSO frames are told from others.
    Gso,
    /// Software segmentation and checksum work.
    Work,
    /// Drops are counted.
    Drops,
    /// Frames that a full ring refused are told from other drops.
    FullRing,
    /// Frames that could not be cut or summed are told from other drops.
    ValidateXmit,
    /// Frames with a wrong checksum are told from other drops.
    ChecksumDrops,
    /// Features of the interface.
    Features,
    /// Limits of the interface.
    Limits,
    /// How the tap was made.
    TapFlags,
    /// The kernel's log.
    Log,
    /// The host's own TCP and UDP counters.
    Protocols,
    /// Transmit timeouts of hardware.
    TxTimeouts,
    /// The release of the kernel, as numbers.
    Release,
    /// Devices: how they are stacked, queued and policed.
    Devices,
    /// The driver of the device.
    Driver,
    /// How VMs were set up.
    Domains,
    /// What runs in the guest, as libvirt's metadata has it.
    GuestOs,
}

/// Why evidence is missing; none if it is there.
pub type Missing = Option<Cow<'static, str>>;

impl Need {
    /// What it is, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frames => "counts of frames",
            Self::Gso => "which frames are GSO",
            Self::Work => "software segmentation and checksum work",
            Self::Drops => "drops",
            Self::FullRing => "drops for a full ring",
            Self::ValidateXmit => "drops in validate_xmit_skb",
            Self::ChecksumDrops => "drops for wrong checksums",
            Self::Features => "offload features",
            Self::Limits => "limits of the interface",
            Self::TapFlags => "flags of the tap",
            Self::Log => "the kernel's log",
            Self::Protocols => "the host's own TCP and UDP counters",
            Self::TxTimeouts => "transmit timeouts",
            Self::Release => "the kernel's release",
            Self::Devices => "queues, policers and stacking of devices",
            Self::Driver => "the driver",
            Self::Domains => "how VMs were set up",
            Self::GuestOs => "the guest's operating system",
        }
    }

    /// Why it is missing on the whole host.
    pub fn missing_on_host(self, window: &Window<'_>) -> Missing {
        let host = &window.host;
        let owned = |reason: &str| Some(Cow::Owned(reason.to_owned()));
        match self {
            Self::Gso => host.blind.gso.map(Into::into),
            Self::Work => host.blind.work.map(Into::into),
            Self::Drops => host.blind.drops.map(Into::into),
            Self::Log => host.signs.as_ref().err().and_then(|reason| owned(reason)),
            Self::Protocols if host.protocols.is_none() => {
                Some("the kernel's protocol counters could not be read".into())
            }
            Self::Release if host.release.is_none() => {
                Some("the release of the kernel is not one of Linux".into())
            }
            Self::Devices | Self::Driver => host.devices.err().and_then(owned),
            Self::Domains | Self::GuestOs => host.domains.err().and_then(owned),
            _ => None,
        }
    }

    /// Why it is missing of an interface, if it is not on the whole host.
    pub fn missing_on_port(self, port: &Port<'_>) -> Missing {
        let absent = |is_absent: bool, reason: &'static str| is_absent.then(|| reason.into());
        let of_fact = |reason: Option<&str>| reason.map(|reason| Cow::Owned(reason.to_owned()));
        match self {
            Self::Frames | Self::Gso | Self::Drops => port.uncounted.clone().map(Into::into),
            Self::Work => absent(port.work.is_none(), "software work is not counted here"),
            Self::FullRing => absent(port.drops.full_ring.is_none(), NO_CLASS),
            Self::ValidateXmit => absent(port.drops.validate_xmit.is_none(), NO_CLASS),
            Self::ChecksumDrops => absent(port.drops.checksum.is_none(), NO_CLASS),
            Self::Features => of_fact(port.found.offloads.features.reason()),
            Self::Limits => of_fact(port.found.limits.reason()),
            Self::TapFlags => absent(
                port.is_tap() && port.tap().is_none(),
                "the kernel did not tell how the tap was made",
            ),
            Self::TxTimeouts => match &port.found.offloads.tx_timeouts {
                Some(Fact::Unavailable(reason)) => Some(Cow::Owned(reason.to_string())),
                _ => None,
            },
            Self::Devices => absent(
                port.device.is_none(),
                "the interface was not there when facts were gathered",
            ),
            Self::Driver => absent(
                port.found.kind == Kind::Physical && port.driver().is_none(),
                "the device does not tell its driver",
            ),
            _ => None,
        }
    }

    /// Why it is missing of a VM, if it is not on the whole host.
    pub fn missing_on_vm(self, vm: &Vm<'_>) -> Missing {
        match self {
            Self::Domains if vm.domain.is_none() => {
                Some("nobody tells how the VM was set up".into())
            }
            Self::GuestOs if vm.os_id().is_none() => Some(
                "the VM's definition does not name its operating system (libosinfo metadata)"
                    .into(),
            ),
            _ => None,
        }
    }
}

const NO_CLASS: &str =
    "this kernel does not tell these drops from others, or CAP_SYSLOG is missing";
