//! The offwatch test host ("lab"): guests without a hypervisor, with exact
//! ground truth about every frame they exchange.
//!
//! A [`Lab`] is an anonymous network namespace that plays the KVM host. Each
//! [`Guest`] is a tap in that namespace, a second tap `eth0` in a namespace of
//! its own, and a [`relay`] that copies frames with their `virtio_net_hdr`
//! between the two, exactly as QEMU does, with or without [`vhost`]. Everything dies with the process:
//! nothing has a name outside it.

pub mod bench;
pub mod caps;
pub mod command;
pub mod confined;
pub mod demo;
pub mod domains;
pub mod enforce;
pub mod equal;
pub mod ethtool;
pub mod exact;
pub mod exported;
pub mod footprint;
pub mod frames;
pub mod garbage;
pub mod gro;
pub mod guest;
pub mod host;
pub mod http;
pub mod idle;
pub mod kernel;
pub mod link;
pub mod login;
pub mod manual;
pub mod netns;
pub mod observer;
pub mod offloads;
pub mod packet;
pub mod peer;
pub mod pod;
mod port;
pub mod prometheus;
pub mod quiet;
pub mod random;
pub mod relay;
pub mod scale;
pub mod sctp;
pub mod setup;
pub mod skip;
pub mod sockopt;
pub mod supervise;
pub mod tap;
pub mod traffic;
pub mod trials;
pub mod truth;
pub mod udp;
pub mod vhost;
pub mod vmm;
pub mod vnet;
pub mod watcher;
pub mod work;
mod worker;

pub use guest::{Backend, Counts, Endpoint, Guest, GuestConfig};
pub use host::{Lab, LabConfig};
pub use netns::Netns;
pub use offloads::Offloads;
pub use scale::scaled;
pub use skip::skip_reason;
pub use truth::Truth;
pub use vnet::VnetHdr;
