//! Which interfaces and VMs exist on this host.

pub mod counters;
mod domain_setup;
pub mod domain_xml;
pub mod features;
pub mod kernel_log;
#[cfg(feature = "libvirt")]
pub mod libvirt;
pub mod limits;
pub mod link;
pub mod listing;
pub mod neighbours;
pub mod netlink;
pub mod nic;
pub mod node;
pub mod notifications;
pub mod procfs;
pub mod protocols;
pub mod qemu_args;
mod qemu_card;
pub mod rolling;
pub mod setup;
pub mod status;
pub mod sysfs;
pub mod uri;
pub mod vhost;
pub mod vms;
