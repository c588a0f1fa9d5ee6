//! Fields of an skb, wherever this kernel keeps them.

use core::{intrinsics::cold_path, marker::PhantomData};

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use offwatch_common::{ABSENT, CAST_PLACEHOLDER, access, class};

use crate::{
    constants::{Loaded, at, constant},
    maps::Shape,
};

/// `gso_size` of an SCTP frame: the segments are in the frag list.
const GSO_BY_FRAGS: u32 = 0xffff;
const VLAN_HLEN: u32 = 4;
const UDP_HLEN: u32 = 8;
const SCTP_HLEN: u32 = 12;
const HEADER_UNSET: u16 = u16::MAX;

/// `sk_buff.pkt_type` of a frame to everybody.
const PACKET_BROADCAST: u64 = 1;
const ETH_HLEN: usize = 14;
/// Offset of a UDP checksum, as in `sk_buff.csum_offset`.
const UDP_CHECK: u16 = 6;
const DHCP_SERVER: [u8; 2] = [0, 67];
const DHCP_CLIENT: [u8; 2] = [0, 68];

/// How kernel memory is read.
pub(crate) trait Memory {
    /// Reads the member of a structure whose offset is constant `OFFSET`; zero
    /// where it cannot be read.
    fn member<T: Loaded, const OFFSET: usize>(structure: *const u8) -> T;
}

/// Plain loads, for pointers whose type the verifier knows. On a fault they
/// yield 0.
pub(crate) struct Direct;

impl Memory for Direct {
    #[inline(always)]
    fn member<T: Loaded, const OFFSET: usize>(structure: *const u8) -> T {
        T::load::<OFFSET>(structure)
    }
}

/// `bpf_probe_read_kernel`, for any address.
pub(crate) struct Probed;

impl Memory for Probed {
    #[inline(always)]
    fn member<T: Loaded, const OFFSET: usize>(structure: *const u8) -> T {
        Self::read(structure.wrapping_add(constant::<OFFSET>() as usize))
    }
}

impl Probed {
    #[inline(always)]
    fn read<T: Loaded>(at: *const u8) -> T {
        let mut value = core::mem::MaybeUninit::<T>::uninit();
        // SAFETY: the helper accepts any address. Of one that it cannot read it
        // makes zeros, so its result need not be looked at: a branch here would
        // double the paths that older verifiers follow, at each read.
        unsafe {
            bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, at.cast());
            value.assume_init()
        }
    }
}

macro_rules! access {
    ($field:ident) => {
        constant::<{ at!(access.$field) }>()
    };
}

/// Whether memory behind untyped addresses can be read at all.
#[inline(always)]
pub(crate) fn can_follow_addresses() -> bool {
    access!(method) != access::NONE
}

/// Whether [`typed`] can be used.
#[inline(always)]
pub(crate) fn can_cast() -> bool {
    access!(method) == access::CAST
}

/// `bpf_rdonly_cast`: makes an address one of a structure, by its BTF type ID.
/// What is loaded through it is 0 on a fault.
#[inline(always)]
fn typed(at: *const u8, type_id: u32) -> *const u8 {
    type Cast = unsafe extern "C" fn(*const u8, u32) -> *const u8;
    // SAFETY: calls to this number are replaced when the programs are loaded;
    // where they are not, ACCESS says so and the verifier drops them.
    unsafe { core::mem::transmute::<usize, Cast>(CAST_PLACEHOLDER as usize)(at, type_id) }
}

/// An skb that a program was given without its type.
#[inline(always)]
pub(crate) fn cast_skb(at: *const u8) -> Skb<Direct> {
    Skb::new(typed(at, access!(sk_buff)))
}

/// Reads a member of the structure at an address that has no type for the
/// verifier; zero where it cannot be read.
#[inline(always)]
fn untyped<T: Loaded, const OFFSET: usize>(structure: *const u8, type_id: u32) -> T {
    match access!(method) {
        access::CAST => Direct::member::<T, OFFSET>(typed(structure, type_id)),
        access::PROBE => Probed::member::<T, OFFSET>(structure),
        _ => T::ZERO,
    }
}

/// Reads a byte of a frame.
#[inline(always)]
fn plain_byte(at: *const u8, offset: usize) -> u8 {
    let at = at.wrapping_add(offset);
    match access!(method) {
        // SAFETY: the verifier makes it a load that yields 0 on a fault.
        access::CAST => unsafe { typed(at, access!(ethhdr)).read_volatile() },
        access::PROBE => Probed::read(at),
        _ => 0,
    }
}

macro_rules! offset {
    ($field:ident) => {
        at!(offsets.$field)
    };
}

macro_rules! gso_bit {
    ($field:ident) => {
        constant::<{ at!(gso_bits.$field) }>()
    };
}

/// A `struct sk_buff` read through `M`.
pub(crate) struct Skb<M> {
    at: *const u8,
    memory: PhantomData<M>,
}

impl<M: Memory> Skb<M> {
    #[inline(always)]
    pub(crate) fn new(at: *const u8) -> Self {
        Self {
            at,
            memory: PhantomData,
        }
    }

    #[inline(always)]
    fn read<T: Loaded, const OFFSET: usize>(&self) -> T {
        M::member::<T, OFFSET>(self.at)
    }

    #[inline(always)]
    pub(crate) fn address(&self) -> u64 {
        self.at as u64
    }

    #[inline(always)]
    pub(crate) fn dev(&self) -> Dev<M> {
        Dev {
            at: self.read::<*const u8, { offset!(skb_dev) }>(),
            memory: PhantomData,
        }
    }

    /// The next one in a list of skbs; null at its end.
    #[inline(always)]
    pub(crate) fn next(&self) -> *const u8 {
        self.read::<*const u8, { offset!(skb_next) }>()
    }

    /// The interface the frame came from, 0 if that is lost or it is the host's.
    #[inline(always)]
    pub(crate) fn iif(&self) -> u32 {
        self.read::<_, { offset!(skb_iif) }>()
    }

    #[inline(always)]
    fn bits<const BYTE: usize, const SHIFT: usize>(&self, mask: u64) -> u64 {
        (u64::from(self.read::<u8, BYTE>()) >> (constant::<SHIFT>() & 7)) & mask
    }

    /// Whether an ifb device hands the frame back to the device it came from:
    /// it is received for the second time.
    #[inline(always)]
    pub(crate) fn is_received_again(&self) -> bool {
        constant::<{ offset!(skb_tc_skip_classify) }>() != ABSENT
            && self
                .bits::<{ offset!(skb_tc_skip_classify) }, { offset!(skb_tc_skip_classify_shift) }>(
                    1,
                )
                != 0
    }

    /// 4 if a VLAN tag is kept outside the frame's data.
    #[inline(always)]
    fn tag_bytes(&self) -> u32 {
        let tagged = if constant::<{ offset!(skb_vlan_all) }>() != ABSENT {
            self.read::<u32, { offset!(skb_vlan_all) }>() != 0
        } else {
            self.bits::<{ offset!(skb_vlan_present) }, { offset!(skb_vlan_present_shift) }>(1) != 0
        };
        if tagged { VLAN_HLEN } else { 0 }
    }

    /// Length on the wire of a frame the host received: the MAC header may
    /// have been pulled already.
    #[inline(always)]
    pub(crate) fn ingress_bytes(&self) -> u32 {
        let mac_header = self.read::<u16, { offset!(skb_mac_header) }>();
        let pulled = if mac_header == HEADER_UNSET {
            0
        } else {
            self.headroom().wrapping_sub(u32::from(mac_header))
        };
        self.egress_bytes() + pulled
    }

    /// Length on the wire of a frame the host sends.
    #[inline(always)]
    pub(crate) fn egress_bytes(&self) -> u32 {
        self.read::<u32, { offset!(skb_len) }>() + self.tag_bytes()
    }

    /// 1 if the checksum is still to be computed (`CHECKSUM_PARTIAL`, 3), else 0.
    #[inline(always)]
    pub(crate) fn partial(&self) -> u32 {
        let ip_summed =
            self.bits::<{ offset!(skb_ip_summed) }, { offset!(skb_ip_summed_shift) }>(3) as u32;
        ip_summed & (ip_summed >> 1)
    }

    /// Whether the frame is to everybody on its network.
    #[inline(always)]
    pub(crate) fn is_broadcast(&self) -> bool {
        self.bits::<{ offset!(skb_pkt_type) }, { offset!(skb_pkt_type_shift) }>(7)
            == PACKET_BROADCAST
    }

    /// Whether a received frame is from a DHCP client: UDP over IPv4 to port 67.
    /// Neither a client's IP header has options nor its frame a VLAN tag of its own.
    #[inline(always)]
    pub(crate) fn asks_for_address(&self) -> bool {
        let mac_header = self.read::<u16, { offset!(skb_mac_header) }>();
        if mac_header == HEADER_UNSET {
            return false;
        }
        let mac = self.head().wrapping_add(usize::from(mac_header));
        let ip = mac.wrapping_add(ETH_HLEN);
        let [ethertype, version] = [plain_byte(mac, 12), plain_byte(ip, 0)];
        let [protocol, high, low] = [9, 22, 23].map(|at| plain_byte(ip, at));
        (ethertype, version, protocol) == (8, 0x45, 17) && [high, low] == DHCP_SERVER
    }

    /// Whether a PARTIAL frame is an answer to a DHCP client: UDP to port 68.
    #[inline(always)]
    pub(crate) fn gives_address_unsummed(&self) -> bool {
        if self.read::<u16, { offset!(skb_csum_offset) }>() != UDP_CHECK {
            return false;
        }
        let start = self.read::<u16, { offset!(skb_csum_start) }>();
        let udp = self.head().wrapping_add(usize::from(start));
        [plain_byte(udp, 2), plain_byte(udp, 3)] == DHCP_CLIENT
    }

    /// Payload bytes of a segment, 0 if the frame is not GSO.
    #[inline(always)]
    pub(crate) fn gso_size(&self) -> u32 {
        u32::from(self.shared::<u16, { offset!(shinfo_gso_size) }>())
    }

    /// Protocol class of a GSO frame.
    #[inline(always)]
    pub(crate) fn gso_class(&self) -> usize {
        gso_class(self.shared::<_, { offset!(shinfo_gso_type) }>())
    }

    /// What of the frame matters to software work.
    #[inline(always)]
    pub(crate) fn shape(&self, gso_size: u32, partial: u32, bytes: u32) -> Shape {
        if gso_size != 0 {
            cold_path();
            return self.super_frame(gso_size, partial, bytes);
        }
        let checksum_bytes = if partial != 0 {
            self.bytes_from(self.read::<_, { offset!(skb_csum_start) }>())
        } else {
            0
        };
        Shape {
            gso_size,
            partial,
            segments: 1,
            wire_bytes: bytes,
            checksum_bytes,
            payload_bytes: 0,
        }
    }

    #[inline(always)]
    fn super_frame(&self, gso_size: u32, partial: u32, bytes: u32) -> Shape {
        let gso_type: u32 = self.shared::<_, { offset!(shinfo_gso_type) }>();
        let header = if gso_type & gso_bit!(tunnel) != 0 {
            self.read::<u16, { offset!(skb_inner_transport_header) }>()
        } else {
            self.read::<u16, { offset!(skb_transport_header) }>()
        };
        // A UFO frame is cut as IP fragments: its UDP header is payload.
        let header_bytes = if gso_type & (gso_bit!(tcp4) | gso_bit!(tcp6)) != 0 {
            let data_offset = plain_byte(self.head(), usize::from(header) + 12);
            u32::from(data_offset >> 4) * 4
        } else if gso_type & gso_bit!(uso) != 0 {
            UDP_HLEN
        } else if gso_type & gso_bit!(sctp) != 0 {
            SCTP_HLEN
        } else {
            0
        };
        let payload = self.bytes_from(header).wrapping_sub(header_bytes);
        let segments = if header == HEADER_UNSET || payload == 0 || payload > bytes {
            1
        } else if gso_size == GSO_BY_FRAGS {
            let counted = self.shared::<u16, { offset!(shinfo_gso_segs) }>();
            if counted == 0 { 1 } else { u32::from(counted) }
        } else {
            payload.div_ceil(gso_size)
        };
        let repeated = bytes.wrapping_sub(payload).wrapping_mul(segments - 1);
        let checksum_bytes = if partial != 0 {
            payload + segments * header_bytes
        } else {
            0
        };
        Shape {
            gso_size,
            partial,
            segments,
            wire_bytes: bytes + repeated,
            checksum_bytes,
            payload_bytes: payload,
        }
    }

    #[inline(always)]
    fn head(&self) -> *const u8 {
        self.read::<*const u8, { offset!(skb_head) }>()
    }

    /// Reads from `skb_shared_info`, which lies at head + end.
    #[inline(always)]
    fn shared<T: Loaded, const OFFSET: usize>(&self) -> T {
        let end = self.read::<u32, { offset!(skb_end) }>() as usize;
        let shared = self.head().wrapping_add(end);
        untyped::<T, OFFSET>(shared, access!(skb_shared_info))
    }

    /// Bytes between `head` and `data`. Since 6.17 both are pointers to the
    /// verifier: it takes their difference, but no other sum that the compiler
    /// might make of it.
    #[inline(always)]
    fn headroom(&self) -> u32 {
        let data = self.read::<*const u8, { offset!(skb_data) }>() as u64;
        let head = self.read::<*const u8, { offset!(skb_head) }>() as u64;
        core::hint::black_box(data.wrapping_sub(head) as u32)
    }

    /// Bytes from a header, given by its offset from `head`, to the end.
    #[inline(always)]
    fn bytes_from(&self, header: u16) -> u32 {
        let offset = u32::from(header).wrapping_sub(self.headroom());
        self.read::<u32, { offset!(skb_len) }>()
            .wrapping_sub(offset)
    }
}

#[inline(always)]
fn gso_class(gso_type: u32) -> usize {
    if gso_type & gso_bit!(tunnel) != 0 {
        class::TUNNEL
    } else if gso_type & gso_bit!(tcp4) != 0 {
        class::TCP4
    } else if gso_type & gso_bit!(tcp6) != 0 {
        class::TCP6
    } else if gso_type & gso_bit!(uso) != 0 {
        class::USO
    } else if gso_type & gso_bit!(ufo) != 0 {
        class::UFO
    } else if gso_type & gso_bit!(sctp) != 0 {
        class::SCTP
    } else {
        class::OTHER
    }
}

/// A `struct net_device` read through `M`.
pub(crate) struct Dev<M> {
    at: *const u8,
    memory: PhantomData<M>,
}

impl<M: Memory> Dev<M> {
    #[inline(always)]
    fn read<T: Loaded, const OFFSET: usize>(&self) -> T {
        M::member::<T, OFFSET>(self.at)
    }

    #[inline(always)]
    pub(crate) fn address(&self) -> u64 {
        self.at as u64
    }

    #[inline(always)]
    pub(crate) fn ifindex(&self) -> u32 {
        self.read::<_, { offset!(dev_ifindex) }>()
    }

    #[inline(always)]
    pub(crate) fn mtu(&self) -> u32 {
        self.read::<_, { offset!(dev_mtu) }>()
    }

    /// Inode number of the device's network namespace.
    #[inline(always)]
    pub(crate) fn netns(&self) -> u32 {
        let net = self.read::<*const u8, { offset!(dev_net) }>();
        M::member::<u32, { offset!(net_inum) }>(net)
    }
}
