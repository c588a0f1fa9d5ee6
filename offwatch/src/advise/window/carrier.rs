//! Who carries the frames of a VM's card.

use crate::facts::nic::NicSetup;

/// Who carries the frames of a VM's card between the tap and the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// Threads of the kernel's vhost-net.
    Vhost,
    /// The process of the VM: it reads each frame from the tap, and writes each to it.
    Process,
    /// It is not known.
    #[default]
    Unknown,
}

impl Carrier {
    /// As the card was set up, if that says it.
    pub(super) fn configured(setup: &NicSetup) -> Option<Self> {
        match setup.driver.known()?.name.as_deref()? {
            "vhost" => Some(Self::Vhost),
            "qemu" => Some(Self::Process),
            _ => None,
        }
    }

    /// By the CPU time of the VM's vhost threads since they were started: a VM whose
    /// threads can be seen and which has none carries its frames itself.
    pub(super) fn of_threads(vhost_cpu_ns: Option<u64>) -> Self {
        match vhost_cpu_ns {
            None => Self::Unknown,
            Some(0) => Self::Process,
            Some(_) => Self::Vhost,
        }
    }
}
