//! A host of a scenario.

use std::{net::Ipv4Addr, os::fd::OwnedFd};

use anyhow::{Context, Result};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use offwatch_tests::{
    Guest, GuestConfig, Lab, Offloads,
    command::run,
    domains::{Domain, TestDriver},
    frames::FrameSpec,
    guest::Endpoint,
    peer::Peer,
};

/// In the network of the lab.
const NOBODY: Ipv4Addr = Ipv4Addr::new(198, 18, 250, 250);

/// Changes how a guest is defined.
pub(crate) type Define = fn(&mut Domain);

/// The host, its guests and what lies beyond.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    /// The host beyond the uplink.
    pub(crate) peer: Option<Peer>,
    /// How a guest is defined other than usual.
    definition: Option<(&'static str, Define)>,
}

impl Scene {
    /// Guests that accept and send everything.
    pub(crate) fn of(names: &[&str]) -> Result<Self> {
        let mut scene = Self {
            lab: Lab::new()?,
            peer: None,
            definition: None,
        };
        scene.lab.add_guests(names)?;
        Ok(scene)
    }

    /// One more, whose driver accepts this much.
    pub(crate) fn accepting(self, name: &str, offloads: Offloads) -> Result<Self> {
        self.with(name, |config| config.offloads = offloads)
    }

    /// One more, with something special.
    pub(crate) fn with(
        mut self,
        name: &str,
        change: impl FnOnce(&mut GuestConfig),
    ) -> Result<Self> {
        let index = u16::try_from(self.lab.guests().len() + 1)?;
        let mut config = GuestConfig::new(name, index);
        change(&mut config);
        self.lab.add_guest(config)?;
        Ok(self)
    }

    /// With a guest that is defined other than usual, as far as libvirt tells.
    pub(crate) fn defined(mut self, name: &'static str, define: Define) -> Self {
        self.definition = Some((name, define));
        self
    }

    /// With commands run on the host; `{NAME}` is the tap of that guest.
    pub(crate) fn after(self, commands: &[&str]) -> Result<Self> {
        for command in commands {
            self.execute(command)?;
        }
        Ok(self)
    }

    /// Runs a command on the host; `{NAME}` is the tap of that guest.
    pub(crate) fn execute(&self, command: &str) -> Result<String> {
        let command = self.names().fill(command);
        run(self.lab.host(), &command.split(' ').collect::<Vec<_>>())
    }

    /// The taps of all guests.
    pub(super) fn names(&self) -> Names {
        let guests = self.lab.guests().iter();
        let names = guests.map(|guest| (guest.name().to_owned(), guest.tap().to_owned()));
        Names(names.collect())
    }

    /// A guest by its name.
    pub(crate) fn guest(&self, name: &str) -> Result<&Guest> {
        let mut guests = self.lab.guests().iter();
        let found = guests.find(|guest| guest.name() == name);
        found.with_context(|| format!("no guest {name}"))
    }

    /// The tap of a guest.
    pub(crate) fn tap(&self, name: &str) -> Result<&str> {
        Ok(self.guest(name)?.tap())
    }

    /// Where traffic of a guest, or of the host beyond (`peer`), starts or ends.
    pub(crate) fn end(&self, name: &str) -> Result<Endpoint> {
        match &self.peer {
            Some(peer) if name == "peer" => Ok(peer.endpoint()),
            _ => Ok(self.guest(name)?.endpoint()),
        }
    }

    /// A UDP frame from a guest to the card of another, for an address that nobody
    /// has: it is delivered, and nobody answers.
    pub(crate) fn frame_to_nobody(&self, from: &str, to: &str) -> Result<FrameSpec> {
        let from = self.guest(from)?.config();
        let to = self.guest(to)?.config().mac;
        Ok(FrameSpec::udp4((from.mac, from.ip4), (to, NOBODY), 100))
    }

    /// A capture of all frames of the host, as tcpdump makes one.
    pub(crate) fn capture(&self) -> Result<OwnedFd> {
        self.lab.host().try_run(|| {
            let all = SockProtocol::EthAll;
            socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                all,
            )
            .context("a packet socket")
        })
    }

    /// libvirt's view of it.
    pub(super) fn libvirt(&self) -> Result<TestDriver> {
        let domain = |guest: &Guest| {
            let mut domain = Domain::of(guest);
            match self.definition {
                Some((name, define)) if name == guest.name() => define(&mut domain),
                _ => {}
            }
            domain
        };
        let domains: Vec<_> = self.lab.guests().iter().map(domain).collect();
        TestDriver::new(&domains)
    }
}

/// Guests and their taps.
#[derive(Default)]
pub(super) struct Names(pub(super) Vec<(String, String)>);

impl Names {
    /// A text with the tap of each guest in place of its `{NAME}`.
    pub(super) fn fill(&self, text: &str) -> String {
        let fill = |text: String, (name, tap): &(String, String)| {
            text.replace(&format!("{{{name}}}"), tap)
        };
        self.0.iter().fold(text.to_owned(), fill)
    }
}
