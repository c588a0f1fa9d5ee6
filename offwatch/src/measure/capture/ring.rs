//! A packet socket on one interface, with a ring that the kernel fills
//! (`TPACKET_V3`, packet(7)).

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    sync::atomic::{AtomicU32, Ordering},
};

use libc::{c_int, c_void, socklen_t};
use memmap2::{MmapOptions, MmapRaw};
use nix::{
    errno::Errno,
    sys::socket::{getsockopt, sockopt::SocketError},
};

use super::filter;

const BLOCK_BYTES: usize = 1 << 18;
pub(super) const BLOCKS: usize = 16;
const FRAME_BYTES: usize = 2048;
/// The kernel hands over a block after this time, though it is not full.
pub(super) const RETIRE_MS: u32 = 60;

/// A ring. It ends with its socket.
pub(super) struct Ring {
    socket: OwnedFd,
    memory: MmapRaw,
    /// The block that the kernel fills next.
    next: usize,
}

/// A captured frame.
pub(super) struct Frame<'ring> {
    /// How it begins.
    pub(super) start: &'ring [u8],
    /// How long it was.
    pub(super) bytes: usize,
    /// Bytes of payload of each of its segments; 0 if it is no GSO frame.
    pub(super) gso_size: u16,
    /// It was sent to the interface.
    pub(super) is_egress: bool,
    /// When it passed.
    pub(super) at_ns: u64,
}

impl Ring {
    /// Captures TCP at an interface of this network namespace.
    pub(super) fn open(ifindex: u32) -> io::Result<Self> {
        // Without a protocol nothing is captured until it is bound.
        // SAFETY: plain numbers; the descriptor is checked and owned at once.
        let socket = unsafe {
            let opened = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
            OwnedFd::from_raw_fd(Errno::result(opened)?)
        };
        let program = libc::sock_fprog {
            len: filter::TCP.len() as u16,
            filter: filter::TCP.as_ptr().cast_mut(),
        };
        set(&socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
        let version = libc::tpacket_versions::TPACKET_V3 as c_int;
        set(&socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let on: c_int = 1;
        set(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &on)?;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK_BYTES as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: FRAME_BYTES as u32,
            tp_frame_nr: (BLOCK_BYTES / FRAME_BYTES * BLOCKS) as u32,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let memory = MmapOptions::new()
            .len(BLOCK_BYTES * BLOCKS)
            .map_raw(socket.as_raw_fd())?;
        // SAFETY: `sockaddr_ll` is plain data for which all zeroes is valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = ifindex.cast_signed();
        // SAFETY: the address lives across the call.
        let bound = unsafe {
            let address = (&raw const address).cast();
            let length = size_of::<libc::sockaddr_ll>() as socklen_t;
            libc::bind(socket.as_raw_fd(), address, length)
        };
        Errno::result(bound)?;
        Ok(Self {
            socket,
            memory,
            next: 0,
        })
    }

    /// To wait for a block.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// An interface that was set down is an error until it is read; one that is set
    /// up again is captured again.
    pub(super) fn forget_error(&self) {
        let _ = getsockopt(&self.socket, SocketError);
    }

    /// A second descriptor of the socket, for [`lost`].
    pub(super) fn socket(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }

    /// Shows the frames of one block, if there is one, and gives it back.
    pub(super) fn drain(&mut self, mut show: impl FnMut(Frame<'_>)) -> bool {
        let at = self.next * BLOCK_BYTES;
        // SAFETY: blocks lie within the mapping, page-aligned, and the kernel begins
        // each with a descriptor.
        let (status, header) = unsafe {
            let block = self.memory.as_mut_ptr().add(at);
            let header = &raw mut (*block.cast::<libc::tpacket_block_desc>()).hdr.bh1;
            let status = AtomicU32::from_ptr(&raw mut (*header).block_status);
            (status, header)
        };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        // SAFETY: the block is ours until its status is set back.
        let (bytes, count, first) = unsafe {
            let block = std::slice::from_raw_parts(self.memory.as_ptr().add(at), BLOCK_BYTES);
            let header = &*header;
            (block, header.num_pkts, header.offset_to_first_pkt as usize)
        };
        let mut offset = first;
        for _ in 0..count {
            let Some((frame, next)) = frame(bytes, offset) else {
                break;
            };
            show(frame);
            offset += next;
        }
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % BLOCKS;
        true
    }
}

/// The frame at an offset of a block, and how far away the next one is.
fn frame(block: &[u8], offset: usize) -> Option<(Frame<'_>, usize)> {
    const ADDRESS: usize =
        size_of::<libc::tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);
    /// `gso_size` of `struct virtio_net_hdr`, and that header's length.
    const GSO_SIZE: usize = 4;
    const VNET_HDR: usize = 10;
    let header: libc::tpacket3_hdr = read(block, offset)?;
    let address: libc::sockaddr_ll = read(block, offset + ADDRESS)?;
    let mac = offset + usize::from(header.tp_mac);
    let start = block.get(mac..mac + header.tp_snaplen as usize)?;
    let gso_size: u16 = read(block, mac.checked_sub(VNET_HDR)? + GSO_SIZE)?;
    let frame = Frame {
        start,
        bytes: header.tp_len as usize,
        gso_size,
        is_egress: address.sll_pkttype == libc::PACKET_OUTGOING,
        at_ns: u64::from(header.tp_sec) * 1_000_000_000 + u64::from(header.tp_nsec),
    };
    Some((frame, header.tp_next_offset as usize))
}

/// A structure of plain numbers at an offset.
fn read<T: Copy>(block: &[u8], offset: usize) -> Option<T> {
    let bytes = block.get(offset..offset + size_of::<T>())?;
    // SAFETY: so many bytes are there, and all of them make a valid value of numbers.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

fn set<T>(socket: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the value lives across the call, and its size is its own.
    let done = unsafe {
        let at = (&raw const *value).cast::<c_void>();
        let length = size_of::<T>() as socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, at, length)
    };
    Errno::result(done)?;
    Ok(())
}

/// How many frames did not fit into a ring since the last call.
pub(super) fn lost(socket: &OwnedFd) -> io::Result<u64> {
    let mut statistics = libc::tpacket_stats_v3 {
        tp_packets: 0,
        tp_drops: 0,
        tp_freeze_q_cnt: 0,
    };
    let mut length = size_of_val(&statistics) as socklen_t;
    // SAFETY: the kernel writes at most so many bytes, into a structure of numbers.
    let read = unsafe {
        let at = (&raw mut statistics).cast::<c_void>();
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            at,
            &raw mut length,
        )
    };
    Errno::result(read)?;
    Ok(statistics.tp_drops.into())
}
