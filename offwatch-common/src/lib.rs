//! What the BPF programs and userspace agree on: the layout of the counters,
//! the buckets of the histograms and the list of kernel field offsets.
//!
//! Directions are the host's, because the kernel's hooks are: *ingress* is what
//! the host received from a device, *egress* what it handed to one. For a VM's
//! tap, ingress is what the guest sent and egress what the guest receives.
#![no_std]

mod counters;
mod exact;
pub mod histogram;
pub mod ifindexes;
mod offsets;

pub use counters::Counters;
pub use exact::{
    Checksumming, ExactSlot, ExactWork, FEWEST_EXACT_SLOTS, NS_BUCKETS, Segmentation, drop_class,
    function, ns_bucket, ns_range,
};
pub use offsets::{
    ABSENT, Access, CAST_PLACEHOLDER, Constants, DropClasses, DropReasons, GsoBits,
    LOAD_PLACEHOLDER, MOVE_PLACEHOLDER, Offsets, access,
};

/// Slots for interfaces. Slot 0 belongs to none: as an interface's slot it means
/// "not observed", and its [`Slot::caused_work`] is work without a known source.
pub const MAX_SLOTS: u32 = 16_384;

/// Whether a frame is a GSO frame, and whether its checksum is still to be
/// computed (`CHECKSUM_PARTIAL`): the index into [`Traffic::kinds`].
pub mod kind {
    /// Neither: a finished frame.
    pub const PLAIN: usize = 0;
    /// Added for `ip_summed == CHECKSUM_PARTIAL`.
    pub const PARTIAL: usize = 1;
    /// Added for `gso_size != 0`.
    pub const GSO: usize = 2;
    /// How many combinations there are.
    pub const COUNT: usize = 4;
}

/// Protocol class of a GSO frame, from `gso_type`: the index into
/// [`Traffic::gso_classes`]. Tunnels come first because an encapsulated frame
/// also carries the bit of its inner protocol.
pub mod class {
    /// Any encapsulation (`SKB_GSO_UDP_TUNNEL*`, `GRE*`, `IPXIP*`).
    pub const TUNNEL: usize = 0;
    /// `SKB_GSO_TCPV4`.
    pub const TCP4: usize = 1;
    /// `SKB_GSO_TCPV6`.
    pub const TCP6: usize = 2;
    /// `SKB_GSO_UDP_L4`: UDP segmentation offload.
    pub const USO: usize = 3;
    /// `SKB_GSO_UDP`: IP fragmentation of UDP, withdrawn from drivers in 4.14.
    pub const UFO: usize = 4;
    /// `SKB_GSO_SCTP`.
    pub const SCTP: usize = 5;
    /// Anything else, as `SKB_GSO_FRAGLIST` or a type of 0.
    pub const OTHER: usize = 6;
    /// How many classes there are.
    pub const COUNT: usize = 7;
    /// Field names used in every output, in index order.
    pub const NAMES: [&str; COUNT] = ["tunnel", "tcp4", "tcp6", "uso", "ufo", "sctp", "other"];
}

/// Frames, and their bytes with MAC header and VLAN tag as on the wire of a tap.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Count {
    /// Frames (a GSO frame is one).
    pub packets: u64,
    /// Bytes of those frames.
    pub bytes: u64,
}

/// Everything counted for one interface in one direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Traffic {
    /// Frames and bytes, by [`kind`].
    pub kinds: [Count; kind::COUNT],
    /// Segments the GSO frames stand for: ceil(payload / `gso_size`).
    pub gso_segments: u64,
    /// Frames that are not GSO and exceed what the kernel forwards to the
    /// device (MTU + Ethernet header + one VLAN tag, `__is_skb_forwardable`).
    pub oversize_packets: u64,
    /// Frames freed as dropped while they belonged to the device.
    pub drop_packets: u64,
    /// DHCP over IPv4. Ingress: broadcasts of clients (UDP to port 67). Egress:
    /// answers to clients (UDP to port 68) whose checksum is still to be computed.
    pub dhcp_packets: u64,
    /// GSO frames by protocol [`class`].
    pub gso_classes: [u64; class::COUNT],
    /// Frames by length ([`histogram::length_bucket`]).
    pub lengths: [u64; histogram::LENGTH_BUCKETS],
    /// GSO frames by `gso_size` ([`histogram::gso_size_bucket`]).
    pub gso_sizes: [u64; histogram::GSO_SIZE_BUCKETS],
}

/// Software segmentation and checksum work between `net_dev_queue` and
/// `net_dev_start_xmit`, as differences of what entered and what left.
///
/// `*_gone` fields grow with work but also with frames dropped or waiting in
/// between: they bound the work from above. `*_added` fields shrink with such
/// frames: they bound it from below. Where both agree the figure is exact.
/// All values wrap; read them as `i64`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Work {
    /// Segments of GSO frames queued minus those of GSO frames sent.
    pub gso_segments_gone: u64,
    /// Frames that are not GSO: sent minus queued.
    pub single_frames_added: u64,
    /// Bytes still to be checksummed (from `csum_start` on, per segment):
    /// queued minus sent.
    pub partial_bytes_gone: u64,
    /// Wire bytes (headers repeated per segment) of PARTIAL frames: queued
    /// minus sent.
    pub partial_wire_bytes_gone: u64,
    /// Wire bytes of frames that are not PARTIAL: sent minus queued.
    pub summed_wire_bytes_added: u64,
}

/// All counters of one interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Slot {
    /// Received by the host from the device.
    pub ingress: Traffic,
    /// Sent by the host to the device.
    pub egress: Traffic,
    /// Software work for frames on their way to this device.
    pub egress_work: Work,
    /// Software work, at any device, for frames that came from this one
    /// (`skb_iif`).
    pub caused_work: Work,
}

// 16,384 slots must stay below 16 MiB, and a slot must not share a cache line
// with its neighbour.
const _: () = assert!(size_of::<Slot>() == 960);
const _: () = assert!(size_of::<Slot>().is_multiple_of(64));
// Tables of slots keep 16 bits of a number.
const _: () = assert!(MAX_SLOTS <= 1 << 16);
const _: () = assert!(size_of::<Traffic>().is_multiple_of(size_of::<u64>()));

// SAFETY: repr(C), and consists of u64 only, as the size of each part asserts.
unsafe impl Counters for Slot {}

// SAFETY: as for `Slot`.
unsafe impl Counters for Traffic {}
