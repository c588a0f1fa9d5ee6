//! What the first bytes of a frame tell of a TCP segment.

use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// Bytes of a frame that hold all headers: Ethernet, two VLAN tags, IPv6 and the
/// longest header of TCP.
pub(crate) const SNAP_BYTES: usize = 14 + 8 + 40 + 60;

/// A TCP segment, or those that a GSO frame stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Number of its first byte.
    pub sequence: u32,
    /// The byte that is expected from the other side, if it tells.
    pub acknowledged: Option<u32>,
    /// Bytes of payload.
    pub bytes: u32,
    /// Bytes of payload of each segment but the last.
    pub segment_bytes: u32,
    /// It opens a connection.
    pub syn: bool,
    /// It is the last of its side.
    pub fin: bool,
}

impl Segment {
    /// Reads the beginning of an Ethernet frame that was `frame_bytes` long, with the
    /// `gso_size` of its virtio header, or 0. `None` if it holds no header of TCP.
    pub fn parse(start: &[u8], frame_bytes: usize, gso_size: u16) -> Option<Self> {
        let sliced = LaxSlicedPacket::from_ethernet(start).ok()?;
        let TransportSlice::Tcp(tcp) = sliced.transport? else {
            return None;
        };
        let at = |part: &[u8]| part.as_ptr() as usize - start.as_ptr() as usize;
        // 0 stands for more than the field can hold (BIG TCP).
        let whole = |length: usize, begin: usize| match length {
            0 => frame_bytes,
            length => begin + length,
        };
        let (from, to, end): (IpAddr, IpAddr, usize) = match &sliced.net? {
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                let end = whole(header.total_len().into(), at(header.slice()));
                let (from, to) = (header.source_addr(), header.destination_addr());
                (from.into(), to.into(), end)
            }
            LaxNetSlice::Ipv6(ip) => {
                let header = ip.header();
                let begin = at(header.slice()) + header.slice().len();
                let end = whole(header.payload_length().into(), begin);
                let (from, to) = (header.source_addr(), header.destination_addr());
                (from.into(), to.into(), end)
            }
            LaxNetSlice::Arp(_) => return None,
        };
        let payload = at(tcp.slice()) + usize::from(tcp.data_offset()) * 4;
        let bytes = u32::try_from(end.checked_sub(payload)?).ok()?;
        Some(Self {
            from: SocketAddr::new(from, tcp.source_port()),
            to: SocketAddr::new(to, tcp.destination_port()),
            sequence: tcp.sequence_number(),
            acknowledged: tcp.ack().then(|| tcp.acknowledgment_number()),
            bytes,
            segment_bytes: match u32::from(gso_size) {
                0 => bytes,
                size => size.min(bytes),
            },
            syn: tcp.syn(),
            fin: tcp.fin(),
        })
    }

    /// How many of the numbers it takes: its bytes, and one for either flag.
    pub(super) fn numbers(&self) -> u32 {
        self.bytes
            .saturating_add(self.syn.into())
            .saturating_add(self.fin.into())
    }

    /// Segments on the wire that so many of its numbers take.
    pub(super) fn segments(&self, numbers: u32) -> u32 {
        numbers.div_ceil(self.segment_bytes.max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const MACS: ([u8; 6], [u8; 6]) = ([2; 6], [4; 6]);

    fn built(
        builder: etherparse::PacketBuilderStep<etherparse::TcpHeader>,
        bytes: usize,
    ) -> Vec<u8> {
        let mut frame = Vec::new();
        builder.write(&mut frame, &vec![7; bytes]).expect("a frame");
        frame
    }

    fn v4(bytes: usize) -> Vec<u8> {
        let ip = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        built(ip.tcp(1000, 80, 4_000_000_000, 512).ack(77).fin(), bytes)
    }

    #[test]
    fn headers_alone_tell_a_segment() {
        let frame = v4(1448);
        let segment = Segment::parse(&frame[..SNAP_BYTES], frame.len(), 0).expect("TCP");
        assert_eq!(segment.from, "10.0.0.1:1000".parse().unwrap());
        assert_eq!(segment.to, "10.0.0.2:80".parse().unwrap());
        assert_eq!(segment.sequence, 4_000_000_000);
        assert_eq!(segment.acknowledged, Some(77));
        assert_eq!((segment.bytes, segment.segment_bytes), (1448, 1448));
        assert!(segment.fin && !segment.syn);
        assert_eq!(segment.numbers(), 1449);
    }

    #[test]
    fn padding_is_no_payload() {
        let mut frame = v4(0);
        frame.resize(60, 0);
        assert_eq!(
            Segment::parse(&frame, 60, 0).map(|found| found.bytes),
            Some(0)
        );
    }

    #[test]
    fn a_gso_frame_is_many_segments() {
        let frame = v4(30_000);
        let segment = Segment::parse(&frame[..SNAP_BYTES], frame.len(), 1448).expect("TCP");
        assert_eq!((segment.bytes, segment.segment_bytes), (30_000, 1448));
        assert_eq!(segment.segments(30_000), 21);
        assert_eq!(segment.segments(1), 1);
    }

    #[test]
    fn vlan_tags_options_and_ipv6_are_passed_over() {
        let ip = PacketBuilder::ethernet2(MACS.0, MACS.1)
            .single_vlan(etherparse::VlanId::try_new(5).unwrap())
            .ipv6([1; 16], [2; 16], 64);
        let options = [etherparse::TcpOptionElement::Timestamp(1, 2)];
        let tcp = ip.tcp(9, 10, 5, 512).syn().options(&options).expect("fits");
        let frame = built(tcp, 100);
        let segment = Segment::parse(&frame[..SNAP_BYTES], frame.len(), 0).expect("TCP");
        assert_eq!((segment.bytes, segment.syn), (100, true));
        assert_eq!(segment.acknowledged, None);
    }

    #[test]
    fn a_length_that_does_not_fit_is_that_of_the_frame() {
        let mut frame = v4(1000);
        frame[16..18].copy_from_slice(&[0, 0]);
        let segment = Segment::parse(&frame, 54 + 90_000, 1448).expect("TCP");
        assert_eq!(segment.bytes, 90_000);
    }

    #[test]
    fn what_is_no_tcp_or_too_short_is_none() {
        let frame = v4(10);
        for length in 0..54 {
            assert_eq!(
                Segment::parse(&frame[..length], frame.len(), 0),
                None,
                "{length}"
            );
        }
        let mut udp = Vec::new();
        PacketBuilder::ethernet2(MACS.0, MACS.1)
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(1, 2)
            .write(&mut udp, &[0; 200])
            .unwrap();
        assert_eq!(Segment::parse(&udp, udp.len(), 0), None);
    }
}
