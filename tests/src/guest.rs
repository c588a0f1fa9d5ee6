//! One guest: its namespace, its tap, its relay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

use anyhow::Result;

use crate::link::{self, LinkStats};
use crate::netns::Netns;
use crate::offloads::Offloads;
use crate::relay::Relay;
use crate::tap::Tap;
use crate::truth::{Mac, Truth};

/// Prefix lengths of the test networks 198.18.0.0/16 and fd00:198:18::/64.
pub const PREFIX4: u8 = 16;
/// See [`PREFIX4`].
pub const PREFIX6: u8 = 64;

/// Name of the guest's own interface.
pub const GUEST_DEVICE: &str = "eth0";

/// Who carries the frames between a guest and its tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Threads of this process, as those of QEMU without vhost.
    Relay,
    /// The kernel's vhost-net, as on production hosts, by the thread that this
    /// kernel uses by default.
    Vhost,
    /// The same by a thread of the kernel, where the owner may choose (see
    /// [`crate::vhost::can_choose_thread`]).
    VhostKthread,
}

/// Names the [`Backend`] of guests whose test does not care.
pub(crate) const BACKEND_VARIABLE: &str = "OFFWATCH_LAB_BACKEND";

impl Backend {
    const NAMES: [(&str, Self); 3] = [
        ("relay", Self::Relay),
        ("vhost", Self::Vhost),
        ("vhost-kthread", Self::VhostKthread),
    ];

    /// By `OFFWATCH_LAB_BACKEND`: `relay`, which is the default, `vhost` or
    /// `vhost-kthread`.
    ///
    /// # Panics
    ///
    /// If it is anything else.
    pub fn from_env() -> Self {
        let Some(wanted) = std::env::var_os(BACKEND_VARIABLE) else {
            return Self::Relay;
        };
        let known = Self::NAMES.iter().find(|(name, _)| wanted == *name);
        let (_, backend) = known.unwrap_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            panic!("{BACKEND_VARIABLE} is {wanted:?}, not one of {names}")
        });
        *backend
    }

    /// Its name in the variable.
    pub(crate) fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, backend)| *backend == self);
        named.map_or("", |(name, _)| name)
    }
}

/// How to build a guest. [`GuestConfig::new`] fills in everything; change
/// what the test is about.
#[derive(Debug, Clone)]
pub struct GuestConfig {
    /// Name of the virtual machine.
    pub name: String,
    /// Name of the host-side tap.
    pub tap: String,
    /// Address of the guest's interface.
    pub mac: Mac,
    /// IPv4 address.
    pub ip4: Ipv4Addr,
    /// IPv6 address.
    pub ip6: Ipv6Addr,
    /// What the guest accepts to receive.
    pub offloads: Offloads,
    /// What the guest's own stack may send.
    pub send_offloads: Offloads,
    /// Queues of the tap; more than one makes it multi-queue.
    pub queues: usize,
    /// Bridge to join, if any.
    pub bridge: Option<String>,
    /// Frames that the ring of the host tap holds before it drops.
    pub ring_frames: u32,
    /// MTU of both taps.
    pub mtu_bytes: u32,
    /// Who carries its frames.
    pub backend: Backend,
    /// Whether frames carry a virtio header on the host's tap. Without, no offload
    /// passes, there is one queue, and `offloads` and `send_offloads` do not apply.
    pub vnet_hdr: bool,
}

impl GuestConfig {
    /// Guest number `index` (1 to 65000, unique in the lab; it decides tap
    /// name and addresses) on bridge `br0` with every offload.
    pub fn new(name: &str, index: u16) -> Self {
        let [high, low] = index.to_be_bytes();
        Self {
            name: name.to_owned(),
            tap: format!("owtap{index}"),
            mac: [0x52, 0x54, 0x00, 0x12, high, low],
            ip4: Ipv4Addr::new(198, 18, high, low),
            ip6: Ipv6Addr::new(0xfd00, 0x198, 0x18, 0, 0, 0, 0, index),
            offloads: Offloads::ALL,
            send_offloads: Offloads::ALL,
            queues: 1,
            bridge: Some("br0".into()),
            ring_frames: 16384,
            mtu_bytes: 1500,
            backend: Backend::from_env(),
            vnet_hdr: true,
        }
    }

    /// Where traffic of the guest with this namespace starts or ends.
    pub(crate) fn endpoint(&self, ns: &Netns) -> Endpoint {
        Endpoint {
            ns: ns.clone(),
            ip4: self.ip4,
            ip6: self.ip6,
        }
    }
}

/// Somewhere that traffic starts or ends: a guest or the host.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Namespace of the sockets.
    pub ns: Netns,
    /// IPv4 address.
    pub ip4: Ipv4Addr,
    /// IPv6 address.
    pub ip6: Ipv6Addr,
}

impl Endpoint {
    /// The address of the wanted family.
    pub fn ip(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.ip4.into(),
            Family::V6 => self.ip6.into(),
        }
    }
}

/// Address family of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Truth and kernel counters of one tap at one instant.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Sent by the guest.
    pub from_vm: Truth,
    /// Received by the guest.
    pub to_vm: Truth,
    /// What the kernel says of the tap.
    pub kernel: LinkStats,
}

impl Counts {
    /// What happened since `earlier`, counts of the same guest.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            from_vm: self.from_vm.since(&earlier.from_vm),
            to_vm: self.to_vm.since(&earlier.to_vm),
            kernel: self.kernel.since(&earlier.kernel),
        }
    }
}

/// A running guest. Dereferences to its [`Relay`].
#[derive(Debug)]
pub struct Guest {
    config: GuestConfig,
    host: Netns,
    ns: Netns,
    ifindex: u32,
    relay: Relay,
}

impl Guest {
    /// Starts a guest whose tap lives in `host`.
    pub(crate) fn start(host: &Netns, config: GuestConfig) -> Result<Self> {
        let (ns, host_tap, guest_tap) = connect(host, &config)?;
        Ok(Self {
            ifindex: link::ifindex(host, &config.tap)?,
            relay: Relay::start(host_tap, guest_tap, config.backend)?,
            host: host.clone(),
            ns,
            config,
        })
    }

    /// How it was built.
    pub fn config(&self) -> &GuestConfig {
        &self.config
    }

    /// Name of the virtual machine.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Name of the host-side tap.
    pub fn tap(&self) -> &str {
        &self.config.tap
    }

    /// Index of the host-side tap in the host's namespace.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// The guest's namespace.
    pub fn ns(&self) -> &Netns {
        &self.ns
    }

    /// Where traffic of this guest starts or ends.
    pub fn endpoint(&self) -> Endpoint {
        self.config.endpoint(&self.ns)
    }

    /// The kernel's counters of the tap.
    pub fn kernel_stats(&self) -> Result<LinkStats> {
        link::stats(&self.host, &self.config.tap)
    }

    /// Truth and kernel counters of the very same instant, even under load.
    pub fn counts(&self) -> Result<Counts> {
        self.relay.check()?;
        self.relay.frozen(|from_vm, to_vm| {
            Ok(Counts {
                from_vm: from_vm.clone(),
                to_vm: to_vm.clone(),
                kernel: self.kernel_stats()?,
            })
        })?
    }
}

impl Deref for Guest {
    type Target = Relay;

    fn deref(&self) -> &Relay {
        &self.relay
    }
}

/// `52:54:00:12:00:01`.
pub fn format_mac(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Makes the namespace and the taps of a guest, host's side first.
pub(crate) fn connect(host: &Netns, config: &GuestConfig) -> Result<(Netns, Tap, Tap)> {
    let ns = Netns::new()?;
    let (host_tap, guest_tap);
    if config.vnet_hdr {
        host_tap = Tap::create(host, &config.tap, config.queues)?;
        guest_tap = Tap::create(&ns, GUEST_DEVICE, config.queues)?;
        host_tap.set_offloads(config.offloads)?;
        guest_tap.set_offloads(config.send_offloads)?;
    } else {
        host_tap = Tap::create_plain(host, &config.tap)?;
        guest_tap = Tap::create(&ns, GUEST_DEVICE, 1)?;
        guest_tap.set_offloads(Offloads::NONE)?;
    }
    guest_tap.hide_listener_reports()?;
    set_up_guest(&ns, config)?;
    set_up_host(host, config)?;
    Ok((ns, host_tap, guest_tap))
}

fn set_up_guest(ns: &Netns, config: &GuestConfig) -> Result<()> {
    let GuestConfig {
        mtu_bytes,
        ip4,
        ip6,
        mac,
        ring_frames,
        ..
    } = config;
    let mac = format_mac(*mac);
    // The guest's own ring is never what a test is about: keep it large.
    let ring_frames = (*ring_frames).max(16384);
    crate::command::ip_batch(
        ns,
        &[
            format!(
                "link set {GUEST_DEVICE} address {mac} mtu {mtu_bytes} txqueuelen {ring_frames}"
            ),
            format!("addr add {ip4}/{PREFIX4} dev {GUEST_DEVICE}"),
            format!("addr add {ip6}/{PREFIX6} dev {GUEST_DEVICE} nodad"),
            format!("link set {GUEST_DEVICE} up"),
        ],
    )
}

fn set_up_host(host: &Netns, config: &GuestConfig) -> Result<()> {
    let GuestConfig {
        tap,
        mtu_bytes,
        ring_frames,
        ..
    } = config;
    // libvirt gives the tap the guest's address with a high first byte, so
    // that the bridge never takes it for its own.
    let mut mac = config.mac;
    mac[0] = 0xfe;
    let mac = format_mac(mac);
    // The host itself does not speak on a guest's tap.
    host.sysctl(&[(&format!("net/ipv6/conf/{tap}/disable_ipv6"), "1")])?;
    // libvirt does the same: a tap needs no queue in front of its ring. Before
    // the tap is up, as the kernel drops what it sends during the exchange.
    crate::command::run(
        host,
        &["tc", "qdisc", "replace", "dev", tap, "root", "noqueue"],
    )?;
    let mut lines = vec![format!(
        "link set {tap} address {mac} mtu {mtu_bytes} txqueuelen {ring_frames}"
    )];
    if let Some(bridge) = &config.bridge {
        lines.push(format!("link set {tap} master {bridge}"));
    }
    lines.push(format!("link set {tap} up"));
    crate::command::ip_batch(host, &lines)
}
