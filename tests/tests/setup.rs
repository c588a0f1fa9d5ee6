//! How interfaces are set up is what `ip` and `ethtool` print.

use std::time::Duration;

use anyhow::{Context, Result};
use offwatch::{
    facts::{
        Facts,
        device::Device,
        hardware::Duplex,
        topology::{Lower, Peer, Topology},
    },
    inventory::setup,
    record::Recording,
    sample::{Sample, offloads::Fact},
};
use offwatch_tests::{
    Lab, Netns,
    observer::{self, Observer},
    quiet::wait_until,
    setup::{can, devices, printed, set},
    skip::skipped,
    skip_unless_lab,
};
use serde_json::Value;

/// Passing this, offwatch has not seen a change.
const PATIENCE: Duration = Duration::from_secs(240);

/// The interfaces in a list that `ip` prints, by the name of the one they
/// belong to.
fn names_below(printed: &[Value], field: &str, dev: &str) -> Vec<u32> {
    let below = printed.iter().filter(|link| link[field] == dev);
    let ifindex = |link: &Value| link["ifindex"].as_u64().expect("a number") as u32;
    below.map(ifindex).collect()
}

#[test]
fn interfaces_are_stacked_as_ip_prints_them() -> Result<()> {
    skip_unless_lab!();
    let other = Netns::new()?;
    let lab = Lab::new()?;
    let host = lab.host();
    for command in [
        "ip link add up0 type veth peer name up1",
        "ip link add far0 type veth peer name far1",
        "ip link set up0 up",
        "ip link set up1 up",
        "ip addr add 198.18.9.1/24 dev up0",
        "ip link add mv0 link up0 type macvtap",
        "ip link set up0 mtu 9000",
        "ip link set up1 master br0",
        "ip link set br0 type bridge nf_call_ip6tables 1",
    ] {
        set(host, command)?;
    }
    let target = other.path();
    let target = target.to_str().context("a path of ASCII")?;
    set(host, &format!("ip link set far1 netns {target}"))?;
    let vxlan = "type vxlan dstport 4789";
    let has_vxlan = can(
        host,
        &format!("ip link add vx0 {vxlan} id 7 dev up0 remote 198.18.9.2"),
    );
    if has_vxlan {
        set(
            host,
            &format!("ip link add vx1 {vxlan} id 8 remote 198.18.9.3 local 198.18.9.1"),
        )?;
        set(
            host,
            &format!("ip link add vx2 {vxlan} id 9 remote 198.19.0.1"),
        )?;
        set(host, "ip link add vx3 type vxlan dstport 4790 external")?;
        set(host, "ip link set vx1 master br0")?;
    }
    let has_vlan = can(host, "ip link add vlan5 link up0 type vlan id 5");
    let has_bond = can(host, "ip link add bond9 type bond mode active-backup");
    if has_bond {
        set(host, "ip link add slave0 type veth peer name slave1")?;
        set(host, "ip link set slave0 master bond9")?;
    }

    let found = devices(host)?;
    let facts = Facts {
        devices: Fact::Known(found.clone()),
        ..Facts::default()
    };
    let lookup = facts.lookup();
    let by_ip = printed(host, "ip -d -j link show")?;
    assert_eq!(found.len(), by_ip.len());
    for (device, link) in found.iter().zip(&by_ip) {
        let dev = device.dev.as_str();
        assert_eq!(
            (device.ifindex.into(), dev),
            (
                link["ifindex"].as_u64().unwrap_or(0),
                link["ifname"].as_str().unwrap_or_default()
            )
        );
        assert_eq!(link["mtu"], device.mtu_bytes, "{dev}");
        let max = device.mtu_max_bytes.map_or(0, u64::from);
        assert_eq!(link["max_mtu"].as_u64().unwrap_or(0), max, "{dev}");
        let flags = link["flags"].as_array().context("flags")?;
        assert_eq!(flags.contains(&"UP".into()), device.up, "{dev}");
        assert_eq!(flags.contains(&"LOWER_UP".into()), device.carrier, "{dev}");
        let master = lookup.master(device).map(|master| master.dev.as_str());
        assert_eq!(link["master"].as_str(), master, "{dev}");
        assert_eq!(names_below(&by_ip, "master", dev), device.ports, "{dev}");
        assert!(device.hardware.is_none(), "{dev} is no hardware");
    }
    let named = |dev: &str| {
        found
            .iter()
            .find(|device| device.dev == dev)
            .expect("listed")
    };
    let ifindex = |dev: &str| named(dev).ifindex;
    let up0 = Some(Lower::Link(ifindex("up0")));
    assert_eq!(named("mv0").lower, up0);
    assert_eq!(
        named("up0").topology,
        Topology::Veth(Peer::Here(ifindex("up1")))
    );
    assert_eq!(named("up0").lower, None, "the other end is not below");
    assert_eq!(named("far0").topology, Topology::Veth(Peer::Elsewhere));
    let Topology::Bridge(bridge) = named("br0").topology else {
        anyhow::bail!("br0: {:?}", named("br0").topology);
    };
    let link = by_ip.iter().find(|link| link["ifname"] == "br0");
    let data = &link.context("br0")?["linkinfo"]["info_data"];
    let is_on = |name: &str| data[name].as_u64().map(|on| on != 0);
    assert_eq!(bridge.vlan_filtering, is_on("vlan_filtering"));
    assert_eq!(bridge.nf_call_iptables, is_on("nf_call_iptables"));
    assert_eq!(bridge.nf_call_ip6tables, is_on("nf_call_ip6tables"));
    let mut on_up0 = vec![ifindex("mv0")];
    if has_vxlan {
        assert_eq!(named("vx0").lower, up0);
        assert_eq!(named("vx1").lower, Some(Lower::Route(ifindex("up0"))));
        assert_eq!(named("vx2").lower, None, "there is no route");
        assert_eq!(named("vx3").lower, Some(Lower::Varies));
        for (dev, id) in [("vx0", Some(7)), ("vx1", Some(8)), ("vx3", None)] {
            let Topology::Vxlan(vxlan) = &named(dev).topology else {
                anyhow::bail!("{dev}: {:?}", named(dev).topology);
            };
            let link = by_ip
                .iter()
                .find(|link| link["ifname"] == dev)
                .context("listed")?;
            let data = &link["linkinfo"]["info_data"];
            assert_eq!(vxlan.vni, id, "{dev}");
            assert_eq!(vxlan.collect_metadata, data["external"] == true, "{dev}");
            let text = |address: Option<std::net::IpAddr>| address.map(|it| it.to_string());
            assert_eq!(
                data["remote"].as_str(),
                text(vxlan.remote).as_deref(),
                "{dev}"
            );
            assert_eq!(
                data["local"].as_str(),
                text(vxlan.local).as_deref(),
                "{dev}"
            );
            assert_eq!(data["port"], vxlan.port.unwrap_or(0), "{dev}");
            assert_eq!(data["udp_csum"].as_bool(), vxlan.udp_csum, "{dev}");
        }
        on_up0.extend([ifindex("vx0"), ifindex("vx1")]);
    }
    if has_vlan {
        assert_eq!(named("vlan5").lower, up0);
        let Topology::Vlan(vlan) = named("vlan5").topology else {
            anyhow::bail!("vlan5: {:?}", named("vlan5").topology);
        };
        assert_eq!(vlan.id, Some(5));
        on_up0.push(ifindex("vlan5"));
    }
    assert_eq!(named("up0").uppers, on_up0);
    if has_bond {
        let Topology::Bond(bond) = &named("bond9").topology else {
            anyhow::bail!("bond9: {:?}", named("bond9").topology);
        };
        assert_eq!(bond.mode.as_deref(), Some("active-backup"));
        assert_eq!(named("bond9").ports, [ifindex("slave0")]);
    }
    Ok(())
}

#[test]
fn a_recording_begins_with_facts_of_the_observed_namespace() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_idle_tap("idle0")?;
    let host = lab.host();
    host.sysctl(&[("net/ipv4/ip_forward", "1")])?;
    let arguments = ["top", "--once", "--record", "-"];
    let output = observer::offwatch(host, &arguments)?.output()?;
    let says = String::from_utf8_lossy(&output.stderr);
    let lines = String::from_utf8(output.stdout)?;
    let samples: Vec<Sample> = lines
        .lines()
        .skip(1)
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .with_context(|| format!("a recording: {says}"))?;
    let facts = samples.first().and_then(|first| first.facts.as_ref());
    let facts = facts.with_context(|| format!("facts of the first sample: {says}"))?;
    let recorded = facts.devices.known().context("devices")?;
    let names = |devices: &[Device]| -> Vec<(u32, String)> {
        let named = devices.iter();
        named
            .map(|device| (device.ifindex, device.dev.clone()))
            .collect()
    };
    assert_eq!(names(recorded), names(&devices(host)?));
    assert!(names(recorded).iter().any(|(_, dev)| dev == "idle0"));
    assert_eq!(facts.host.ipv4_forwarding, Fact::Known(true));
    host.sysctl(&[("net/ipv4/ip_forward", "0")])?;
    let host_now = host.run(setup::host)?;
    assert_eq!(host_now.ipv4_forwarding, Fact::Known(false));
    let read = |name: &str| {
        set(
            host,
            &format!("cat /proc/sys/net/bridge/bridge-nf-call-{name}"),
        )
    };
    let switches = host_now.bridge_netfilter.known().context("told")?;
    let is_on = |text: String| text.trim() != "0";
    let iptables = switches.map(|switches| switches.iptables);
    assert_eq!(iptables, read("iptables").ok().map(is_on));
    Ok(())
}

#[test]
fn a_recording_tells_of_interfaces_that_came_later() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("host.owr");
    let arguments = ["--record", path.to_str().context("a path of plain text")?];
    let observer = Observer::start(lab.host(), &arguments)?;
    lab.add_idle_tap("late0")?;
    let mut read = 0;
    wait_until("facts of the new interface", PATIENCE, || {
        observer.now()?;
        let recording = Recording::open(&path)?;
        let samples = read..recording.len();
        read = samples.end;
        for number in samples {
            let facts = recording.sample(number)?.facts;
            let devices = facts.as_ref().and_then(|facts| facts.devices.known());
            let mut devices = devices.into_iter().flatten();
            if devices.any(|device| device.dev == "late0") {
                return Ok(number > 0);
            }
        }
        Ok(false)
    })
}

/// Of the machine itself: a device with a driver of its own cannot be made.
#[test]
fn drivers_are_what_ethtool_prints() -> Result<()> {
    let Fact::Known(devices) = setup::devices() else {
        anyhow::bail!("interfaces are listed without privilege");
    };
    let mut hardware = devices
        .iter()
        .filter_map(|device| Some((device, device.hardware.as_deref()?)))
        .peekable();
    if hardware.peek().is_none() {
        skipped("there is no network card");
    }
    for (device, hardware) in hardware {
        let dev = device.dev.as_str();
        let text = ethtool(&["-i", dev])?.context("every driver has a name")?;
        let field = |name: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value
                .map(str::trim)
                .filter(|value| !value.is_empty() && *value != "N/A")
        };
        let driver = hardware.driver.known().context("a driver")?;
        assert_eq!(field("driver"), Some(driver.name.as_str()));
        assert_eq!(field("version"), driver.version.as_deref());
        assert_eq!(field("firmware-version"), driver.firmware.as_deref());
        assert_eq!(field("bus-info"), driver.bus.as_deref());

        let channels = ethtool(&["-l", dev])?;
        assert_eq!(channels.is_some(), hardware.channels.known().is_some());
        if let (Some(text), Some(channels)) = (channels, hardware.channels.known()) {
            let expected = [
                channels.rx_max,
                channels.tx_max,
                channels.combined_max,
                channels.rx,
                channels.tx,
                channels.combined,
            ];
            assert_eq!(
                numbers(&text, &["RX", "TX", "Combined"]),
                expected,
                "{text}"
            );
        }
        let rings = ethtool(&["-g", dev])?;
        assert_eq!(rings.is_some(), hardware.rings.known().is_some());
        if let (Some(text), Some(rings)) = (rings, hardware.rings.known()) {
            let expected = [rings.rx_max, rings.tx_max, rings.rx, rings.tx];
            assert_eq!(numbers(&text, &["RX", "TX"]), expected, "{text}");
        }
        let text = ethtool(&[dev])?.context("a link")?;
        let link = hardware.link.known();
        let printed = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Speed: "));
        let speed = printed.and_then(|speed| speed.strip_suffix("Mb/s")?.parse().ok());
        assert_eq!(link.and_then(|link| link.speed_mbit_per_s), speed, "{text}");
        let duplex = text.contains("Duplex: Full");
        let full = Some(Duplex::Full);
        assert_eq!(link.and_then(|link| link.duplex) == full, duplex, "{text}");
    }
    Ok(())
}

/// What ethtool prints; none if the driver does not tell it.
fn ethtool(arguments: &[&str]) -> Result<Option<String>> {
    let output = std::process::Command::new("ethtool")
        .args(arguments)
        .output()?;
    Ok(output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// The numbers behind names, maximums first, then what is set.
fn numbers(text: &str, names: &[&str]) -> Vec<Option<u32>> {
    let (maximums, current) = text
        .split_once("Current hardware settings")
        .expect("two parts");
    let parts = [maximums, current];
    let number = |part: &&str, name: &str| {
        let mut lines = part.lines();
        lines.find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix(':')?
                .trim()
                .parse()
                .ok()
        })
    };
    parts
        .iter()
        .flat_map(|part| names.iter().map(move |name| number(part, name)))
        .collect()
}
