//! `struct virtio_net_hdr_mrg_rxbuf`, the 12 bytes in front of every frame.

/// Size of the header on both taps of a guest, as QEMU sets it for
/// mergeable receive buffers.
pub const VNET_HDR_BYTES: usize = 12;

/// `flags`: the checksum is partial, see `csum_start` and `csum_offset`.
pub const F_NEEDS_CSUM: u8 = 1;
/// `flags`: the sender vouches for the checksum.
pub const F_DATA_VALID: u8 = 2;

/// `gso_type`: an ordinary frame.
pub const GSO_NONE: u8 = 0;
/// `gso_type`: TCP over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// `gso_type`: UDP fragmentation offload, long obsolete but still accepted.
pub const GSO_UDP: u8 = 3;
/// `gso_type`: TCP over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// `gso_type`: UDP segmentation (USO).
pub const GSO_UDP_L4: u8 = 5;
/// Bit of `gso_type`: TCP with ECN.
pub const GSO_ECN: u8 = 0x80;

/// A decoded header. Integers are in host byte order, as on a legacy virtio
/// device of a little-endian host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VnetHdr {
    /// `F_*` bits.
    pub flags: u8,
    /// `GSO_*` value.
    pub gso_type: u8,
    /// Length of all headers of a super-frame; a hint that may be wrong.
    pub hdr_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where the checksum starts, from the start of the frame.
    pub csum_start: u16,
    /// Where to store it, from `csum_start`.
    pub csum_offset: u16,
    /// Number of merged buffers; the tap ignores it.
    pub num_buffers: u16,
}

impl VnetHdr {
    /// The header as the tap expects it.
    pub fn to_bytes(self) -> [u8; VNET_HDR_BYTES] {
        let mut out = [0; VNET_HDR_BYTES];
        out[0] = self.flags;
        out[1] = self.gso_type;
        let words = [
            self.hdr_len,
            self.gso_size,
            self.csum_start,
            self.csum_offset,
            self.num_buffers,
        ];
        for (to, word) in out[2..].chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        out
    }

    /// Splits what was read from a tap into header and frame. `None` if it is
    /// shorter than a header.
    pub fn split(buffer: &[u8]) -> Option<(Self, &[u8])> {
        let (raw, frame) = buffer.split_first_chunk::<VNET_HDR_BYTES>()?;
        let word = |at: usize| u16::from_ne_bytes([raw[at], raw[at + 1]]);
        let header = Self {
            flags: raw[0],
            gso_type: raw[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
            num_buffers: word(10),
        };
        Some((header, frame))
    }

    /// Whether the frame is a super-frame that someone must still cut.
    pub fn is_gso(self) -> bool {
        self.gso_kind() != GSO_NONE
    }

    /// `gso_type` without the ECN bit.
    pub fn gso_kind(self) -> u8 {
        self.gso_type & !GSO_ECN
    }

    /// Whether the L4 checksum is still to be completed.
    pub fn needs_csum(self) -> bool {
        self.flags & F_NEEDS_CSUM != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_survives_a_round_trip() {
        let header = VnetHdr {
            flags: F_NEEDS_CSUM,
            gso_type: GSO_TCPV4 | GSO_ECN,
            hdr_len: 54,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
            num_buffers: 1,
        };
        let mut buffer = header.to_bytes().to_vec();
        buffer.extend_from_slice(b"frame");
        assert_eq!(VnetHdr::split(&buffer), Some((header, &b"frame"[..])));
        assert_eq!(header.gso_kind(), GSO_TCPV4);
        assert_eq!(VnetHdr::split(&buffer[..11]), None);
    }
}
