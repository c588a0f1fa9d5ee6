//! Domain XML: what libvirt says about one VM.
//!
//! The live XML of a running domain and the copy inside a status file differ
//! in one point: where `<interface type='network'>` was resolved to something
//! else (a macvtap, a PCI card of a pool), live XML shows the resolved type in
//! the `type` attribute, while a status file keeps `network` and adds an
//! `<actual type=...>` element. Both are read here.

use roxmltree::{Document, Node, ParsingOptions};
use thiserror::Error;

use super::domain_setup;
use super::nic::{backend, nic, printable};
use crate::facts;
use crate::sample::Nic;

/// A document with more elements than this is not a domain's XML.
const MOST_NODES: u32 = 200_000;

/// Why an XML document could not be used.
#[derive(Debug, Error)]
pub enum Error {
    /// Not well-formed.
    #[error("not well-formed XML: {0}")]
    Xml(#[from] roxmltree::Error),
    /// Well-formed, but something else.
    #[error("there is no <{0}> element")]
    Missing(&'static str),
}

/// One domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: Option<String>,
    /// libvirt's id; only an active domain has one.
    pub id: Option<u32>,
    /// Its network cards, in the order of the XML.
    pub nics: Vec<Nic>,
    /// How it was set up.
    pub setup: facts::domain::Domain,
}

/// Parses the XML of a domain. `is_network_card` answers for the address of a
/// PCI device (`0000:3b:02.1`): the XML does not tell a network card from a GPU.
pub fn parse(xml: &str, is_network_card: &dyn Fn(&str) -> bool) -> Result<Domain, Error> {
    let document = document(xml)?;
    let root = document.root_element();
    if !root.has_tag_name("domain") {
        return Err(Error::Missing("domain"));
    }
    domain(root, is_network_card)
}

/// Parses any XML that libvirt writes.
pub(super) fn document(xml: &str) -> Result<Document<'_>, Error> {
    let options = ParsingOptions {
        nodes_limit: MOST_NODES,
        ..ParsingOptions::default()
    };
    Ok(Document::parse_with_options(xml, options)?)
}

/// Reads a `<domain>` element.
pub(super) fn domain(
    element: Node<'_, '_>,
    is_network_card: &dyn Fn(&str) -> bool,
) -> Result<Domain, Error> {
    let text = |tag: &str| {
        child(element, tag)
            .and_then(|node| node.text())
            .map(str::trim)
    };
    let name = text("name").filter(|name| !name.is_empty());
    let id: Option<u32> = element.attribute("id").and_then(|id| id.parse().ok());
    let devices = child(element, "devices");
    let nics = devices
        .iter()
        .flat_map(Node::children)
        .filter_map(|device| match device.tag_name().name() {
            "interface" => Some(interface(device, id.is_some())),
            "hostdev" => hostdev(device, is_network_card),
            _ => None,
        });
    Ok(Domain {
        name: printable(name.ok_or(Error::Missing("name"))?),
        uuid: text("uuid").map(printable),
        id,
        nics: nics.collect(),
        setup: domain_setup::domain(element),
    })
}

/// Reads an `<interface>`.
pub(super) fn interface(element: Node<'_, '_>, active: bool) -> Nic {
    let attribute =
        |tag: &str, name: &str| child(element, tag).and_then(|node| node.attribute(name));
    let kind = attribute("actual", "type").or_else(|| element.attribute("type"));
    let is_passt = attribute("backend", "type") == Some("passt");
    let kind = match kind.unwrap_or_default() {
        "network" | "bridge" | "ethernet" => backend::TAP,
        "direct" => backend::MACVTAP,
        "vhostuser" | "user" if is_passt => backend::PASST,
        "vhostuser" => backend::VHOST_USER,
        "user" => backend::SLIRP,
        "hostdev" => backend::VFIO,
        "vdpa" => backend::VDPA,
        "server" | "client" | "mcast" | "udp" => backend::SOCKET,
        "null" => backend::NONE,
        other => &printable(other),
    };
    // With any other backend, `target` is a label, not an interface. In a
    // domain that is shut off it is a wish, and the interface of that name
    // may belong to another VM.
    let has_dev = active && matches!(kind, backend::TAP | backend::MACVTAP);
    let dev = attribute("target", "dev").filter(|dev| has_dev && !dev.is_empty());
    let mac = attribute("mac", "address").map(printable);
    let mut nic = nic(kind, dev.map(printable), mac);
    if has_dev && nic.dev.is_none() && nic.unobservable.is_none() {
        nic.unobservable = Some(format!("{kind}: libvirt names no interface of the host"));
    }
    nic
}

/// Reads a `<hostdev>`, which is a network card only if its PCI class says so.
fn hostdev(element: Node<'_, '_>, is_network_card: &dyn Fn(&str) -> bool) -> Option<Nic> {
    if element.attribute("type") != Some("pci") {
        return None;
    }
    let address = child(child(element, "source")?, "address")?;
    let number = |name: &str| {
        let text = address.attribute(name)?;
        u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    };
    let address = format!(
        "{:04x}:{:02x}:{:02x}.{:x}",
        number("domain").unwrap_or(0),
        number("bus")?,
        number("slot")?,
        number("function")?
    );
    is_network_card(&address).then(|| nic(backend::VFIO, None, None))
}

/// The first child element of a name.
pub(super) fn child<'a, 'input>(element: Node<'a, 'input>, tag: &str) -> Option<Node<'a, 'input>> {
    element.children().find(|node| node.has_tag_name(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = include_str!("../../tests/data/inventory/domain.xml");

    fn no_card(_: &str) -> bool {
        false
    }

    /// A domain with these devices; active, unless `id` is empty.
    fn with_devices(id: &str, devices: &str) -> Vec<Nic> {
        let xml =
            format!("<domain type='kvm' {id}><name>a</name><devices>{devices}</devices></domain>");
        parse(&xml, &|address| address == "0000:3b:02.1")
            .unwrap()
            .nics
    }

    fn one(devices: &str) -> Nic {
        let nics = with_devices("id='3'", devices);
        assert_eq!(nics.len(), 1, "{nics:?}");
        nics.into_iter().next().unwrap()
    }

    #[test]
    fn live_xml_of_a_running_libvirt() {
        let domain = parse(LIVE, &no_card).unwrap();
        assert_eq!(domain.name, "owt");
        assert_eq!(domain.id, Some(1));
        assert_eq!(
            domain.uuid.as_deref(),
            Some("299ca1ed-40c0-4352-97b7-f0eeca5000d6")
        );
        let tap = Nic {
            dev: Some("vnet0".into()),
            mac: Some("52:54:00:0f:00:11".into()),
            backend: "tap".into(),
            unobservable: None,
        };
        assert_eq!(domain.nics, [tap]);
    }

    #[test]
    fn types_that_are_taps() {
        for kind in ["network", "bridge", "ethernet"] {
            let nic = one(&format!(
                "<interface type='{kind}'><mac address='52:54:00:AA:00:01'/>\
                 <target dev='vnet5'/><driver name='vhost' queues='4'/></interface>"
            ));
            assert_eq!(nic.backend, "tap");
            assert_eq!(nic.dev.as_deref(), Some("vnet5"));
            assert_eq!(nic.mac.as_deref(), Some("52:54:00:aa:00:01"));
            assert_eq!(nic.unobservable, None);
        }
    }

    #[test]
    fn types_that_pass_the_kernel_by() {
        for (xml, backend) in [
            (
                "<interface type='vhostuser'><target dev='vhu7'/></interface>",
                "vhost-user",
            ),
            (
                "<interface type='vhostuser'><backend type='passt'/></interface>",
                "passt",
            ),
            ("<interface type='user'/>", "slirp"),
            (
                "<interface type='user'><backend type='passt'/></interface>",
                "passt",
            ),
            ("<interface type='hostdev'/>", "vfio"),
            (
                "<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>",
                "vdpa",
            ),
            ("<interface type='mcast'/>", "socket"),
            ("<interface type='null'/>", "none"),
            ("<interface type='vds'/>", "vds"),
        ] {
            let nic = one(xml);
            assert_eq!(nic.backend, backend);
            assert_eq!(nic.dev, None, "{xml}");
            assert!(nic.unobservable.is_some(), "{xml}");
        }
    }

    #[test]
    fn a_network_resolved_to_macvtap() {
        let live = one(
            "<interface type='direct'><source network='n' dev='eth0' mode='bridge'/>\
             <target dev='macvtap0'/></interface>",
        );
        let status = one("<interface type='network'><source network='n'/>\
             <target dev='macvtap0'/>\
             <actual type='direct'><source dev='eth0' mode='bridge'/></actual></interface>");
        assert_eq!(live, status);
        assert_eq!(live.backend, "macvtap");
        assert_eq!(live.dev.as_deref(), Some("macvtap0"));
        assert!(live.unobservable.is_some());
        let pool = one("<interface type='network'><actual type='hostdev'/></interface>");
        assert_eq!(pool.backend, "vfio");
    }

    #[test]
    fn a_wish_is_no_interface() {
        let xml = "<interface type='bridge'><target dev='mytap'/></interface>";
        let off = with_devices("", xml);
        assert_eq!(off.first().and_then(|nic| nic.dev.clone()), None);
        assert_eq!(off.first().and_then(|nic| nic.unobservable.clone()), None);
        let starting = one("<interface type='bridge'/>");
        assert_eq!(starting.dev, None);
        assert!(starting.unobservable.is_some());
    }

    #[test]
    fn host_devices_are_cards_by_pci_class() {
        let device = |bus: &str| {
            format!(
                "<hostdev mode='subsystem' type='pci' managed='yes'><source>\
                 <address domain='0x0000' bus='{bus}' slot='0x02' function='0x1'/>\
                 </source></hostdev>"
            )
        };
        assert_eq!(one(&device("0x3b")).backend, "vfio");
        assert_eq!(with_devices("id='1'", &device("0x01")), []);
        assert_eq!(with_devices("id='1'", &device("zz")), []);
        assert_eq!(
            with_devices("id='1'", "<hostdev type='usb'/><hostdev/>"),
            []
        );
    }

    #[test]
    fn bad_documents_are_errors() {
        for xml in [
            "",
            "<",
            "\0",
            "<domstatus/>",
            "<domain/>",
            "<domain><name/></domain>",
            "<domain><name> </name></domain>",
            "<!DOCTYPE d [<!ENTITY a 'a'>]><domain><name>&a;</name></domain>",
        ] {
            assert!(parse(xml, &no_card).is_err(), "{xml:?}");
        }
        let end = LIVE.trim_end().len();
        for cut in (0..end).filter(|&cut| LIVE.is_char_boundary(cut)) {
            assert!(parse(&LIVE[..cut], &no_card).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = "<a>".repeat(100_000);
        let xml = format!("<domain><name>a</name>{deep}");
        assert!(parse(&xml, &no_card).is_err());
        let xml = format!("{xml}{}</domain>", "</a>".repeat(100_000));
        let _ = parse(&xml, &no_card);
    }

    #[test]
    fn odd_elements_do_no_harm() {
        let nics = with_devices(
            "id='99999999999'",
            "text<interface/><interface type=''><mac/><target/></interface>",
        );
        assert_eq!(nics.len(), 2);
    }
}
