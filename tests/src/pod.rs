//! A container beside the guests: a namespace behind a veth pair on the lab's
//! bridge. A veth accepts what no tap does, such as an SCTP checksum that is
//! still to be computed.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use crate::{
    Lab, Netns,
    command::{ip_batch, run},
    guest::{GUEST_DEVICE, Guest, PREFIX4, format_mac},
    host::BRIDGE,
    truth::Mac,
};

/// The host's end of the pair.
pub const DEVICE: &str = "owpod";
const MAC: Mac = [0x52, 0x54, 0x00, 0x12, 0xf0, 0x01];
const IP4: Ipv4Addr = Ipv4Addr::new(198, 18, 240, 1);

/// The container. It is gone with its namespace.
#[derive(Debug)]
pub struct Pod {
    ns: Netns,
}

impl Pod {
    /// Starts it. It knows `guest`, and the guest knows it.
    pub fn start(lab: &Lab, guest: &Guest) -> Result<Self> {
        let ns = Netns::new()?;
        let path = ns.path();
        let path = path.to_str().context("a path of plain text")?;
        let host = lab.host();
        let pair = [
            "ip",
            "link",
            "add",
            DEVICE,
            "type",
            "veth",
            "peer",
            "name",
            GUEST_DEVICE,
            "netns",
            path,
        ];
        run(host, &pair)?;
        host.sysctl(&[(&format!("net/ipv6/conf/{DEVICE}/disable_ipv6"), "1")])?;
        ns.sysctl(&[(&format!("net/ipv6/conf/{GUEST_DEVICE}/disable_ipv6"), "1")])?;
        let known = guest.config();
        let (mac, known_mac) = (format_mac(MAC), format_mac(known.mac));
        ip_batch(
            &ns,
            &[
                format!("link set {GUEST_DEVICE} address {mac}"),
                format!("addr add {IP4}/{PREFIX4} dev {GUEST_DEVICE}"),
                format!("link set {GUEST_DEVICE} up"),
                format!(
                    "neigh replace {} lladdr {known_mac} dev {GUEST_DEVICE}",
                    known.ip4
                ),
            ],
        )?;
        ip_batch(
            guest.ns(),
            &[format!(
                "neigh replace {IP4} lladdr {mac} dev {GUEST_DEVICE}"
            )],
        )?;
        ip_batch(host, &[format!("link set {DEVICE} master {BRIDGE} up")])?;
        Ok(Self { ns })
    }

    /// Its namespace.
    pub fn ns(&self) -> &Netns {
        &self.ns
    }
}
