//! The offsets and constants of the running kernel that the BPF programs need.

use offwatch_common::{ABSENT, Access, DropReasons, GsoBits, Offsets, access};

use super::btf::{Btf, BtfError, Member};

/// What the programs are told about the kernel before they are loaded.
pub(super) struct Layout {
    pub(super) offsets: Offsets,
    pub(super) gso_bits: GsoBits,
    pub(super) drop_reasons: DropReasons,
    /// How the programs may be able to cast addresses, if the kernel can.
    pub(super) cast: Option<Cast>,
}

/// `bpf_rdonly_cast` and the structures that addresses are cast to.
pub(super) struct Cast {
    /// BTF type ID of the kernel function.
    pub(super) function: u32,
    /// What the programs are told.
    pub(super) access: Access,
}

impl Layout {
    /// Reads it from BTF. A missing field that cannot be done without is an error.
    pub(super) fn from_btf(btf: &Btf) -> Result<Self, BtfError> {
        Ok(Self {
            offsets: offsets(btf)?,
            gso_bits: gso_bits(btf),
            drop_reasons: drop_reasons(btf),
            cast: cast(btf),
        })
    }
}

fn cast(btf: &Btf) -> Option<Cast> {
    Some(Cast {
        function: btf.function("bpf_rdonly_cast")?,
        access: Access {
            method: access::CAST,
            sk_buff: btf.structure("sk_buff")?,
            skb_shared_info: btf.structure("skb_shared_info")?,
            ethhdr: btf.structure("ethhdr")?,
        },
    })
}

fn offsets(btf: &Btf) -> Result<Offsets, BtfError> {
    let skb = |name| btf.member("sk_buff", name);
    let shared = |name| btf.member("skb_shared_info", name).map(Member::byte);
    let dev = |name| btf.member("net_device", name).map(Member::byte);
    let ip_summed = skb("ip_summed")?;
    let pkt_type = skb("pkt_type")?;
    // 6.1 replaced the flag by the tag itself; one of the two must exist.
    let (vlan_all, vlan_present) = match (skb("vlan_all"), skb("vlan_present")) {
        (Ok(all), _) => (Some(all), None),
        (Err(_), Ok(present)) => (None, Some(present)),
        (Err(error), Err(_)) => return Err(error),
    };
    // Absent where the kernel was built without traffic control actions.
    let skip_classify = skb("tc_skip_classify").ok();
    Ok(Offsets {
        skb_len: skb("len")?.byte(),
        skb_next: skb("next")?.byte(),
        skb_dev: skb("dev")?.byte(),
        skb_iif: skb("skb_iif")?.byte(),
        skb_head: skb("head")?.byte(),
        skb_data: skb("data")?.byte(),
        skb_end: skb("end")?.byte(),
        skb_mac_header: skb("mac_header")?.byte(),
        skb_transport_header: skb("transport_header")?.byte(),
        skb_inner_transport_header: skb("inner_transport_header")?.byte(),
        skb_csum_start: skb("csum_start")?.byte(),
        skb_csum_offset: skb("csum_offset")?.byte(),
        skb_pkt_type: pkt_type.byte(),
        skb_pkt_type_shift: pkt_type.shift(),
        skb_ip_summed: ip_summed.byte(),
        skb_ip_summed_shift: ip_summed.shift(),
        skb_vlan_all: vlan_all.map_or(ABSENT, Member::byte),
        skb_vlan_present: vlan_present.map_or(ABSENT, Member::byte),
        skb_vlan_present_shift: vlan_present.map_or(0, Member::shift),
        skb_tc_skip_classify: skip_classify.map_or(ABSENT, Member::byte),
        skb_tc_skip_classify_shift: skip_classify.map_or(0, Member::shift),
        shinfo_gso_size: shared("gso_size")?,
        shinfo_gso_segs: shared("gso_segs")?,
        shinfo_gso_type: shared("gso_type")?,
        dev_ifindex: dev("ifindex")?,
        dev_mtu: dev("mtu")?,
        dev_net: dev("nd_net.net")?,
        net_inum: btf.member("net", "ns.inum")?.byte(),
    })
}

/// A type that the kernel does not know matches no frame.
fn gso_bits(btf: &Btf) -> GsoBits {
    let bit = |name: &str| btf.enumerator(name).unwrap_or(0);
    let tunnels = [
        "SKB_GSO_GRE",
        "SKB_GSO_GRE_CSUM",
        "SKB_GSO_IPXIP4",
        "SKB_GSO_IPXIP6",
        "SKB_GSO_UDP_TUNNEL",
        "SKB_GSO_UDP_TUNNEL_CSUM",
    ];
    GsoBits {
        tunnel: tunnels.into_iter().map(bit).fold(0, |all, one| all | one),
        tcp4: bit("SKB_GSO_TCPV4"),
        tcp6: bit("SKB_GSO_TCPV6"),
        uso: bit("SKB_GSO_UDP_L4"),
        ufo: bit("SKB_GSO_UDP"),
        sctp: bit("SKB_GSO_SCTP"),
    }
}

fn drop_reasons(btf: &Btf) -> DropReasons {
    let reason = |name| btf.enumerator(name).unwrap_or(ABSENT);
    DropReasons {
        full_ring: reason("SKB_DROP_REASON_FULL_RING"),
        tap_filter: reason("SKB_DROP_REASON_TAP_FILTER"),
        tap_txfilter: reason("SKB_DROP_REASON_TAP_TXFILTER"),
    }
}
