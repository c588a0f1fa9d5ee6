//! How a VM and its network cards were set up, from QEMU's command line.

use super::{
    domain_setup::switch,
    nic::printable,
    qemu_args::{Net, Properties, QemuArgs},
};
use crate::{
    facts::{
        domain::{Agent, Domain},
        nic::{DriverSetup, NicSetup},
    },
    sample::{Source, offloads::Fact},
};

/// QEMU's properties of a virtio card by libvirt's names: what the host offers
/// the guest to leave undone when it sends.
const HOST: [(&str, &str); 8] = [
    ("csum", "csum"),
    ("gso", "gso"),
    ("host_tso4", "tso4"),
    ("host_tso6", "tso6"),
    ("host_ecn", "ecn"),
    ("host_ufo", "ufo"),
    ("host_uso", "uso"),
    ("mrg_rxbuf", "mrg_rxbuf"),
];
/// The same: what the guest may accept when it receives.
const GUEST: [(&str, &str); 7] = [
    ("guest_csum", "csum"),
    ("guest_tso4", "tso4"),
    ("guest_tso6", "tso6"),
    ("guest_ecn", "ecn"),
    ("guest_ufo", "ufo"),
    ("guest_uso4", "uso4"),
    ("guest_uso6", "uso6"),
];

/// The VM of a command line.
pub(super) fn domain(name: &str, args: &QemuArgs) -> Domain {
    Domain {
        name: name.to_owned(),
        uuid: args.uuid.clone(),
        source: Source::Proc,
        os_id: Fact::unavailable("only libvirt's metadata tell it"),
        agent: Fact::Known(match args.has_agent_channel {
            true => Agent::Channel,
            false => Agent::NoChannel,
        }),
        machine: fact(args.machine.clone().ok_or("the command line names none")),
        nics: args.cards.clone(),
        ..Domain::default()
    }
}

const NO_CARD: &str = "the command line names no card for its back end";

/// The card in front of a back end (`-netdev`, `-nic`): the one that a
/// `-device` names, or that the back end itself does.
pub(super) fn setup(back_end: &Properties, card: Option<&Properties>, net: &Net) -> NicSetup {
    let named = card.and_then(|card| card.get("driver"));
    let model = named.or_else(|| back_end.get("model")).map(model);
    let is_told = model.is_some();
    let known = || if is_told { Ok(()) } else { Err(NO_CARD) };
    let get = |name: &str| card?.get(name);
    let number = |name: &str| get(name)?.parse::<u32>().ok();
    let switches = |names: &[(&str, &str)]| {
        let switches = names.iter();
        switches
            .filter_map(|(name, of_libvirt)| {
                let on = get(name).and_then(switch)?;
                Some(((*of_libvirt).to_owned(), on))
            })
            .collect()
    };
    let vhost = back_end.get("vhost").and_then(switch);
    let queues = back_end
        .get("queues")
        .and_then(|queues| queues.parse().ok());
    let fds = back_end.get("fds").map(|fds| fds.split(':').count());
    let driver = DriverSetup {
        name: vhost.map(|on| if on { "vhost" } else { "qemu" }.to_owned()),
        queues: queues.or(fds.and_then(|fds| fds.try_into().ok())),
        rx_queue_size: number("rx_queue_size"),
        tx_queue_size: number("tx_queue_size"),
        host: switches(&HOST),
        guest: switches(&GUEST),
    };
    let mtu = number("host_mtu").filter(|bytes| *bytes != 0);
    NicSetup {
        dev: net.ifname.clone(),
        mac: net.mac.as_ref().map(|mac| mac.to_ascii_lowercase()),
        backend: net.backend.clone(),
        model: fact(model.ok_or(NO_CARD)),
        connected_to: back_end.get("br").map(printable),
        mtu_bytes: fact(known().map(|()| mtu)),
        driver: fact(known().map(|()| driver)),
        bandwidth: Fact::unavailable("only libvirt tells limits that it keeps"),
    }
}

fn fact<T>(result: Result<T, &'static str>) -> Fact<T> {
    match result {
        Ok(known) => Fact::Known(known),
        Err(reason) => Fact::unavailable(reason),
    }
}

/// A model by libvirt's name.
fn model(driver: &str) -> String {
    let is_virtio = driver.starts_with("virtio");
    match driver {
        "virtio-net-pci-transitional" => "virtio-transitional".to_owned(),
        "virtio-net-pci-non-transitional" => "virtio-non-transitional".to_owned(),
        _ if is_virtio => "virtio".to_owned(),
        other => printable(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::qemu_args::{parse, split};

    fn args(line: &str) -> QemuArgs {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(&argv)
    }

    fn one(line: &str) -> NicSetup {
        let args = args(line);
        let [card] = args.cards.as_slice() else {
            panic!("{:?}", args.cards);
        };
        card.clone()
    }

    #[test]
    fn command_line_by_libvirt() {
        let cmdline = include_bytes!("../../tests/data/inventory/cmdline");
        let args = parse(&split(cmdline));
        assert_eq!(args.machine.as_deref(), Some("pc-q35-7.2"));
        assert!(!args.has_agent_channel);
        let [card] = args.cards.as_slice() else {
            panic!("{:?}", args.cards);
        };
        assert_eq!(card.model, Fact::Known("virtio".into()));
        assert_eq!(card.driver, Fact::Known(DriverSetup::default()));
        assert!(card.bandwidth.reason().is_some());
    }

    #[test]
    fn offloads_have_their_names_in_libvirt() {
        for line in [
            "q -netdev tap,fds=30:31,vhost=on,id=n -device virtio-net-pci,netdev=n,csum=off,\
             guest_csum=on,host_tso4=off,guest_tso6=on,guest_uso4=off,host_uso=on,mrg_rxbuf=off,\
             host_mtu=9000,rx_queue_size=512,mac=52:54:00:00:00:01",
            r#"q -device {"driver":"virtio-net-pci","netdev":"n","csum":false,"guest_csum":true,"host_tso4":false,"guest_tso6":true,"guest_uso4":false,"host_uso":true,"mrg_rxbuf":false,"host_mtu":9000,"rx_queue_size":512} -netdev {"type":"tap","fds":"30:31","vhost":true,"id":"n"}"#,
        ] {
            let card = one(line);
            assert_eq!(card.mtu_bytes, Fact::Known(Some(9000)), "{line}");
            let driver = card.driver.known().expect("known");
            assert_eq!(driver.name.as_deref(), Some("vhost"));
            assert_eq!((driver.queues, driver.rx_queue_size), (Some(2), Some(512)));
            let host = [
                ("csum", false),
                ("mrg_rxbuf", false),
                ("tso4", false),
                ("uso", true),
            ];
            let guest = [("csum", true), ("tso6", true), ("uso4", false)];
            let named = |list: &[(&str, bool)]| {
                let list = list.iter();
                list.map(|(name, on)| ((*name).to_owned(), *on)).collect()
            };
            assert_eq!(driver.host, named(&host), "{line}");
            assert_eq!(driver.guest, named(&guest), "{line}");
        }
    }

    #[test]
    fn models_and_cards_that_are_not_named() {
        let model = |line: &str| one(line).model.known().cloned();
        let device = |driver: &str| model(&format!("q -netdev tap,id=n -device {driver},netdev=n"));
        assert_eq!(device("e1000e").as_deref(), Some("e1000e"));
        assert_eq!(
            device("virtio-net-pci-transitional").as_deref(),
            Some("virtio-transitional")
        );
        assert_eq!(device("virtio-net-ccw").as_deref(), Some("virtio"));
        assert_eq!(model("q -nic tap,model=virtio").as_deref(), Some("virtio"));
        let unknown = one("q -netdev tap,id=n,vhost=on");
        assert!(unknown.model.reason().is_some());
        assert!(unknown.driver.reason().is_some() && unknown.mtu_bytes.reason().is_some());
        assert_eq!(
            one("q -netdev bridge,br=br7,id=n").connected_to.as_deref(),
            Some("br7")
        );
    }

    #[test]
    fn a_channel_for_the_agent() {
        let line = "q -device virtserialport,chardev=c,name=org.qemu.guest_agent.0";
        assert!(args(line).has_agent_channel);
        assert!(!args("q -device virtserialport,name=com.redhat.spice.0").has_agent_channel);
    }
}
