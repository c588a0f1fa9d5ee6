//! The demonstration host: three guests with steady traffic, and libvirt's view of
//! them. `offwatch-lab` shows it, and the manual is tested on it.

use anyhow::Result;

use crate::domains::{Domain, TestDriver};
use crate::guest::Family;
use crate::traffic::{TcpFlow, TcpOptions};
use crate::{GuestConfig, Lab, Offloads};

/// A host with `web`, `db` and `legacy`. All of it is gone when it is dropped.
#[derive(Debug)]
pub struct DemoHost {
    // Flows end before the guests that they run between.
    _flows: Vec<TcpFlow>,
    libvirt: TestDriver,
    lab: Lab,
}

impl DemoHost {
    /// web -> db and web -> legacy run over IPv4, db -> web over IPv6, each with so
    /// many bits of payload a second at most. `legacy` refuses TSO, so the host
    /// segments for it.
    pub fn new(bits_per_second: u64) -> Result<Self> {
        let lab = lab()?;
        let flows = flows(&lab, bits_per_second)?;
        let domains: Vec<_> = lab.guests().iter().map(Domain::of).collect();
        Ok(Self {
            _flows: flows,
            libvirt: TestDriver::new(&domains)?,
            lab,
        })
    }

    /// Its guests and its namespace.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The libvirt that lists its guests.
    pub fn uri(&self) -> String {
        self.libvirt.uri()
    }
}

fn lab() -> Result<Lab> {
    let mut lab = Lab::new()?;
    lab.add_guest(GuestConfig::new("web", 1))?;
    lab.add_guest(GuestConfig::new("db", 2))?;
    lab.add_guest(GuestConfig {
        offloads: Offloads::CSUM_ONLY,
        ..GuestConfig::new("legacy", 3)
    })?;
    Ok(lab)
}

fn flows(lab: &Lab, bits_per_second: u64) -> Result<Vec<TcpFlow>> {
    let (web, db, legacy) = (lab.guest(0), lab.guest(1), lab.guest(2));
    [
        (web, db, Family::V4),
        (web, legacy, Family::V4),
        (db, web, Family::V6),
    ]
    .into_iter()
    .map(|(from, to, family)| {
        let options = TcpOptions {
            bits_per_second: Some(bits_per_second),
            ..TcpOptions::new(family, 0)
        };
        TcpFlow::start(&from.endpoint(), &to.endpoint(), options)
    })
    .collect()
}
