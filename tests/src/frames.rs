//! Hand-made Ethernet frames and the virtio header a driver would send with
//! them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, bail};
use etherparse::{IpNumber, Ipv4Header, TcpHeader, ip_number};

use crate::truth::Mac;
use crate::vnet::{F_NEEDS_CSUM, GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, VnetHdr};

/// Layer 4 of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L4 {
    /// TCP, 20 bytes of header and as many bytes of (no-op) options as given,
    /// a multiple of 4.
    Tcp {
        /// Bytes of options.
        options_bytes: u8,
    },
    /// UDP.
    Udp,
    /// SCTP with one DATA chunk; its CRC is always complete, as Linux guests
    /// send it.
    Sctp,
}

/// Who shall cut the frame, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segmentation {
    /// An ordinary frame.
    None,
    /// TSO or USO with this many payload bytes a segment.
    Segment(u16),
    /// The obsolete UDP fragmentation offload.
    Ufo(u16),
}

/// Description of a frame.
#[derive(Debug, Clone, Copy)]
pub struct FrameSpec {
    /// Source Ethernet address.
    pub source: Mac,
    /// Destination Ethernet address.
    pub destination: Mac,
    /// VLAN identifiers, outermost first.
    pub vlans: [Option<u16>; 2],
    /// Source and destination; both of one family.
    pub ips: (IpAddr, IpAddr),
    /// Whether an IPv6 hop-by-hop header precedes layer 4.
    pub hop_by_hop: bool,
    /// Layer 4.
    pub l4: L4,
    /// Source and destination port.
    pub ports: (u16, u16),
    /// Sequence number of TCP.
    pub sequence: u32,
    /// Payload after the layer 4 header.
    pub payload_bytes: usize,
    /// Whether the checksum is left to the receiver (`NEEDS_CSUM`).
    /// Segmentation implies it.
    pub partial_checksum: bool,
    /// Super-frame or not.
    pub segmentation: Segmentation,
}

impl FrameSpec {
    /// An ordinary untagged UDP frame with a complete checksum.
    pub fn udp4(source: (Mac, Ipv4Addr), destination: (Mac, Ipv4Addr), payload: usize) -> Self {
        Self {
            source: source.0,
            destination: destination.0,
            vlans: [None, None],
            ips: (source.1.into(), destination.1.into()),
            hop_by_hop: false,
            l4: L4::Udp,
            // Discard: nobody answers and nobody should care.
            ports: (40000, 9),
            sequence: 1,
            payload_bytes: payload,
            partial_checksum: false,
            segmentation: Segmentation::None,
        }
    }

    /// The frame and its header.
    pub fn build(&self) -> Result<(Vec<u8>, VnetHdr)> {
        let (l4, checksum_offset, l4_header_bytes) = self.layer4()?;
        let mut frame = Vec::with_capacity(128 + l4.len());
        self.ethernet(&mut frame);
        match self.ips {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.ipv4(&mut frame, from, to, l4.len())?,
            (IpAddr::V6(from), IpAddr::V6(to)) => self.ipv6(&mut frame, from, to, l4.len())?,
            _ => bail!("addresses of two families"),
        }
        let l4_start = frame.len();
        frame.extend_from_slice(&l4);

        let mut header = VnetHdr::default();
        let (gso_type, gso_size) = self.gso()?;
        header.gso_type = gso_type;
        header.gso_size = gso_size;
        if gso_size != 0 {
            header.hdr_len = u16::try_from(l4_start + l4_header_bytes)?;
        }
        let Some(offset) = checksum_offset else {
            return Ok((frame, header));
        };
        let pseudo = self.pseudo_header_sum(l4.len());
        let field = l4_start + offset;
        let value = if self.partial_checksum || gso_size != 0 {
            header.flags = F_NEEDS_CSUM;
            header.csum_start = u16::try_from(l4_start)?;
            header.csum_offset = u16::try_from(offset)?;
            fold(pseudo)
        } else {
            match !fold(pseudo + sum(&frame[l4_start..])) {
                // A zero UDP checksum would mean "none".
                0 => 0xffff,
                value => value,
            }
        };
        frame[field..field + 2].copy_from_slice(&value.to_be_bytes());
        Ok((frame, header))
    }

    fn ip_number(&self) -> IpNumber {
        match self.l4 {
            L4::Tcp { .. } => ip_number::TCP,
            L4::Udp => ip_number::UDP,
            L4::Sctp => ip_number::SCTP,
        }
    }

    fn ethernet(&self, frame: &mut Vec<u8>) {
        frame.extend_from_slice(&self.destination);
        frame.extend_from_slice(&self.source);
        for vlan in self.vlans.iter().flatten() {
            frame.extend_from_slice(&[0x81, 0x00]);
            frame.extend_from_slice(&vlan.to_be_bytes());
        }
        let ether_type: u16 = if self.ips.0.is_ipv4() { 0x0800 } else { 0x86dd };
        frame.extend_from_slice(&ether_type.to_be_bytes());
    }

    fn ipv4(&self, frame: &mut Vec<u8>, from: Ipv4Addr, to: Ipv4Addr, l4: usize) -> Result<()> {
        let l4 = u16::try_from(l4).context("too long for IPv4")?;
        let header = Ipv4Header::new(l4, 64, self.ip_number(), from.octets(), to.octets())
            .context("too long for IPv4")?;
        // Writing computes the header checksum.
        header.write(frame).context("IPv4 header")
    }

    fn ipv6(&self, frame: &mut Vec<u8>, from: Ipv6Addr, to: Ipv6Addr, l4: usize) -> Result<()> {
        const HOP_BY_HOP_BYTES: usize = 8;
        let extension = if self.hop_by_hop { HOP_BY_HOP_BYTES } else { 0 };
        let length = u16::try_from(l4 + extension).context("too long for IPv6")?;
        let next = if self.hop_by_hop {
            0
        } else {
            self.ip_number().0
        };
        frame.extend_from_slice(&[0x60, 0, 0, 0]);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&[next, 64]);
        frame.extend_from_slice(&from.octets());
        frame.extend_from_slice(&to.octets());
        if self.hop_by_hop {
            // One PadN option that fills the header.
            frame.extend_from_slice(&[self.ip_number().0, 0, 1, 4, 0, 0, 0, 0]);
        }
        Ok(())
    }

    /// Header and payload with a zero checksum, where the checksum goes (none
    /// for SCTP), and the length of the header.
    fn layer4(&self) -> Result<(Vec<u8>, Option<usize>, usize)> {
        let payload = vec![0x5a; self.payload_bytes];
        let mut out = Vec::with_capacity(64 + payload.len());
        let (from, to) = self.ports;
        let checksum_offset = match self.l4 {
            L4::Tcp { options_bytes } => {
                let mut header = TcpHeader::new(from, to, self.sequence, 65535);
                header.ack = true;
                header
                    .set_options_raw(&vec![1; options_bytes.into()])
                    .context("TCP options")?;
                header.write(&mut out).context("TCP header")?;
                Some(16)
            }
            L4::Udp => {
                let length = u16::try_from(8 + payload.len()).context("too long for UDP")?;
                for word in [from, to, length, 0] {
                    out.extend_from_slice(&word.to_be_bytes());
                }
                Some(6)
            }
            L4::Sctp => {
                let length = u16::try_from(16 + payload.len()).context("too long for SCTP")?;
                for word in [from, to] {
                    out.extend_from_slice(&word.to_be_bytes());
                }
                // Verification tag and checksum, then the DATA chunk: type,
                // flags, length, TSN, stream, sequence, protocol.
                out.extend_from_slice(&[0; 8]);
                out.extend_from_slice(&[0, 3]);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&[0; 12]);
                None
            }
        };
        let header_bytes = out.len();
        out.extend_from_slice(&payload);
        if self.l4 == L4::Sctp {
            // Chunks are padded to words; the CRC is stored little-endian.
            out.resize(out.len().next_multiple_of(4), 0);
            let crc = crc32c(&out).to_le_bytes();
            out[8..12].copy_from_slice(&crc);
        }
        Ok((out, checksum_offset, header_bytes))
    }

    fn gso(&self) -> Result<(u8, u16)> {
        Ok(match (self.segmentation, self.l4) {
            (Segmentation::None, _) => (0, 0),
            (Segmentation::Segment(size), L4::Tcp { .. }) if self.ips.0.is_ipv4() => {
                (GSO_TCPV4, size)
            }
            (Segmentation::Segment(size), L4::Tcp { .. }) => (GSO_TCPV6, size),
            (Segmentation::Segment(size), L4::Udp) => (GSO_UDP_L4, size),
            (Segmentation::Ufo(size), L4::Udp) => (GSO_UDP, size),
            (segmentation, l4) => bail!("virtio has no {segmentation:?} for {l4:?}"),
        })
    }

    fn pseudo_header_sum(&self, l4_bytes: usize) -> u64 {
        let addresses = match self.ips {
            (IpAddr::V4(from), IpAddr::V4(to)) => sum(&from.octets()) + sum(&to.octets()),
            (IpAddr::V6(from), IpAddr::V6(to)) => sum(&from.octets()) + sum(&to.octets()),
            // `build` has refused a mixture.
            _ => 0,
        };
        addresses + u64::from(self.ip_number().0) + l4_bytes as u64
    }
}

/// Sum of 16-bit words, an odd last byte padded with zero.
fn sum(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
        .sum()
}

/// Folds a sum into 16 bits with end-around carry.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (POLYNOMIAL * (crc & 1))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::Truth;
    use etherparse::{Ipv4HeaderSlice, UdpHeader};

    const A: Mac = [0x52, 0x54, 0, 0x12, 0, 1];
    const B: Mac = [0x52, 0x54, 0, 0x12, 0, 2];

    fn spec() -> FrameSpec {
        FrameSpec::udp4(
            (A, Ipv4Addr::new(198, 18, 0, 1)),
            (B, Ipv4Addr::new(198, 18, 0, 2)),
            99,
        )
    }

    fn truth_of(spec: &FrameSpec) -> Truth {
        let (frame, header) = spec.build().expect("frame");
        let mut truth = Truth::default();
        truth.count(header, &frame);
        truth
    }

    #[test]
    fn complete_checksums_are_right() {
        let (frame, header) = spec().build().expect("frame");
        assert_eq!(header, VnetHdr::default());
        let ip = Ipv4HeaderSlice::from_slice(&frame[14..]).expect("IPv4");
        assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
        let (udp, payload) = UdpHeader::from_slice(&frame[34..]).expect("UDP");
        let expected = udp
            .calc_checksum_ipv4(&ip.to_header(), payload)
            .expect("checksum");
        assert_eq!(udp.checksum, expected);
    }

    #[test]
    fn crc32c_matches_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn truth_sees_through_tags_extension_headers_and_options() {
        let tcp6 = FrameSpec {
            vlans: [Some(7), Some(8)],
            ips: (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()),
            hop_by_hop: true,
            l4: L4::Tcp { options_bytes: 12 },
            payload_bytes: 4001,
            segmentation: Segmentation::Segment(1000),
            ..spec()
        };
        let truth = truth_of(&tcp6);
        assert_eq!(truth.bytes, 14 + 8 + 40 + 8 + 32 + 4001);
        assert_eq!((truth.gso_frames, truth.gso_segments), (1, 5));
        assert_eq!(truth.gso_payload_bytes, 4001);
        assert_eq!(truth.needs_csum_l4_bytes, 32 + 4001);
        assert_eq!(truth.by_source[&A].l4_bytes, 32 + 4001);
    }

    #[test]
    fn ufo_cuts_the_udp_header_too_and_uso_does_not() {
        let uso = FrameSpec {
            payload_bytes: 4000,
            segmentation: Segmentation::Segment(1000),
            ..spec()
        };
        assert_eq!(truth_of(&uso).gso_segments, 4);
        let ufo = FrameSpec {
            segmentation: Segmentation::Ufo(1000),
            ..uso
        };
        assert_eq!(truth_of(&ufo).gso_segments, 5);
    }

    #[test]
    fn sctp_is_no_tcp_or_udp_checksum() {
        let truth = truth_of(&FrameSpec {
            l4: L4::Sctp,
            ..spec()
        });
        assert_eq!((truth.packets, truth.complete_csum_frames), (1, 0));
    }

    #[test]
    fn what_virtio_cannot_express_is_refused() {
        let sctp = FrameSpec {
            l4: L4::Sctp,
            segmentation: Segmentation::Segment(1000),
            ..spec()
        };
        assert!(sctp.build().is_err());
    }
}
