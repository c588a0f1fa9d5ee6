//! KVM hosts that Prometheus scrapes, and what each of them saw itself.

use std::{collections::BTreeMap, net::SocketAddr, os::unix::process::CommandExt as _};

use anyhow::Result;
use nix::{
    sched::{CloneFlags, unshare},
    unistd::sethostname,
};
use serde_json::Value;

use crate::{
    GuestConfig, Lab, Netns, Offloads,
    domains::{Domain, TestDriver},
    guest::Family,
    observer::{Observer, grown, interface, offwatch},
    prometheus::{Exporter, connect},
    traffic::{TcpOptions, tcp_stream},
};

/// Their VMs: others of this machine are not part of it.
pub const OURS: &str = "lab-*";
/// The guest that accepts no TSO.
pub const LEGACY: &str = "lab-legacy";

/// A KVM host.
#[derive(Debug)]
pub struct Host {
    /// Its guests.
    pub lab: Lab,
    driver: TestDriver,
    /// Where it exports.
    pub address: SocketAddr,
    /// Bytes of each of its streams.
    pub stream_bytes: u64,
}

impl Host {
    /// With the number `number`, and guests of which one may accept no TSO.
    pub fn start(prometheus: &Netns, number: u8, guests: &[&str]) -> Result<Self> {
        let mut lab = Lab::new()?;
        for (index, name) in (1..).zip(guests) {
            let offloads = match *name {
                LEGACY => Offloads::CSUM_ONLY,
                _ => Offloads::ALL,
            };
            lab.add_guest(GuestConfig {
                offloads,
                ..GuestConfig::new(name, index)
            })?;
        }
        let domains: Vec<Domain> = lab.guests().iter().map(Domain::of).collect();
        let ip = connect(prometheus, lab.host(), number)?;
        Ok(Self {
            driver: TestDriver::new(&domains)?,
            address: (ip, 9953).into(),
            stream_bytes: 400_000 + 100_000 * u64::from(number),
            lab,
        })
    }

    /// The libvirt that knows its VMs.
    pub fn uri(&self) -> String {
        self.driver.uri()
    }

    /// Its exporter, on a host that calls itself `name`, if that is not this machine's.
    pub fn export(&self, name: Option<&'static str>) -> Result<Exporter> {
        let mut command = offwatch(self.lab.host(), &[])?;
        if let Some(name) = name {
            // SAFETY: two system calls between fork and exec; neither allocates.
            unsafe {
                command.pre_exec(move || {
                    unshare(CloneFlags::CLONE_NEWUTS)?;
                    Ok(sethostname(name)?)
                });
            }
        }
        let args = ["--vm", OURS, "-d", "1", "--connect", &self.uri()];
        Exporter::spawn(command, self.address, &args)
    }

    /// Its own `top`.
    pub fn observe(&self) -> Result<Observer> {
        let args = ["top", "--stream", "--json", "-d", "0.5", "--vm", OURS];
        let mut command = offwatch(self.lab.host(), &args)?;
        command.args(["--connect", &self.uri()]);
        Observer::spawn(command)
    }

    /// From the first guest to each other one, and back.
    pub fn exchange(&self) -> Result<()> {
        let first = self.lab.guest(0).endpoint();
        for guest in &self.lab.guests()[1..] {
            let other = guest.endpoint();
            let options = |bytes| TcpOptions::new(Family::V4, bytes);
            tcp_stream(&first, &other, &options(self.stream_bytes))?;
            tcp_stream(&other, &first, &options(self.stream_bytes / 10))?;
        }
        Ok(())
    }
}

/// Instance, VM and interface.
pub type Card = (String, String, String);

/// Counters by the figures of `fleet` and `top`: metric, part, rate and total.
pub const COUNTERS: [(&str, &str, &str); 13] = [
    ("receive_packets", "to_vm", "packets"),
    ("receive_bytes", "to_vm", "bytes"),
    ("receive_gso_packets", "to_vm", "gso_packets"),
    ("receive_gso_segments", "to_vm", "gso_segments"),
    ("receive_gso_bytes", "to_vm", "gso_bytes"),
    ("transmit_packets", "from_vm", "packets"),
    ("transmit_bytes", "from_vm", "bytes"),
    ("transmit_gso_packets", "from_vm", "gso_packets"),
    ("transmit_gso_segments", "from_vm", "gso_segments"),
    ("transmit_gso_bytes", "from_vm", "gso_bytes"),
    ("software_segments", "to_vm", "software_segments"),
    (
        "software_checksum_bytes",
        "to_vm",
        "software_checksum_bytes",
    ),
    ("caused_software_segments", "caused", "software_segments"),
];

/// How much each counter of each card grew, as the hosts' own `top` has it.
pub type Gained = BTreeMap<(Card, &'static str), u64>;

/// From models of before and after.
pub fn gained(hosts: &[Host], before: &[Value], after: &[Value]) -> Result<Gained> {
    let mut gained = Gained::new();
    for (host, (before, after)) in hosts.iter().zip(before.iter().zip(after)) {
        for guest in host.lab.guests() {
            let tap = guest.tap();
            let card = (
                host.address.to_string(),
                guest.name().into(),
                tap.to_owned(),
            );
            let (before, after) = (interface(before, tap)?, interface(after, tap)?);
            for (metric, part, figure) in COUNTERS {
                let total = format!("{figure}_total");
                let grown = grown(&after[part], &before[part], &total)?;
                gained.insert((card.clone(), metric), grown);
            }
        }
    }
    Ok(gained)
}
