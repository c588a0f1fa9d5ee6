//! Another host, beyond an uplink of the lab's host: a namespace behind a veth
//! pair, on the lab's bridge or at the other end of a VXLAN tunnel.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};

use crate::{
    Lab, Netns,
    command::{bridge_batch, ip_batch, run},
    guest::{Endpoint, GUEST_DEVICE, PREFIX4, PREFIX6, format_mac},
    host::BRIDGE,
    truth::Mac,
};

/// The lab's end of the pair.
pub const UPLINK: &str = "owup0";
/// The lab's end of the tunnel.
pub const TUNNEL: &str = "owvx0";

/// Address on the lab's network.
pub const MAC: Mac = [0x52, 0x54, 0x00, 0x12, 0xf0, 0x02];
const IP4: Ipv4Addr = Ipv4Addr::new(198, 18, 240, 2);
const IP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x198, 0x18, 0, 0, 0, 0, 0xf002);

/// The network below the tunnel. Frames of guests fit through with headers added.
const BELOW: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const BELOW_MTU_BYTES: u32 = 1600;

/// The other host. It is gone with its namespace.
#[derive(Debug)]
pub struct Peer {
    ns: Netns,
}

impl Peer {
    /// A host on the same network: [`UPLINK`] is a port of the lab's bridge. It
    /// knows all guests that are there, and they know it.
    pub fn bridged(lab: &Lab) -> Result<Self> {
        let peer = Self::connect(lab)?;
        peer.introduce(lab, UPLINK, GUEST_DEVICE)?;
        Ok(peer)
    }

    /// The same beyond a tunnel: [`TUNNEL`] is the port, and [`UPLINK`] carries
    /// what is encapsulated.
    pub fn tunnelled(lab: &Lab) -> Result<Self> {
        let peer = Self::connect(lab)?;
        for (ns, device, (own, other)) in [
            (lab.host(), UPLINK, (BELOW[0], BELOW[1])),
            (&peer.ns, GUEST_DEVICE, (BELOW[1], BELOW[0])),
        ] {
            ip_batch(
                ns,
                &[
                    format!("link set {device} mtu {BELOW_MTU_BYTES}"),
                    format!("addr add {own}/24 dev {device}"),
                    format!(
                        "link add {TUNNEL} type vxlan id 7 local {own} remote {other} \
                         dev {device} dstport 4789"
                    ),
                    format!("link set {TUNNEL} mtu 1500"),
                ],
            )?;
        }
        peer.introduce(lab, TUNNEL, TUNNEL)?;
        Ok(peer)
    }

    /// Its namespace.
    pub fn ns(&self) -> &Netns {
        &self.ns
    }

    /// Where its traffic on the lab's network starts or ends.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            ns: self.ns.clone(),
            ip4: IP4,
            ip6: IP6,
        }
    }

    fn connect(lab: &Lab) -> Result<Self> {
        let ns = Netns::new()?;
        let path = ns.path();
        let path = path.to_str().context("a path of plain text")?;
        let pair = format!("ip link add {UPLINK} type veth peer name {GUEST_DEVICE} netns {path}");
        run(lab.host(), &pair.split(' ').collect::<Vec<_>>())?;
        quiet(lab.host(), UPLINK)?;
        ip_batch(lab.host(), &[format!("link set {UPLINK} up")])?;
        ip_batch(&ns, &[format!("link set {GUEST_DEVICE} up")])?;
        Ok(Self { ns })
    }

    /// Makes `port` a port of the lab's bridge, and `own` speak on its network.
    fn introduce(&self, lab: &Lab, port: &str, own: &str) -> Result<()> {
        let mac = format_mac(MAC);
        let mut lines = vec![
            format!("link set {own} address {mac}"),
            format!("addr add {IP4}/{PREFIX4} dev {own}"),
            format!("addr add {IP6}/{PREFIX6} dev {own} nodad"),
            format!("link set {own} up"),
        ];
        for guest in lab.guests() {
            let known = guest.config();
            let theirs = format_mac(known.mac);
            lines.push(format!(
                "neigh replace {} lladdr {theirs} dev {own}",
                known.ip4
            ));
            lines.push(format!(
                "neigh replace {} lladdr {theirs} dev {own}",
                known.ip6
            ));
            let new = [IP4.to_string(), IP6.to_string()];
            let new = new.map(|ip| format!("neigh replace {ip} lladdr {mac} dev {GUEST_DEVICE}"));
            ip_batch(guest.ns(), &new)?;
        }
        ip_batch(&self.ns, &lines)?;
        quiet(lab.host(), port)?;
        ip_batch(lab.host(), &[format!("link set {port} master {BRIDGE} up")])?;
        bridge_batch(
            lab.host(),
            &[format!("fdb replace {mac} dev {port} master static")],
        )
    }
}

/// The host itself says nothing on a port of its bridge.
fn quiet(ns: &Netns, device: &str) -> Result<()> {
    ns.sysctl(&[(&format!("net/ipv6/conf/{device}/disable_ipv6"), "1")])
}
