//! How a VM was set up, from its XML: live XML of libvirt, or the copy inside
//! a status file.

use roxmltree::Node;

use super::{
    domain_xml::{child, interface},
    nic::printable,
    qemu_args::AGENT_CHANNEL,
};
use crate::{
    facts::{
        domain::{Agent, Domain},
        nic::{Bandwidth, DriverSetup, NicSetup, Rate},
    },
    sample::offloads::Fact,
};

/// Reads a `<domain>` element. Whoever has the XML fills in who told it, and
/// the process.
pub(super) fn domain(element: Node<'_, '_>) -> Domain {
    let text = |tag: &str| child(element, tag).and_then(|node| node.text());
    let devices = child(element, "devices");
    let interfaces = devices.iter().flat_map(Node::children);
    let interfaces = interfaces.filter(|device| device.has_tag_name("interface"));
    let machine = child(element, "os")
        .and_then(|os| child(os, "type")?.attribute("machine"))
        .map(printable);
    Domain {
        name: printable(text("name").unwrap_or_default().trim()),
        uuid: text("uuid").map(|uuid| printable(uuid.trim())),
        os_id: known(os_id(element), "the metadata of its XML have none"),
        agent: Fact::Known(devices.map_or(Agent::NoChannel, agent)),
        machine: known(machine, "its XML names none"),
        nics: interfaces.map(nic).collect(),
        ..Domain::default()
    }
}

fn known<T>(value: Option<T>, missing: &'static str) -> Fact<T> {
    match value {
        Some(value) => Fact::Known(value),
        None => Fact::unavailable(missing),
    }
}

/// The id in libosinfo's part of the metadata.
fn os_id(element: Node<'_, '_>) -> Option<String> {
    let mut metadata = child(element, "metadata")?.descendants();
    let os = metadata.find(|node| {
        let tag = node.tag_name();
        let is_osinfo = tag
            .namespace()
            .is_some_and(|of| of.contains("libosinfo.org"));
        is_osinfo && tag.name() == "os"
    })?;
    os.attribute("id").map(printable)
}

fn agent(devices: Node<'_, '_>) -> Agent {
    let channels = devices
        .children()
        .filter(|node| node.has_tag_name("channel"));
    let mut targets = channels.filter_map(|channel| child(channel, "target"));
    let target = targets.find(|target| target.attribute("name") == Some(AGENT_CHANNEL));
    match target.map(|target| target.attribute("state")) {
        None => Agent::NoChannel,
        Some(Some("connected")) => Agent::Connected,
        Some(Some("disconnected")) => Agent::Disconnected,
        Some(_) => Agent::Channel,
    }
}

fn nic(element: Node<'_, '_>) -> NicSetup {
    let card = interface(element, true);
    // What a network of libvirt was resolved to, in a status file.
    let actual = child(element, "actual");
    let resolved = |tag: &str| {
        let actual = actual.and_then(|actual| child(actual, tag));
        actual.or_else(|| child(element, tag))
    };
    let model = child(element, "model").and_then(|model| model.attribute("type"));
    let mtu = child(element, "mtu").and_then(|mtu| number(mtu, "size"));
    NicSetup {
        dev: card.dev,
        mac: card.mac,
        backend: card.backend,
        model: known(model.map(printable), "its XML names none"),
        connected_to: resolved("source").and_then(connected_to),
        mtu_bytes: Fact::Known(mtu),
        driver: Fact::Known(child(element, "driver").map(driver).unwrap_or_default()),
        bandwidth: Fact::Known(resolved("bandwidth").map(bandwidth).unwrap_or_default()),
    }
}

fn connected_to(source: Node<'_, '_>) -> Option<String> {
    let mut names = ["bridge", "dev", "path", "network"].into_iter();
    names.find_map(|name| source.attribute(name)).map(printable)
}

fn number<T: std::str::FromStr>(element: Node<'_, '_>, attribute: &str) -> Option<T> {
    element.attribute(attribute)?.parse().ok()
}

fn driver(element: Node<'_, '_>) -> DriverSetup {
    let offloads = |tag: &str| {
        let attributes = child(element, tag).into_iter();
        let attributes = attributes.flat_map(|node| node.attributes());
        let switches = attributes.filter_map(|attribute| {
            let on = switch(attribute.value())?;
            Some((printable(attribute.name()), on))
        });
        switches.collect()
    };
    DriverSetup {
        name: element.attribute("name").map(printable),
        queues: number(element, "queues"),
        rx_queue_size: number(element, "rx_queue_size"),
        tx_queue_size: number(element, "tx_queue_size"),
        host: offloads("host"),
        guest: offloads("guest"),
    }
}

/// A switch as libvirt and QEMU write it.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// libvirt hands rates to tc as `kbps`, which are 1000 bytes a second, and
/// bursts as `kb`, which are 1024 bytes.
fn bandwidth(element: Node<'_, '_>) -> Bandwidth {
    let rate = |tag: &str| {
        let limits = child(element, tag)?;
        let in_units = |name: &str, unit: u64| number::<u64>(limits, name)?.checked_mul(unit);
        Some(Rate {
            average_bytes_per_s: in_units("average", 1000),
            peak_bytes_per_s: in_units("peak", 1000),
            burst_bytes: in_units("burst", 1024),
            floor_bytes_per_s: in_units("floor", 1000),
        })
    };
    Bandwidth {
        inbound: rate("inbound"),
        outbound: rate("outbound"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::domain_xml;
    use super::*;

    const LIVE: &str = include_str!("../../tests/data/inventory/domain.xml");

    fn parse(xml: &str) -> Domain {
        domain_xml::parse(xml, &|_| false).expect("a domain").setup
    }

    fn with_devices(devices: &str) -> Domain {
        parse(&format!(
            "<domain id='1'><name>a</name><devices>{devices}</devices></domain>"
        ))
    }

    fn one(devices: &str) -> NicSetup {
        let nics = with_devices(devices).nics;
        assert_eq!(nics.len(), 1, "{nics:?}");
        nics.into_iter().next().expect("one")
    }

    #[test]
    fn live_xml_of_a_running_libvirt() {
        let domain = parse(LIVE);
        assert_eq!(domain.name, "owt");
        assert_eq!(domain.machine, Fact::Known("pc-q35-7.2".into()));
        assert_eq!(domain.agent, Fact::Known(Agent::NoChannel));
        assert!(domain.os_id.reason().is_some());
        let nic = NicSetup {
            dev: Some("vnet0".into()),
            mac: Some("52:54:00:0f:00:11".into()),
            backend: "tap".into(),
            model: Fact::Known("virtio".into()),
            connected_to: Some("owbr0".into()),
            mtu_bytes: Fact::Known(None),
            driver: Fact::Known(DriverSetup::default()),
            bandwidth: Fact::Known(Bandwidth::default()),
        };
        assert_eq!(domain.nics, [nic]);
    }

    #[test]
    fn every_offload_is_read() {
        let nic = one(
            "<interface type='bridge'><source bridge='br0'/><target dev='vnet1'/>\
             <model type='virtio'/><mtu size='9000'/>\
             <driver name='vhost' txmode='iothread' queues='4' rx_queue_size='1024' \
             tx_queue_size='256'>\
             <host csum='off' gso='on' tso4='off' tso6='on' ecn='off' ufo='on' mrg_rxbuf='off'/>\
             <guest csum='on' tso4='off' tso6='on' ecn='off' ufo='maybe'/></driver></interface>",
        );
        assert_eq!(nic.mtu_bytes, Fact::Known(Some(9000)));
        assert_eq!(nic.is_virtio(), Some(true));
        let driver = nic.driver.known().expect("known");
        assert_eq!(driver.name.as_deref(), Some("vhost"));
        let sizes = (driver.queues, driver.rx_queue_size, driver.tx_queue_size);
        assert_eq!(sizes, (Some(4), Some(1024), Some(256)));
        let read = |switches: &std::collections::BTreeMap<String, bool>| {
            let switches = switches.iter();
            switches
                .map(|(name, on)| format!("{name}={}", u8::from(*on)))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            read(&driver.host),
            "csum=0 ecn=0 gso=1 mrg_rxbuf=0 tso4=0 tso6=1 ufo=1"
        );
        assert_eq!(read(&driver.guest), "csum=1 ecn=0 tso4=0 tso6=1");
    }

    #[test]
    fn limits_are_in_bytes() {
        let nic = one(
            "<interface type='network'><source network='default' bridge='virbr0'/>\
             <bandwidth><inbound average='1000' peak='5000' floor='200' burst='1024'/>\
             <outbound average='128' burst='99999999999999999999'/></bandwidth></interface>",
        );
        let bandwidth = nic.bandwidth.known().expect("known");
        let inbound = Rate {
            average_bytes_per_s: Some(1_000_000),
            peak_bytes_per_s: Some(5_000_000),
            burst_bytes: Some(1 << 20),
            floor_bytes_per_s: Some(200_000),
        };
        assert_eq!(bandwidth.inbound, Some(inbound));
        let outbound = Rate {
            average_bytes_per_s: Some(128_000),
            ..Rate::default()
        };
        assert_eq!(bandwidth.outbound, Some(outbound));
        assert_eq!(nic.connected_to.as_deref(), Some("virbr0"));
    }

    #[test]
    fn a_network_is_what_it_was_resolved_to() {
        let nic = one(
            "<interface type='network'><source network='n'/><target dev='macvtap0'/>\
             <actual type='direct'><source dev='eth0' mode='bridge'/>\
             <bandwidth><inbound average='1'/></bandwidth></actual></interface>",
        );
        assert_eq!(nic.backend, "macvtap");
        assert_eq!(nic.connected_to.as_deref(), Some("eth0"));
        let bandwidth = nic.bandwidth.known().expect("known");
        assert!(bandwidth.inbound.is_some() && bandwidth.outbound.is_none());
    }

    #[test]
    fn the_guest_by_its_metadata_and_its_agent() {
        let xml = "<domain id='1'><name>w</name><metadata>\
            <other:os xmlns:other='http://example.org/' id='x'/>\
            <libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>\
            <libosinfo:os id='http://microsoft.com/win/2k22'/></libosinfo:libosinfo></metadata></domain>";
        assert_eq!(
            parse(xml).os_id,
            Fact::Known("http://microsoft.com/win/2k22".into())
        );
        let agent = |state: &str| {
            let channel = format!(
                "<channel type='spicevmc'><target name='com.redhat.spice.0'/></channel>\
                 <channel type='unix'>\
                 <target type='virtio' name='org.qemu.guest_agent.0' {state}/></channel>"
            );
            with_devices(&channel).agent.known().copied()
        };
        assert_eq!(agent("state='connected'"), Some(Agent::Connected));
        assert_eq!(agent("state='disconnected'"), Some(Agent::Disconnected));
        assert_eq!(agent(""), Some(Agent::Channel));
    }
}
