//! The lab: a namespace that plays the KVM host, and its guests.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{bridge_batch, ip_batch};
use crate::guest::{Endpoint, GUEST_DEVICE, Guest, GuestConfig, PREFIX4, PREFIX6, format_mac};
use crate::link;
use crate::netns::Netns;
use crate::quiet::wait_still;
use crate::tap::Tap;
use crate::truth::Mac;

/// Name of the lab's bridge.
pub const BRIDGE: &str = "br0";
/// Address of the bridge, where the host has one.
const HOST_MAC: Mac = [0x52, 0x54, 0x00, 0x12, 0xff, 0xfe];
const HOST_IP4: Ipv4Addr = Ipv4Addr::new(198, 18, 255, 254);
const HOST_IP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x198, 0x18, 0, 0, 0, 0, 0xfffe);

/// How long counters must rest before they count as final.
const STILL: Duration = Duration::from_millis(150);

/// How to build a lab.
#[derive(Debug, Clone, Copy)]
pub struct LabConfig {
    /// Whether `br0` has addresses, so that the host itself can talk.
    pub host_ip: bool,
    /// Whether neighbours and bridge entries are filled in beforehand, so
    /// that no test sees resolution traffic or flooding.
    pub static_neighbours: bool,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            host_ip: true,
            static_neighbours: true,
        }
    }
}

/// A private KVM host with guests. Guests stop when it is dropped.
#[derive(Debug)]
pub struct Lab {
    config: LabConfig,
    guests: Vec<Guest>,
    idle_taps: Vec<Tap>,
    host: Netns,
}

impl Lab {
    /// A host with bridge `br0`, with addresses and static neighbours.
    pub fn new() -> Result<Self> {
        Self::with_config(LabConfig::default())
    }

    /// A host with bridge `br0`.
    pub fn with_config(config: LabConfig) -> Result<Self> {
        let host = Netns::new()?;
        link::add_bridge(&host, BRIDGE)?;
        let mac = format_mac(HOST_MAC);
        let mut lines = vec![format!("link set {BRIDGE} address {mac}")];
        if config.host_ip {
            host.sysctl(&[(&format!("net/ipv6/conf/{BRIDGE}/disable_ipv6"), "0")])?;
            lines.push(format!("addr add {HOST_IP4}/{PREFIX4} dev {BRIDGE}"));
            lines.push(format!("addr add {HOST_IP6}/{PREFIX6} dev {BRIDGE} nodad"));
        }
        ip_batch(&host, &lines)?;
        Ok(Self {
            config,
            guests: Vec::new(),
            idle_taps: Vec::new(),
            host,
        })
    }

    /// The host's namespace.
    pub fn host(&self) -> &Netns {
        &self.host
    }

    /// Where traffic of the host itself starts or ends.
    pub fn host_endpoint(&self) -> Result<Endpoint> {
        if !self.config.host_ip {
            bail!("this lab's host has no addresses");
        }
        Ok(Endpoint {
            ns: self.host.clone(),
            ip4: HOST_IP4,
            ip6: HOST_IP6,
        })
    }

    /// Starts a guest and returns its position in [`Lab::guests`].
    pub fn add_guest(&mut self, config: GuestConfig) -> Result<usize> {
        let name = config.name.clone();
        let guest = Guest::start(&self.host, config)
            .with_context(|| format!("cannot start guest {name}"))?;
        if self.config.static_neighbours {
            self.introduce(&guest)?;
        }
        self.guests.push(guest);
        Ok(self.guests.len() - 1)
    }

    /// Starts guests 1, 2, ... with the given names and default settings.
    pub fn add_guests(&mut self, names: &[&str]) -> Result<()> {
        for name in names {
            let index = u16::try_from(self.guests.len() + 1).context("too many guests")?;
            self.add_guest(GuestConfig::new(name, index))?;
        }
        Ok(())
    }

    /// Adds a tap without a guest behind it, for tests of scale.
    pub fn add_idle_tap(&mut self, name: &str) -> Result<()> {
        let tap = Tap::create(&self.host, name, 1)?;
        self.idle_taps.push(tap);
        Ok(())
    }

    /// All guests in the order they were added.
    pub fn guests(&self) -> &[Guest] {
        &self.guests
    }

    /// The guest at `position`.
    pub fn guest(&self, position: usize) -> &Guest {
        &self.guests[position]
    }

    /// Shuts the guest at `position` down: its tap disappears. Later guests
    /// move up.
    pub fn remove_guest(&mut self, position: usize) {
        self.guests.remove(position);
    }

    /// Waits until no frame has crossed any tap for a while. Do so before a
    /// baseline is taken, too: a starting guest announces its IPv6 multicast
    /// groups, as any Linux does.
    pub fn wait_quiet(&self) -> Result<()> {
        wait_still(STILL, Duration::from_secs(10), || {
            self.guests.iter().map(|guest| guest.total_packets()).sum()
        })
    }

    /// Tells `guest` and everyone else on its bridge about each other.
    fn introduce(&self, guest: &Guest) -> Result<()> {
        let new = guest.config();
        let Some(bridge) = &new.bridge else {
            return Ok(());
        };
        let neighbour = |device: &str, ip4: Ipv4Addr, ip6: Ipv6Addr, mac: Mac| {
            let mac = format_mac(mac);
            [
                format!("neigh replace {ip4} lladdr {mac} nud permanent dev {device}"),
                format!("neigh replace {ip6} lladdr {mac} nud permanent dev {device}"),
            ]
        };
        let about_new = |device: &str| neighbour(device, new.ip4, new.ip6, new.mac);

        let mut for_new = Vec::new();
        if self.config.host_ip && bridge == BRIDGE {
            ip_batch(&self.host, &about_new(BRIDGE))?;
            for_new.extend(neighbour(GUEST_DEVICE, HOST_IP4, HOST_IP6, HOST_MAC));
        }
        for other in &self.guests {
            let old = other.config();
            if old.bridge.as_ref() != Some(bridge) {
                continue;
            }
            ip_batch(other.ns(), &about_new(GUEST_DEVICE))?;
            for_new.extend(neighbour(GUEST_DEVICE, old.ip4, old.ip6, old.mac));
        }
        ip_batch(guest.ns(), &for_new)?;
        // A known port from the start: no frame is ever flooded.
        bridge_batch(
            &self.host,
            &[format!(
                "fdb replace {} dev {} master static",
                format_mac(new.mac),
                new.tap
            )],
        )
    }
}
