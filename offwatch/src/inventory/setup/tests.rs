//! Messages of the kernel: of shapers from Linux 6.18, of policers from 6.1,
//! each beside what `tc` printed of it.

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage},
    tc::TcMessage,
};

use super::{
    attributes::{bytes, rate},
    classes::class,
    devices::{device, stack},
    filters::of_filter,
    qdiscs::qdisc,
};
use crate::facts::{
    device::Device,
    policer::{Place, PoliceCounters, Policer, Verdict},
    qdisc::{Handle, Shaper, TokenBucket},
    topology::{Lower, Peer, Topology},
};

macro_rules! captured {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/data/inventory/tc/", $name))
    };
}

fn parse(bytes: &[u8]) -> Option<TcMessage> {
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).ok()?;
    match message.payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewQueueDiscipline(message)
            | RouteNetlinkMessage::NewTrafficClass(message)
            | RouteNetlinkMessage::NewTrafficFilter(message),
        ) => Some(message),
        _ => None,
    }
}

/// An interface of a kind, or hardware, on which others can be.
fn interface(ifindex: u32, kind: Option<InfoKind>, more: &[LinkAttribute]) -> Device {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    let name = LinkAttribute::IfName(format!("dev{ifindex}"));
    let kind = kind.map(|kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]));
    message.attributes.push(name);
    message.attributes.extend(kind);
    message.attributes.extend(more.iter().cloned());
    device(&message).expect("an interface")
}

#[test]
fn where_frames_leave() {
    let uplink = interface(2, None, &[]);
    assert!(uplink.hardware.is_some());
    assert_eq!(uplink.lower, None);
    let on_uplink = [LinkAttribute::Link(2)];
    let elsewhere = [LinkAttribute::Link(2), LinkAttribute::LinkNetNsId(0)];
    let tunnel = |more: &[LinkAttribute]| interface(3, Some(InfoKind::GreTap), more).lower;
    assert_eq!(tunnel(&on_uplink), Some(Lower::Link(2)));
    assert_eq!(tunnel(&[]), Some(Lower::Varies));
    assert_eq!(tunnel(&[LinkAttribute::Link(0)]), Some(Lower::Varies));
    assert_eq!(tunnel(&elsewhere), Some(Lower::Elsewhere));
    let veth = |more: &[LinkAttribute]| interface(3, Some(InfoKind::Veth), more);
    assert_eq!(veth(&on_uplink).lower, None);
    assert_eq!(veth(&on_uplink).topology, Topology::Veth(Peer::Here(2)));
    assert_eq!(veth(&elsewhere).topology, Topology::Veth(Peer::Elsewhere));
    assert_eq!(veth(&[]).topology, Topology::Veth(Peer::Unknown));
    assert!(veth(&[]).hardware.is_none());
    let port = [LinkAttribute::Controller(5), LinkAttribute::Link(2)];
    let stacked = stack(vec![
        interface(5, Some(InfoKind::Bridge), &[]),
        interface(4, Some(InfoKind::Vlan), &port),
        uplink,
    ]);
    let order: Vec<u32> = stacked.iter().map(|device| device.ifindex).collect();
    assert_eq!(order, [2, 4, 5]);
    assert_eq!(stacked[0].uppers, [4]);
    assert_eq!(stacked[2].ports, [4]);
}

/// tc printed `rate 80Mbit burst 10Kb peakrate 100Mbit minburst 2000b`.
#[test]
fn a_token_bucket_is_read() {
    let qdisc = qdisc(&parse(captured!("tbf.bin")).expect("a message")).expect("a tbf");
    assert_eq!(qdisc.handle.to_string(), "10:");
    assert!(qdisc.is_root());
    let expected = TokenBucket {
        rate_bytes_per_s: 10_000_000,
        burst_bytes: 10 << 10,
        peak_bytes_per_s: Some(12_500_000),
        peak_burst_bytes: Some(2_000),
        limit_bytes: 20 << 10,
    };
    assert_eq!(qdisc.shaper, Shaper::Tbf(expected));
}

/// tc printed `rate 8Mbit ceil 16Mbit burst 20Kb cburst 1600b` and
/// `rate 40Gbit ceil 40Gbit burst 200000b cburst 0b`.
#[test]
fn classes_are_read() {
    let inner = class(&parse(captured!("htb-class-inner.bin")).expect("a message"));
    let inner = inner.expect("a class");
    assert_eq!(
        (inner.handle, inner.parent),
        (Handle(0x1_0001), Handle::ROOT)
    );
    assert_eq!(inner.rate_bytes_per_s, 1_000_000);
    assert_eq!(inner.burst_bytes, 20 << 10);
    assert_eq!(inner.ceil_bytes_per_s, 2_000_000);
    assert_eq!(inner.ceil_burst_bytes, 1_600);
    let leaf = class(&parse(captured!("htb-class-leaf.bin")).expect("a message"));
    let leaf = leaf.expect("a class");
    assert_eq!(leaf.handle.to_string(), "1:a");
    assert_eq!(leaf.parent, inner.handle);
    assert_eq!(leaf.rate_bytes_per_s, 5_000_000_000);
    assert_eq!(leaf.burst_bytes, 200_000);
}

/// `rate 10kbps burst 5kb mtu 64kb drop`, after 40 frames of 1000 bytes, of
/// which 35 were dropped: as libvirt writes it, and as an action.
#[test]
fn policers_are_read_in_both_forms() {
    for (bytes, filter) in [
        (&captured!("police-u32.bin")[..], "u32"),
        (captured!("police-matchall.bin"), "matchall"),
    ] {
        let message = parse(bytes).expect("a message");
        let found = of_filter(&message, Place::Ingress).expect("a filter");
        let expected = Policer {
            place: Place::Ingress,
            filter: filter.into(),
            preference: 7,
            protocol: 3,
            rate_bytes_per_s: Some(10_000),
            burst_bytes: Some(5 << 10),
            mtu_bytes: Some(64 << 10),
            exceed: Verdict::Drop,
            counters: Some(PoliceCounters {
                // Without Ethernet headers.
                bytes: 40 * 986,
                packets: 40,
                drops: 35,
                overlimits: 35,
            }),
            ..Policer::default()
        };
        assert_eq!(found, [expected]);
    }
}

#[test]
fn damaged_messages_do_no_harm() {
    for whole in [
        &captured!("tbf.bin")[..],
        captured!("htb-class-inner.bin"),
        captured!("police-u32.bin"),
        captured!("police-matchall.bin"),
    ] {
        for cut in (20..whole.len()).step_by(4) {
            // The header says how long the rest is, so it is cut inside.
            let mut cut = whole[..cut].to_vec();
            let length = u32::try_from(cut.len()).expect("short").to_ne_bytes();
            cut[..4].copy_from_slice(&length);
            let Some(message) = parse(&cut) else { continue };
            let _ = (qdisc(&message), class(&message));
            let _ = of_filter(&message, Place::Egress);
        }
    }
}

#[test]
fn rates_beyond_32_bits_and_no_rate() {
    let long = 5_000_000_000_u64.to_ne_bytes();
    assert_eq!(rate(Some(u32::MAX), Some(&long)), Some(5_000_000_000));
    assert_eq!(rate(Some(7), None), Some(7));
    assert_eq!(rate(Some(0), None), None);
    assert_eq!(bytes(u64::MAX, u32::MAX), u64::MAX);
}

#[test]
fn handles_are_written_as_tc_writes_them() {
    let written = [0, 0xFFFF_FFFF, 0xFFFF_FFF1, 0x8001_0000, 0x1_000A, 0xA];
    let written = written.map(|handle| Handle(handle).to_string());
    assert_eq!(written, ["none", "root", "ingress", "8001:", "1:a", ":a"]);
}
