//! Ground truth: what really crossed one direction of a guest's tap.
//!
//! Everything is computed from the frame itself with `etherparse`, never from
//! `hdr_len` in the virtio header, so that it is independent both of the
//! kernel and of offwatch.

use std::collections::BTreeMap;

use etherparse::{LaxSlicedPacket, ip_number};
use serde::Serialize;

use crate::vnet::{self, VnetHdr};

/// Ethernet address.
pub type Mac = [u8; 6];

/// Counters of one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Frames; a super-frame counts once, as in the kernel's counters.
    pub packets: u64,
    /// Bytes of frames, Ethernet header included, virtio header not.
    pub bytes: u64,
    /// Frames with `gso_type` 0.
    pub non_gso_frames: u64,
    /// Super-frames.
    pub gso_frames: u64,
    /// Bytes of super-frames.
    pub gso_bytes: u64,
    /// Payload bytes of super-frames, without any header.
    pub gso_payload_bytes: u64,
    /// Segments that super-frames stand for: ceil(payload / `gso_size`).
    pub gso_segments: u64,
    /// Super-frames whose payload could not be found; 0 in a sound test.
    pub gso_unparsed_frames: u64,
    /// Frames with a partial checksum.
    pub needs_csum_frames: u64,
    /// Bytes of frames with a partial checksum.
    pub needs_csum_bytes: u64,
    /// Bytes that a partial checksum covers: from `csum_start` to the end.
    pub needs_csum_l4_bytes: u64,
    /// TCP and UDP frames whose checksum is complete.
    pub complete_csum_frames: u64,
    /// L4 bytes (header and payload) of those frames.
    pub complete_csum_l4_bytes: u64,
    /// `gso_size` -> super-frames.
    pub gso_sizes: BTreeMap<u16, u64>,
    /// Frame length in bytes -> frames.
    pub frame_lens: BTreeMap<u32, u64>,
    /// Source Ethernet address -> its share.
    #[serde(skip)]
    pub by_source: BTreeMap<Mac, SourceTruth>,
    /// Frames that the relay could not hand on. Those from the VM are counted
    /// nowhere else, as the host never saw them; those to the VM are. 0 unless
    /// a device is down or a header is invalid.
    pub undelivered_frames: u64,
}

/// Share of one sender in a [`Truth`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SourceTruth {
    /// Frames.
    pub frames: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// Super-frames.
    pub gso_frames: u64,
    /// Segments that the super-frames stand for.
    pub gso_segments: u64,
    /// L4 bytes (header and payload) of TCP and UDP frames.
    pub l4_bytes: u64,
}

impl Truth {
    /// Counts one frame.
    pub fn count(&mut self, header: VnetHdr, frame: &[u8]) {
        let bytes = frame.len() as u64;
        let l4 = L4::find(frame);
        let l4_bytes = l4.map_or(0, |l4| l4.bytes);

        self.packets += 1;
        self.bytes += bytes;
        *self.frame_lens.entry(frame.len() as u32).or_default() += 1;

        let mut segments = 0;
        if header.is_gso() {
            let payload_bytes = L4::gso_payload_bytes(header, frame, l4);
            self.gso_frames += 1;
            self.gso_bytes += bytes;
            *self.gso_sizes.entry(header.gso_size).or_default() += 1;
            match payload_bytes {
                Some(payload_bytes) if header.gso_size != 0 => {
                    segments = payload_bytes.div_ceil(header.gso_size.into());
                    self.gso_payload_bytes += payload_bytes;
                    self.gso_segments += segments;
                }
                _ => self.gso_unparsed_frames += 1,
            }
        } else {
            self.non_gso_frames += 1;
        }

        if header.needs_csum() {
            self.needs_csum_frames += 1;
            self.needs_csum_bytes += bytes;
            self.needs_csum_l4_bytes += bytes.saturating_sub(header.csum_start.into());
        } else if l4.is_some() {
            self.complete_csum_frames += 1;
            self.complete_csum_l4_bytes += l4_bytes;
        }

        if let Some(&source) = frame.get(6..).and_then(<[u8]>::first_chunk::<6>) {
            let share = self.by_source.entry(source).or_default();
            share.frames += 1;
            share.bytes += bytes;
            share.gso_frames += u64::from(header.is_gso());
            share.gso_segments += segments;
            share.l4_bytes += l4_bytes;
        }
    }

    /// Frames on the wire if every super-frame were cut.
    pub fn wire_packets(&self) -> u64 {
        self.non_gso_frames + self.gso_segments
    }

    /// Adds the counters of another queue.
    pub fn merge(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.non_gso_frames += other.non_gso_frames;
        self.gso_frames += other.gso_frames;
        self.gso_bytes += other.gso_bytes;
        self.gso_payload_bytes += other.gso_payload_bytes;
        self.gso_segments += other.gso_segments;
        self.gso_unparsed_frames += other.gso_unparsed_frames;
        self.needs_csum_frames += other.needs_csum_frames;
        self.needs_csum_bytes += other.needs_csum_bytes;
        self.needs_csum_l4_bytes += other.needs_csum_l4_bytes;
        self.complete_csum_frames += other.complete_csum_frames;
        self.complete_csum_l4_bytes += other.complete_csum_l4_bytes;
        self.undelivered_frames += other.undelivered_frames;
        for (&size, frames) in &other.gso_sizes {
            *self.gso_sizes.entry(size).or_default() += frames;
        }
        for (&len, frames) in &other.frame_lens {
            *self.frame_lens.entry(len).or_default() += frames;
        }
        for (&source, share) in &other.by_source {
            let mine = self.by_source.entry(source).or_default();
            mine.frames += share.frames;
            mine.bytes += share.bytes;
            mine.gso_frames += share.gso_frames;
            mine.gso_segments += share.gso_segments;
            mine.l4_bytes += share.l4_bytes;
        }
    }

    /// What happened since `earlier`, a snapshot of the same direction.
    /// Histogram keys without change are left out.
    pub fn since(&self, earlier: &Self) -> Self {
        let delta_map = |now: u64, then: Option<&u64>| now - then.copied().unwrap_or(0);
        Self {
            packets: self.packets - earlier.packets,
            bytes: self.bytes - earlier.bytes,
            non_gso_frames: self.non_gso_frames - earlier.non_gso_frames,
            gso_frames: self.gso_frames - earlier.gso_frames,
            gso_bytes: self.gso_bytes - earlier.gso_bytes,
            gso_payload_bytes: self.gso_payload_bytes - earlier.gso_payload_bytes,
            gso_segments: self.gso_segments - earlier.gso_segments,
            gso_unparsed_frames: self.gso_unparsed_frames - earlier.gso_unparsed_frames,
            needs_csum_frames: self.needs_csum_frames - earlier.needs_csum_frames,
            needs_csum_bytes: self.needs_csum_bytes - earlier.needs_csum_bytes,
            needs_csum_l4_bytes: self.needs_csum_l4_bytes - earlier.needs_csum_l4_bytes,
            complete_csum_frames: self.complete_csum_frames - earlier.complete_csum_frames,
            complete_csum_l4_bytes: self.complete_csum_l4_bytes - earlier.complete_csum_l4_bytes,
            undelivered_frames: self.undelivered_frames - earlier.undelivered_frames,
            gso_sizes: self
                .gso_sizes
                .iter()
                .map(|(size, &now)| (*size, delta_map(now, earlier.gso_sizes.get(size))))
                .filter(|(_, frames)| *frames != 0)
                .collect(),
            frame_lens: self
                .frame_lens
                .iter()
                .map(|(len, &now)| (*len, delta_map(now, earlier.frame_lens.get(len))))
                .filter(|(_, frames)| *frames != 0)
                .collect(),
            by_source: self
                .by_source
                .iter()
                .map(|(source, now)| {
                    let then = earlier.by_source.get(source).copied().unwrap_or_default();
                    let share = SourceTruth {
                        frames: now.frames - then.frames,
                        bytes: now.bytes - then.bytes,
                        gso_frames: now.gso_frames - then.gso_frames,
                        gso_segments: now.gso_segments - then.gso_segments,
                        l4_bytes: now.l4_bytes - then.l4_bytes,
                    };
                    (*source, share)
                })
                .filter(|(_, share)| share.frames != 0)
                .collect(),
        }
    }
}

/// The TCP or UDP part of a frame.
#[derive(Clone, Copy)]
struct L4 {
    /// Header and payload, as long as the IP header says (no padding).
    bytes: u64,
    header_bytes: u64,
}

impl L4 {
    /// `None` for anything but whole TCP and UDP packets.
    fn find(frame: &[u8]) -> Option<Self> {
        let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
        let ip = packet.ip_payload()?;
        if ip.fragmented {
            return None;
        }
        let header_bytes = match ip.ip_number {
            // The data offset counts 32-bit words.
            ip_number::TCP => u64::from(ip.payload.get(12)? >> 4) * 4,
            ip_number::UDP => 8,
            _ => return None,
        };
        Some(Self {
            bytes: ip.payload.len() as u64,
            header_bytes,
        })
    }

    /// Bytes that the segmentation of a super-frame distributes.
    fn gso_payload_bytes(header: VnetHdr, frame: &[u8], l4: Option<Self>) -> Option<u64> {
        if header.gso_kind() == vnet::GSO_UDP {
            // UFO makes IP fragments: the UDP header is payload.
            let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
            return Some(packet.ip_payload()?.payload.len() as u64);
        }
        let l4 = l4?;
        l4.bytes.checked_sub(l4.header_bytes)
    }
}
