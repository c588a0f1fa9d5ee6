//! `<driver>` of an `<interface>`: reading and changing it in the text that libvirt
//! gave, so that nothing else of the card changes.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use super::{Side, Switch, XmlError};

/// A card of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// MAC address.
    pub(super) mac: String,
    /// Its whole element.
    pub(super) xml: String,
}

/// The cards of a domain's XML.
pub(super) fn interfaces(domain: &str) -> Result<Vec<Interface>, XmlError> {
    let document = parse(domain)?;
    let found = document
        .root_element()
        .children()
        .filter(|node| node.has_tag_name("devices"))
        .flat_map(|devices| devices.children())
        .filter(|node| node.has_tag_name("interface"));
    let found = found.filter_map(|node| {
        let mac = child(node, "mac")?.attribute("address")?;
        Some(Interface {
            mac: mac.to_ascii_lowercase(),
            xml: domain[node.range()].to_owned(),
        })
    });
    Ok(found.collect())
}

/// What an attribute of a card says.
pub(super) fn read(card: &str, side: Side, attribute: &str) -> Result<Option<bool>, XmlError> {
    let document = parse(card)?;
    let element =
        child(document.root_element(), "driver").and_then(|driver| child(driver, side.name()));
    match element.and_then(|element| element.attribute(attribute)) {
        None => Ok(None),
        Some("on") => Ok(Some(true)),
        Some("off") => Ok(Some(false)),
        Some(value) => Err(XmlError::Value {
            side,
            attribute: attribute.to_owned(),
            value: value.to_owned(),
        }),
    }
}

/// The card with attributes as they are to be.
pub(super) fn changed(card: &str, switches: &[Switch]) -> Result<String, XmlError> {
    let document = parse(card)?;
    let root = document.root_element();
    let driver = child(root, "driver");
    let mut parts = String::new();
    for side in [Side::Host, Side::Guest] {
        let element = driver.and_then(|driver| child(driver, side.name()));
        let mut attributes: BTreeMap<&str, &str> = element
            .iter()
            .flat_map(|element| element.attributes())
            .map(|attribute| (attribute.name(), attribute.value()))
            .collect();
        for switch in switches.iter().filter(|switch| switch.side == side) {
            match switch.after {
                Some(on) => attributes.insert(&switch.attribute, if on { "on" } else { "off" }),
                None => attributes.remove(&*switch.attribute),
            };
        }
        if !attributes.is_empty() {
            parts += &format!("<{}{}/>", side.name(), written(attributes));
        }
    }
    let own = driver.iter().flat_map(|driver| driver.attributes());
    let own = written(own.map(|attribute| (attribute.name(), attribute.value())));
    let others = driver.iter().flat_map(|driver| driver.children());
    for other in others.filter(|node| node.is_element()) {
        if !other.has_tag_name("host") && !other.has_tag_name("guest") {
            parts += &card[other.range()];
        }
    }
    let element = match (own.is_empty(), parts.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!("<driver{own}/>"),
        _ => format!("<driver{own}>{parts}</driver>"),
    };
    let place = match driver {
        Some(driver) => driver.range(),
        None => {
            // Behind the last element: a card has its MAC address at least.
            let last = root.children().rfind(Node::is_element);
            let end = last.map_or(root.range().end, |last| last.range().end);
            end..end
        }
    };
    Ok(format!(
        "{}{element}{}",
        &card[..place.start],
        &card[place.end..]
    ))
}

fn parse(xml: &str) -> Result<Document<'_>, XmlError> {
    Document::parse(xml).map_err(|error| XmlError::Malformed(error.to_string()))
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn written<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let attributes = attributes.into_iter();
    let written = attributes.map(|(name, value)| {
        let value = value.replace('&', "&amp;").replace('<', "&lt;");
        format!(" {name}='{}'", value.replace('\'', "&apos;"))
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "<domain><name>web</name><devices>\
        <interface type='bridge'><mac address='52:54:00:AA:00:01'/><model type='virtio'/>\
        <driver name='vhost' queues='4'><host csum='off' mrg_rxbuf='on'/></driver></interface>\
        <interface type='network'><mac address='52:54:00:aa:00:02'/></interface>\
        </devices></domain>";

    fn switch(side: Side, attribute: &str, after: Option<bool>) -> Switch {
        Switch {
            side,
            attribute: attribute.into(),
            before: None,
            after,
        }
    }

    #[test]
    fn cards_are_found_and_read() {
        let found = interfaces(DOMAIN).expect("XML");
        let macs: Vec<_> = found.iter().map(|card| card.mac.as_str()).collect();
        assert_eq!(macs, ["52:54:00:aa:00:01", "52:54:00:aa:00:02"]);
        let read = |attribute| read(&found[0].xml, Side::Host, attribute);
        assert_eq!(read("csum"), Ok(Some(false)));
        assert_eq!(read("mrg_rxbuf"), Ok(Some(true)));
        assert_eq!(read("tso4"), Ok(None));
        assert!(interfaces("<domain").is_err());
    }

    #[test]
    fn a_change_leaves_the_rest_and_can_be_taken_back() {
        let found = interfaces(DOMAIN).expect("XML");
        let switches = [
            switch(Side::Host, "csum", Some(true)),
            switch(Side::Guest, "tso4", Some(false)),
        ];
        let after = changed(&found[0].xml, &switches).expect("XML");
        assert_eq!(
            after,
            "<interface type='bridge'><mac address='52:54:00:AA:00:01'/><model type='virtio'/>\
             <driver name='vhost' queues='4'><host csum='on' mrg_rxbuf='on'/>\
             <guest tso4='off'/></driver></interface>"
        );
        let back = [
            switch(Side::Host, "csum", Some(false)),
            switch(Side::Guest, "tso4", None),
        ];
        assert_eq!(changed(&after, &back), Ok(found[0].xml.clone()));
    }

    #[test]
    fn a_driver_is_made_and_goes_again() {
        let bare = &interfaces(DOMAIN).expect("XML")[1].xml;
        let with = changed(bare, &[switch(Side::Guest, "ecn", Some(true))]).expect("XML");
        assert_eq!(
            with,
            "<interface type='network'><mac address='52:54:00:aa:00:02'/>\
             <driver><guest ecn='on'/></driver></interface>"
        );
        assert_eq!(read(&with, Side::Guest, "ecn"), Ok(Some(true)));
        let without = changed(&with, &[switch(Side::Guest, "ecn", None)]);
        assert_eq!(without.as_ref(), Ok(bare));
    }

    #[test]
    fn odd_values_survive_or_are_told() {
        let odd =
            "<interface><driver iommu='&lt;&amp;&apos;'><host csum='maybe'/></driver></interface>";
        let error = read(odd, Side::Host, "csum").expect_err("maybe is no state");
        assert_eq!(error.to_string(), "host csum='maybe' is neither on nor off");
        let after = changed(odd, &[switch(Side::Host, "csum", None)]).expect("XML");
        assert_eq!(
            after,
            "<interface><driver iommu='&lt;&amp;&apos;'/></interface>"
        );
    }
}
