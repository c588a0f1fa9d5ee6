//! A file for libvirt's test driver that lists guests as running domains.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use anyhow::{Context, Result, bail};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::guest::{Guest, format_mac};
use crate::truth::Mac;

/// One domain.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Name.
    pub name: String,
    /// UUID in text form.
    pub uuid: String,
    /// Host-side tap and guest address of each interface.
    pub interfaces: Vec<(String, Mac)>,
    /// Guest OS, as libosinfo names it.
    pub os_id: Option<String>,
    /// Children of the `<driver>` of each interface.
    pub driver: Option<String>,
}

impl Domain {
    /// The domain of a lab's guest; the UUID follows from its address.
    pub fn of(guest: &Guest) -> Self {
        let mac = guest.config().mac;
        let node: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            name: guest.name().to_owned(),
            uuid: format!("0ff3a7c4-0000-4000-8000-{node}"),
            interfaces: vec![(guest.tap().to_owned(), mac)],
            os_id: None,
            driver: None,
        }
    }
}

/// A file in memory, to be opened by its URI for as long as this lives: it
/// leaves nothing behind however the process ends.
#[derive(Debug)]
pub struct TestDriver {
    file: File,
}

impl TestDriver {
    /// Lists `domains`.
    pub fn new(domains: &[Domain]) -> Result<Self> {
        let mut xml = String::from("<node>\n");
        for domain in domains {
            write_domain(&mut xml, domain)?;
        }
        xml.push_str("</node>\n");
        let memory = memfd_create(c"offwatch-lab", MFdFlags::MFD_CLOEXEC);
        let mut file = File::from(memory.context("memfd_create")?);
        file.write_all(xml.as_bytes()).context("writing the file")?;
        Ok(Self { file })
    }

    /// The URI for libvirt.
    pub fn uri(&self) -> String {
        let process = std::process::id();
        format!("test:///proc/{process}/fd/{}", self.file.as_raw_fd())
    }
}

fn write_domain(xml: &mut String, domain: &Domain) -> Result<()> {
    let Domain {
        name,
        uuid,
        interfaces,
        os_id,
        driver,
    } = domain;
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        bail!("domain name {name:?} would need quoting");
    }
    writeln!(xml, "  <domain type='test'>")?;
    writeln!(xml, "    <name>{name}</name>\n    <uuid>{uuid}</uuid>")?;
    if let Some(id) = os_id {
        let space = "http://libosinfo.org/xmlns/libvirt/domain/1.0";
        writeln!(
            xml,
            "    <metadata><os:libosinfo xmlns:os='{space}'><os:os id='{id}'/>\
             </os:libosinfo></metadata>"
        )?;
    }
    writeln!(xml, "    <memory>1048576</memory>\n    <vcpu>1</vcpu>")?;
    writeln!(xml, "    <os><type>hvm</type></os>\n    <devices>")?;
    for (tap, mac) in interfaces {
        if tap.starts_with("vnet") {
            // libvirt rewrites such names when it loads the file.
            bail!("tap name {tap} would be rewritten by libvirt");
        }
        writeln!(xml, "      <interface type='bridge'>")?;
        writeln!(xml, "        <mac address='{}'/>", format_mac(*mac))?;
        writeln!(xml, "        <source bridge='br0'/>")?;
        writeln!(xml, "        <target dev='{tap}'/>")?;
        writeln!(xml, "        <model type='virtio'/>")?;
        if let Some(driver) = driver {
            writeln!(xml, "        <driver>{driver}</driver>")?;
        }
        writeln!(xml, "      </interface>")?;
    }
    writeln!(xml, "    </devices>\n  </domain>")?;
    Ok(())
}
