//! Frames that were counted.

use offwatch_common::{Traffic, class, histogram, kind};

/// Headers of TCP over IPv4 with timestamps, Ethernet included.
const HEADERS: u64 = 66;

/// Frames to be counted in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    count: u64,
    bytes: u64,
    gso_size: u32,
    class: usize,
    partial: bool,
    oversize: bool,
    dhcp: bool,
}

impl Frames {
    /// So many finished frames of so many bytes.
    pub fn plain(count: u64, bytes: u64) -> Self {
        Self {
            count,
            bytes,
            gso_size: 0,
            class: class::OTHER,
            partial: false,
            oversize: false,
            dhcp: false,
        }
    }

    /// So many frames whose checksum is still to be computed.
    pub fn partial(count: u64, bytes: u64) -> Self {
        Self {
            partial: true,
            ..Self::plain(count, bytes)
        }
    }

    /// So many TCP frames of so many segments of 1448 bytes.
    pub fn tcp(count: u64, segments: u64) -> Self {
        Self::gso(count, segments, 1448)
    }

    /// The same with segments of another size.
    pub fn gso(count: u64, segments: u64, gso_size: u32) -> Self {
        Self {
            count,
            bytes: HEADERS + segments * u64::from(gso_size),
            gso_size,
            class: class::TCP4,
            partial: true,
            oversize: false,
            dhcp: false,
        }
    }

    /// Of another protocol ([`class`]).
    #[must_use]
    pub fn class(mut self, class: usize) -> Self {
        self.class = class;
        self
    }

    /// Longer than the MTU, and not GSO.
    #[must_use]
    pub fn oversize(mut self) -> Self {
        self.oversize = true;
        self
    }

    /// DHCP: a client's broadcasts, or answers to it.
    #[must_use]
    pub fn dhcp(mut self) -> Self {
        self.dhcp = true;
        self
    }

    pub(super) fn count(self, traffic: &mut Traffic) {
        let is_gso = self.gso_size != 0;
        let mut index = kind::PLAIN;
        if self.partial {
            index |= kind::PARTIAL;
        }
        if is_gso {
            index |= kind::GSO;
        }
        traffic.kinds[index].packets += self.count;
        traffic.kinds[index].bytes += self.count * self.bytes;
        traffic.lengths[histogram::length_bucket(self.bytes as u32)] += self.count;
        if self.dhcp {
            traffic.dhcp_packets += self.count;
        }
        if self.oversize {
            traffic.oversize_packets += self.count;
        }
        if is_gso {
            let payload = self.bytes - HEADERS;
            traffic.gso_segments += self.count * payload.div_ceil(u64::from(self.gso_size));
            traffic.gso_classes[self.class] += self.count;
            traffic.gso_sizes[histogram::gso_size_bucket(self.gso_size)] += self.count;
        }
    }
}
