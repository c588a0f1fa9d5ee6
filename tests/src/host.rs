//! The lab: a namespace that plays the KVM host, and its guests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
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
    /// Whether the host itself can talk, see [`Lab::host_endpoint`].
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
    /// Whether `br0` speaks IPv6 yet.
    host_ip6: Mutex<bool>,
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
            lines.push(format!("addr add {HOST_IP4}/{PREFIX4} dev {BRIDGE}"));
        }
        ip_batch(&host, &lines)?;
        Ok(Self {
            config,
            guests: Vec::new(),
            idle_taps: Vec::new(),
            host,
            host_ip6: Mutex::new(false),
        })
    }

    /// The host's namespace.
    pub fn host(&self) -> &Netns {
        &self.host
    }

    /// Where traffic of the host itself starts or ends. The first call makes
    /// `br0` speak IPv6, and thereby announce its multicast groups to every
    /// guest; call it before a baseline is taken.
    pub fn host_endpoint(&self) -> Result<Endpoint> {
        if !self.config.host_ip {
            bail!("this lab's host has no addresses");
        }
        let mut host_ip6 = self.lock_host_ip6();
        if !*host_ip6 {
            self.enable_host_ip6()?;
            *host_ip6 = true;
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
        self.introduce(guest.config(), guest.ns())?;
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

    /// Waits until no frame has crossed any tap for a while and none is on its
    /// way.
    pub fn wait_quiet(&self) -> Result<()> {
        wait_still(STILL, Duration::from_secs(10), || {
            let mut packets = 0;
            for guest in &self.guests {
                guest.check()?;
                // A ring with frames in it is not quiet, however long its
                // reader has been kept from the processor.
                if !guest.is_idle()? {
                    return Ok(None);
                }
                packets += guest.total_packets();
            }
            Ok(Some(packets))
        })
    }

    fn lock_host_ip6(&self) -> std::sync::MutexGuard<'_, bool> {
        self.host_ip6.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enable_host_ip6(&self) -> Result<()> {
        self.host
            .sysctl(&[(&format!("net/ipv6/conf/{BRIDGE}/disable_ipv6"), "0")])?;
        let mut lines = vec![format!("addr add {HOST_IP6}/{PREFIX6} dev {BRIDGE} nodad")];
        if self.config.static_neighbours {
            lines.extend(
                self.guests
                    .iter()
                    .map(Guest::config)
                    .filter(|guest| guest.bridge.as_deref() == Some(BRIDGE))
                    .map(|guest| neighbour(BRIDGE, guest.ip6.into(), guest.mac)),
            );
        }
        ip_batch(&self.host, &lines)?;
        self.wait_quiet()
    }

    /// Tells a new guest and everyone else on its bridge about each other, in
    /// a lab with static neighbours.
    pub(crate) fn introduce(&self, new: &GuestConfig, ns: &Netns) -> Result<()> {
        let Some(bridge) = new
            .bridge
            .as_ref()
            .filter(|_| self.config.static_neighbours)
        else {
            return Ok(());
        };
        let mut for_new = Vec::new();
        if self.config.host_ip && bridge == BRIDGE {
            let mut for_host = vec![neighbour(BRIDGE, new.ip4.into(), new.mac)];
            if *self.lock_host_ip6() {
                for_host.push(neighbour(BRIDGE, new.ip6.into(), new.mac));
            }
            ip_batch(&self.host, &for_host)?;
            for_new.push(neighbour(GUEST_DEVICE, HOST_IP4.into(), HOST_MAC));
            for_new.push(neighbour(GUEST_DEVICE, HOST_IP6.into(), HOST_MAC));
        }
        for other in &self.guests {
            let old = other.config();
            if old.bridge.as_ref() != Some(bridge) {
                continue;
            }
            let for_old =
                [new.ip4.into(), new.ip6.into()].map(|ip| neighbour(GUEST_DEVICE, ip, new.mac));
            ip_batch(other.ns(), &for_old)?;
            for_new.push(neighbour(GUEST_DEVICE, old.ip4.into(), old.mac));
            for_new.push(neighbour(GUEST_DEVICE, old.ip6.into(), old.mac));
        }
        ip_batch(ns, &for_new)?;
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

/// An `ip` command that makes `ip` known on `device` for good.
fn neighbour(device: &str, ip: IpAddr, mac: Mac) -> String {
    let mac = format_mac(mac);
    format!("neigh replace {ip} lladdr {mac} nud permanent dev {device}")
}
