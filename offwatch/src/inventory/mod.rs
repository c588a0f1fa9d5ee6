//! Which interfaces and VMs exist on this host.

pub mod domain_xml;
#[cfg(feature = "libvirt")]
pub mod libvirt;
pub mod link;
pub mod nic;
pub mod procfs;
pub mod qemu_args;
pub mod status;
pub mod uri;
pub mod vhost;
pub mod vms;
