//! What a guest's virtio driver accepts, as QEMU passes it to `TUNSETOFFLOAD`.

use libc::{
    TUN_F_CSUM, TUN_F_TSO_ECN, TUN_F_TSO4, TUN_F_TSO6, TUN_F_USO4, TUN_F_USO6, c_uint, c_ulong,
};

/// Offloads accepted on one side of a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offloads {
    /// Partial checksums (`VIRTIO_NET_HDR_F_NEEDS_CSUM`). All others need it.
    pub csum: bool,
    /// TCP over IPv4 super-frames.
    pub tso4: bool,
    /// TCP over IPv6 super-frames.
    pub tso6: bool,
    /// TCP super-frames with ECN.
    pub ecn: bool,
    /// UDP super-frames (`UDP_SEGMENT`), both families. Ignored by kernels
    /// before 6.2.
    pub uso: bool,
}

impl Offloads {
    /// Everything a current virtio driver accepts.
    pub const ALL: Self = Self {
        csum: true,
        tso4: true,
        tso6: true,
        ecn: true,
        uso: true,
    };
    /// Nothing: a guest without any offload.
    pub const NONE: Self = Self {
        csum: false,
        tso4: false,
        tso6: false,
        ecn: false,
        uso: false,
    };
    /// Partial checksums but no super-frames: the "legacy" guest for which
    /// the host must segment.
    pub const CSUM_ONLY: Self = Self {
        csum: true,
        ..Self::NONE
    };

    /// The `TUN_F_*` bits. Without `csum` there are none: the kernel refuses
    /// any segmentation bit on its own.
    pub(crate) fn bits(self) -> c_ulong {
        if !self.csum {
            return 0;
        }
        let mut bits: c_uint = TUN_F_CSUM;
        if self.tso4 {
            bits |= TUN_F_TSO4;
        }
        if self.tso6 {
            bits |= TUN_F_TSO6;
        }
        if self.ecn && (self.tso4 || self.tso6) {
            bits |= TUN_F_TSO_ECN;
        }
        if self.uso {
            bits |= TUN_F_USO4 | TUN_F_USO6;
        }
        bits.into()
    }
}

impl Default for Offloads {
    fn default() -> Self {
        Self::ALL
    }
}
