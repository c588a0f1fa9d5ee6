//! Link set-up and the kernel's own counters, through `ip` and `ethtool`.

use std::io::ErrorKind;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::run;
use crate::netns::Netns;

/// Counters of a device as the kernel reports them. For a tap, `rx` is what
/// the guest sent and `tx` what it received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Frames from the guest.
    pub rx_packets: u64,
    /// Bytes of frames from the guest.
    pub rx_bytes: u64,
    /// Frames from the guest that the tap itself refused.
    pub rx_dropped: u64,
    /// Frames that the guest has read from its ring.
    pub tx_packets: u64,
    /// Bytes of frames that the guest has read from its ring.
    pub tx_bytes: u64,
    /// Frames dropped because the guest's ring was full.
    pub tx_dropped: u64,
}

impl LinkStats {
    /// What happened since `earlier`, counters of the same device.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            rx_packets: self.rx_packets - earlier.rx_packets,
            rx_bytes: self.rx_bytes - earlier.rx_bytes,
            rx_dropped: self.rx_dropped - earlier.rx_dropped,
            tx_packets: self.tx_packets - earlier.tx_packets,
            tx_bytes: self.tx_bytes - earlier.tx_bytes,
            tx_dropped: self.tx_dropped - earlier.tx_dropped,
        }
    }
}

#[derive(Deserialize)]
struct LinkJson {
    ifindex: u32,
    #[serde(default)]
    stats64: Option<StatsJson>,
}

#[derive(Deserialize)]
struct StatsJson {
    rx: DirectionJson,
    tx: DirectionJson,
}

#[derive(Deserialize)]
struct DirectionJson {
    packets: u64,
    bytes: u64,
    dropped: u64,
}

fn show(ns: &Netns, device: &str) -> Result<LinkJson> {
    let json = run(ns, &["ip", "-s", "-j", "link", "show", "dev", device])?;
    serde_json::from_str::<Vec<LinkJson>>(&json)
        .with_context(|| format!("`ip -j link show` of {device}"))?
        .pop()
        .with_context(|| format!("no link {device}"))
}

/// Interface index of `device`.
pub fn ifindex(ns: &Netns, device: &str) -> Result<u32> {
    Ok(show(ns, device)?.ifindex)
}

/// Counters of `device`.
pub fn stats(ns: &Netns, device: &str) -> Result<LinkStats> {
    let stats = show(ns, device)?
        .stats64
        .with_context(|| format!("no counters of {device}"))?;
    Ok(LinkStats {
        rx_packets: stats.rx.packets,
        rx_bytes: stats.rx.bytes,
        rx_dropped: stats.rx.dropped,
        tx_packets: stats.tx.packets,
        tx_bytes: stats.tx.bytes,
        tx_dropped: stats.tx.dropped,
    })
}

/// Creates a bridge that adds no traffic of its own (no spanning tree, no
/// multicast snooping, ports forward at once) and does not show its frames to
/// the host's packet filter.
pub fn add_bridge(ns: &Netns, bridge: &str) -> Result<()> {
    run(
        ns,
        &[
            "ip",
            "link",
            "add",
            bridge,
            "type",
            "bridge",
            "stp_state",
            "0",
            "forward_delay",
            "0",
            "mcast_snooping",
            "0",
        ],
    )?;
    ns.try_run(|| {
        // These exist only where some program has loaded br_netfilter, and
        // are on by default in every new namespace.
        for table in ["iptables", "ip6tables", "arptables"] {
            let path = format!("/proc/sys/net/bridge/bridge-nf-call-{table}");
            match std::fs::write(&path, "0") {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => result.with_context(|| format!("writing {path}"))?,
            }
        }
        Ok(())
    })?;
    // Without an address of its own the bridge need not speak IPv6.
    ns.sysctl(&[(&format!("net/ipv6/conf/{bridge}/disable_ipv6"), "1")])?;
    run(ns, &["ip", "link", "set", bridge, "up"])?;
    Ok(())
}

/// Makes `device` a port of `bridge`.
pub fn enslave(ns: &Netns, device: &str, bridge: &str) -> Result<()> {
    run(ns, &["ip", "link", "set", device, "master", bridge]).map(drop)
}

/// Sets the MTU of `device`.
pub fn set_mtu(ns: &Netns, device: &str, mtu_bytes: u32) -> Result<()> {
    let mtu = mtu_bytes.to_string();
    run(ns, &["ip", "link", "set", device, "mtu", &mtu]).map(drop)
}

/// Sets the transmit queue length, which for a tap is the size of the ring
/// that the guest drains.
pub fn set_ring(ns: &Netns, device: &str, frames: u32) -> Result<()> {
    let frames = frames.to_string();
    run(ns, &["ip", "link", "set", device, "txqueuelen", &frames]).map(drop)
}

/// Sets features with `ethtool -K`, e.g. `&["tso", "off"]`.
pub fn set_features(ns: &Netns, device: &str, features: &[&str]) -> Result<()> {
    let mut argv = vec!["ethtool", "-K", device];
    argv.extend_from_slice(features);
    run(ns, &argv).map(drop)
}

/// Output of `ethtool -k`.
pub fn features(ns: &Netns, device: &str) -> Result<String> {
    run(ns, &["ethtool", "-k", device])
}
