//! What the BPF programs must know of the kernel that they run on.

/// Marks a field that the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Byte offsets of kernel structure members, resolved from BTF at start.
///
/// A bit field has the offset of the byte that holds it and the number of bits
/// to shift it right by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `sk_buff.len`.
    pub skb_len: u32,
    /// `sk_buff.next`.
    pub skb_next: u32,
    /// `sk_buff.dev`.
    pub skb_dev: u32,
    /// `sk_buff.skb_iif`.
    pub skb_iif: u32,
    /// `sk_buff.head`.
    pub skb_head: u32,
    /// `sk_buff.data`.
    pub skb_data: u32,
    /// `sk_buff.end`.
    pub skb_end: u32,
    /// `sk_buff.mac_header`.
    pub skb_mac_header: u32,
    /// `sk_buff.transport_header`.
    pub skb_transport_header: u32,
    /// `sk_buff.inner_transport_header`.
    pub skb_inner_transport_header: u32,
    /// `sk_buff.csum_start`.
    pub skb_csum_start: u32,
    /// `sk_buff.csum_offset`.
    pub skb_csum_offset: u32,
    /// Byte of `sk_buff.pkt_type`.
    pub skb_pkt_type: u32,
    /// Shift of `sk_buff.pkt_type`.
    pub skb_pkt_type_shift: u32,
    /// Byte of `sk_buff.ip_summed`.
    pub skb_ip_summed: u32,
    /// Shift of `sk_buff.ip_summed`.
    pub skb_ip_summed_shift: u32,
    /// `sk_buff.vlan_all`, or [`u32::MAX`] before 6.1.
    pub skb_vlan_all: u32,
    /// Byte of `sk_buff.vlan_present`, or [`u32::MAX`] since 6.1.
    pub skb_vlan_present: u32,
    /// Shift of `sk_buff.vlan_present`.
    pub skb_vlan_present_shift: u32,
    /// Byte of `sk_buff.tc_skip_classify`, or [`u32::MAX`] without it.
    pub skb_tc_skip_classify: u32,
    /// Shift of `sk_buff.tc_skip_classify`.
    pub skb_tc_skip_classify_shift: u32,
    /// `skb_shared_info.gso_size`.
    pub shinfo_gso_size: u32,
    /// `skb_shared_info.gso_segs`.
    pub shinfo_gso_segs: u32,
    /// `skb_shared_info.gso_type`.
    pub shinfo_gso_type: u32,
    /// `net_device.ifindex`.
    pub dev_ifindex: u32,
    /// `net_device.mtu`.
    pub dev_mtu: u32,
    /// `net_device.nd_net.net`.
    pub dev_net: u32,
    /// `net.ns.inum`.
    pub net_inum: u32,
}

/// How the programs reach memory for whose address the verifier knows no type,
/// such as `skb_shared_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// One of [`access`].
    pub method: u32,
    /// BTF type ID of `struct sk_buff`.
    pub sk_buff: u32,
    /// BTF type ID of `struct skb_shared_info`.
    pub skb_shared_info: u32,
    /// BTF type ID of `struct ethhdr`, which begins with plain bytes.
    pub ethhdr: u32,
}

/// Values of [`Access::method`].
pub mod access {
    /// Not at all: `lockdown=confidentiality` on a kernel without
    /// `bpf_rdonly_cast`.
    pub const NONE: u32 = 0;
    /// By `bpf_probe_read_kernel`.
    pub const PROBE: u32 = 1;
    /// By loads through `bpf_rdonly_cast`, since 6.2.
    pub const CAST: u32 = 2;
}

/// Number of the helper that the programs call where `bpf_rdonly_cast` is meant.
/// There is no such helper: the loader puts the kernel function in its place.
pub const CAST_PLACEHOLDER: u32 = 0x6f77_0001;

/// `SKB_GSO_*` masks of this kernel: the bit numbers move between kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GsoBits {
    /// All encapsulations.
    pub tunnel: u32,
    /// `SKB_GSO_TCPV4`.
    pub tcp4: u32,
    /// `SKB_GSO_TCPV6`.
    pub tcp6: u32,
    /// `SKB_GSO_UDP_L4`.
    pub uso: u32,
    /// `SKB_GSO_UDP`.
    pub ufo: u32,
    /// `SKB_GSO_SCTP`.
    pub sctp: u32,
}

/// Plain words, the form in which the loader takes read-only data.
macro_rules! words {
    ($type:ty) => {
        impl $type {
            /// The structure as the words it consists of.
            pub fn words(&self) -> &[u32] {
                // SAFETY: repr(C), only u32 fields, so no padding and the same alignment.
                unsafe {
                    core::slice::from_raw_parts(
                        core::ptr::from_ref(self).cast::<u32>(),
                        size_of::<Self>() / size_of::<u32>(),
                    )
                }
            }
        }
    };
}

words!(Access);
words!(Offsets);
words!(GsoBits);

/// Numbers of `enum skb_drop_reason` on this kernel; [`ABSENT`] where it has no
/// such reason (none before 5.17). They move between kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropReasons {
    /// `SKB_DROP_REASON_FULL_RING`: the guest does not drain its queue.
    pub full_ring: u32,
    /// `SKB_DROP_REASON_TAP_FILTER`.
    pub tap_filter: u32,
    /// `SKB_DROP_REASON_TAP_TXFILTER`.
    pub tap_txfilter: u32,
}

words!(DropReasons);

/// Numbers of `enum skb_drop_reason` that tell about checksums and GSO; unused
/// elements are [`ABSENT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropClasses {
    /// Of [`crate::drop_class::CHECKSUM`].
    pub checksum: [u32; 8],
    /// Of [`crate::drop_class::GSO`].
    pub gso: [u32; 4],
}

words!(DropClasses);

/// All that the loader writes into instructions, as words.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constants {
    /// Where members lie.
    pub offsets: Offsets,
    /// How memory is read.
    pub access: Access,
    /// Types of GSO frames.
    pub gso_bits: GsoBits,
    /// Drop reasons of taps.
    pub drop_reasons: DropReasons,
    /// Inode number of the network namespace that is observed (`net.ns.inum`):
    /// ifindexes are only unique within one.
    pub netns: u32,
    /// Whether each packet is logged: 0 or 1.
    pub log: u32,
}

words!(Constants);

/// A move of this number and the index of a constant stands for one of the constant.
pub const MOVE_PLACEHOLDER: u32 = 0x6f78_0000;

/// A load from this offset and the index of a constant stands for one from the
/// offset that the constant is.
pub const LOAD_PLACEHOLDER: i16 = 0x6f00;
