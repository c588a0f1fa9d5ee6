//! Fields of an skb, wherever this kernel keeps them.

use core::marker::PhantomData;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use offwatch_common::{ABSENT, GsoBits, Offsets, class};

use crate::maps::{GSO_BITS, OFFSETS, Shape, field};

const CHECKSUM_PARTIAL: u8 = 3;
/// `gso_size` of an SCTP frame: the segments are in the frag list.
const GSO_BY_FRAGS: u32 = 0xffff;
const VLAN_HLEN: u32 = 4;
const UDP_HLEN: u32 = 8;
const HEADER_UNSET: u16 = u16::MAX;

/// How kernel memory is read.
pub(crate) trait Memory {
    /// Reads a `T`; zero where it cannot be read.
    fn read<T: Copy + Default>(at: *const u8) -> T;
}

/// Plain loads, for pointers whose type the verifier knows.
pub(crate) struct Direct;

impl Memory for Direct {
    #[inline(always)]
    fn read<T: Copy + Default>(at: *const u8) -> T {
        // SAFETY: the verifier makes it an exception-handled load that yields 0 on a fault.
        unsafe { at.cast::<T>().read_volatile() }
    }
}

/// `bpf_probe_read_kernel`, for any address.
pub(crate) struct Probed;

impl Memory for Probed {
    #[inline(always)]
    fn read<T: Copy + Default>(at: *const u8) -> T {
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

macro_rules! offset {
    ($field:ident) => {
        field!(OFFSETS, Offsets, $field) as usize
    };
}

macro_rules! gso_bit {
    ($field:ident) => {
        field!(GSO_BITS, GsoBits, $field)
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
    fn read<T: Copy + Default>(&self, offset: usize) -> T {
        M::read(self.at.wrapping_add(offset))
    }

    #[inline(always)]
    pub(crate) fn address(&self) -> u64 {
        self.at as u64
    }

    #[inline(always)]
    pub(crate) fn dev(&self) -> Dev<M> {
        Dev {
            at: self.read::<Address>(offset!(skb_dev)).0,
            memory: PhantomData,
        }
    }

    /// The interface the frame came from, 0 if that is lost or it is the host's.
    #[inline(always)]
    pub(crate) fn iif(&self) -> u32 {
        self.read(offset!(skb_iif))
    }

    #[inline(always)]
    fn bit(&self, byte: usize, shift: usize, mask: u8) -> u8 {
        (self.read::<u8>(byte) >> shift) & mask
    }

    /// Whether an ifb device hands the frame back to the device it came from:
    /// it is received for the second time.
    #[inline(always)]
    pub(crate) fn is_received_again(&self) -> bool {
        let byte = offset!(skb_tc_skip_classify);
        byte != ABSENT as usize && self.bit(byte, offset!(skb_tc_skip_classify_shift), 1) != 0
    }

    /// 4 if a VLAN tag is kept outside the frame's data.
    #[inline(always)]
    fn tag_bytes(&self) -> u32 {
        let tagged = if offset!(skb_vlan_all) != ABSENT as usize {
            self.read::<u32>(offset!(skb_vlan_all)) != 0
        } else {
            self.bit(
                offset!(skb_vlan_present),
                offset!(skb_vlan_present_shift),
                1,
            ) != 0
        };
        if tagged { VLAN_HLEN } else { 0 }
    }

    /// Length on the wire of a frame the host received: the MAC header may
    /// have been pulled already.
    #[inline(always)]
    pub(crate) fn ingress_bytes(&self) -> u32 {
        let mac_header = self.read::<u16>(offset!(skb_mac_header));
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
        self.read::<u32>(offset!(skb_len)) + self.tag_bytes()
    }

    /// What the frame is, given its length on the wire, with the class of a GSO frame.
    #[inline(always)]
    pub(crate) fn shape(&self, bytes: u32) -> (Shape, usize) {
        let head = self.read::<Address>(offset!(skb_head)).0;
        let end = self.read::<u32>(offset!(skb_end)) as usize;
        // Reached through head + end, for which the verifier knows no type.
        let shared = head.wrapping_add(end);
        let gso_size = u32::from(Probed::read::<u16>(
            shared.wrapping_add(offset!(shinfo_gso_size)),
        ));
        let partial =
            self.bit(offset!(skb_ip_summed), offset!(skb_ip_summed_shift), 3) == CHECKSUM_PARTIAL;
        if gso_size == 0 {
            let checksum_bytes = if partial {
                self.bytes_from(self.read(offset!(skb_csum_start)))
            } else {
                0
            };
            let shape = Shape {
                gso_size,
                partial: u32::from(partial),
                segments: 1,
                wire_bytes: bytes,
                checksum_bytes,
            };
            return (shape, class::OTHER);
        }

        let gso_type: u32 = Probed::read(shared.wrapping_add(offset!(shinfo_gso_type)));
        let class = gso_class(gso_type);
        let header = if class == class::TUNNEL {
            self.read::<u16>(offset!(skb_inner_transport_header))
        } else {
            self.read::<u16>(offset!(skb_transport_header))
        };
        // A UFO frame is cut as IP fragments: its UDP header is payload.
        let header_bytes = if gso_type & (gso_bit!(tcp4) | gso_bit!(tcp6)) != 0 {
            let data_offset: u8 = Probed::read(head.wrapping_add(usize::from(header) + 12));
            u32::from(data_offset >> 4) * 4
        } else if gso_type & gso_bit!(uso) != 0 {
            UDP_HLEN
        } else {
            0
        };
        let payload = self.bytes_from(header).wrapping_sub(header_bytes);
        let segments = if header == HEADER_UNSET || payload == 0 || payload > bytes {
            1
        } else if gso_size == GSO_BY_FRAGS {
            let counted = Probed::read::<u16>(shared.wrapping_add(offset!(shinfo_gso_segs)));
            if counted == 0 { 1 } else { u32::from(counted) }
        } else {
            payload.div_ceil(gso_size)
        };
        let repeated = bytes.wrapping_sub(payload).wrapping_mul(segments - 1);
        let checksum_bytes = if partial {
            payload + segments * header_bytes
        } else {
            0
        };
        let shape = Shape {
            gso_size,
            partial: u32::from(partial),
            segments,
            wire_bytes: bytes + repeated,
            checksum_bytes,
        };
        (shape, class)
    }

    /// Bytes between `head` and `data`. Since 6.17 both are pointers to the
    /// verifier: it takes their difference, but no other sum that the compiler
    /// might make of it.
    #[inline(always)]
    fn headroom(&self) -> u32 {
        let data = self.read::<Address>(offset!(skb_data)).0 as u64;
        let head = self.read::<Address>(offset!(skb_head)).0 as u64;
        core::hint::black_box(data.wrapping_sub(head) as u32)
    }

    /// Bytes from a header, given by its offset from `head`, to the end.
    #[inline(always)]
    fn bytes_from(&self, header: u16) -> u32 {
        let offset = u32::from(header).wrapping_sub(self.headroom());
        self.read::<u32>(offset!(skb_len)).wrapping_sub(offset)
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

/// A kernel address; zero (null) where it could not be read.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Address(*const u8);

impl Default for Address {
    fn default() -> Self {
        Self(core::ptr::null())
    }
}

/// A `struct net_device` read through `M`.
pub(crate) struct Dev<M> {
    at: *const u8,
    memory: PhantomData<M>,
}

impl<M: Memory> Dev<M> {
    #[inline(always)]
    fn read<T: Copy + Default>(&self, offset: usize) -> T {
        M::read(self.at.wrapping_add(offset))
    }

    #[inline(always)]
    pub(crate) fn ifindex(&self) -> u32 {
        self.read(offset!(dev_ifindex))
    }

    #[inline(always)]
    pub(crate) fn mtu(&self) -> u32 {
        self.read(offset!(dev_mtu))
    }

    /// Inode number of the device's network namespace.
    #[inline(always)]
    pub(crate) fn netns(&self) -> u32 {
        let net: Address = self.read(offset!(dev_net));
        M::read(net.0.wrapping_add(offset!(net_inum)))
    }
}
