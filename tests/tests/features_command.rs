//! `offwatch features` agrees with `ethtool -k`, and tells what that does not.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use offwatch_tests::{
    Netns, Offloads,
    command::run,
    domains::{Domain, TestDriver},
    ethtool::{self, State},
    link,
    observer::offwatch,
    skip_unless_lab,
    tap::Tap,
};
use serde_json::Value;

/// What a run of it left.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn features(ns: &Netns, args: &[&str]) -> Result<Run> {
    let mut command = offwatch(ns, &["features"])?;
    let output = command.args(args).output()?;
    Ok(Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// Interfaces of the JSON, by name.
fn interfaces(ns: &Netns, args: &[&str]) -> Result<BTreeMap<String, Value>> {
    let run = features(ns, &[args, &["--json"]].concat())?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout)?;
    assert_eq!(report["schema"], "offwatch.features");
    let all = report["interfaces"].as_array().context("interfaces")?;
    let named = all.iter().map(|interface| {
        let dev = interface["dev"].as_str().context("a name")?;
        Ok((dev.to_owned(), interface.clone()))
    });
    named.collect()
}

fn listed(interface: &Value) -> Result<BTreeMap<String, Value>> {
    let all = interface["features"].as_array().context("features")?;
    let named = all.iter().map(|feature| {
        Ok((
            feature["name"].as_str().context("a name")?.to_owned(),
            feature.clone(),
        ))
    });
    named.collect()
}

/// As ethtool has it.
fn state(feature: &Value) -> Result<State> {
    let on = feature["on"].as_bool().context("on")?;
    let wanted = feature["wanted"].as_bool();
    Ok(State {
        on,
        fixed: feature["fixed"].as_bool().context("fixed")?,
        requested: wanted.filter(|wanted| *wanted != on),
    })
}

/// Every feature of each of these is as ethtool prints it, and what is not as it
/// is asked for has a reason.
fn agrees(ns: &Netns, devices: &[&str]) -> Result<BTreeMap<String, BTreeMap<String, Value>>> {
    let told = interfaces(ns, devices)?;
    let names: Vec<&str> = told.keys().map(String::as_str).collect();
    assert_eq!(names, devices);
    let mut all = BTreeMap::new();
    for (dev, interface) in &told {
        let listed = listed(interface)?;
        let states: Result<BTreeMap<_, _>> = listed
            .iter()
            .map(|(name, feature)| Ok((name.clone(), state(feature)?)))
            .collect();
        assert_eq!(states?, ethtool::features(ns, dev)?, "{dev}");
        for (name, feature) in &listed {
            let is_unmet = state(feature)?.requested.is_some();
            assert_eq!(feature.get("unmet").is_some(), is_unmet, "{dev} {name}");
        }
        all.insert(dev.clone(), listed);
    }
    Ok(all)
}

fn veth(ns: &Netns) -> Result<()> {
    let pair = "ip link add veth0 type veth peer name veth1";
    run(ns, &pair.split(' ').collect::<Vec<_>>()).map(drop)
}

const CHECKSUM: &str = "tx-checksum-ip-generic";
const TSO: &str = "tx-tcp-segmentation";
const TSO6: &str = "tx-tcp6-segmentation";

#[test]
fn every_bit_is_as_ethtool_has_it() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    let tap = Tap::create(&ns, "tap0", 1)?;
    link::add_bridge(&ns, "br0")?;
    link::enslave(&ns, "tap0", "br0")?;
    veth(&ns)?;
    let devices = ["br0", "lo", "tap0", "veth0"];
    let all = agrees(&ns, &devices)?;
    let reason = |of: &BTreeMap<String, Value>, name: &str| of[name]["unmet"].clone();
    assert_eq!(reason(&all["tap0"], CHECKSUM)["because"], "not_negotiated");
    assert_eq!(reason(&all["tap0"], TSO)["because"], "needs");
    assert_eq!(all["tap0"][CHECKSUM]["guest"], "not_negotiated");
    assert_eq!(all["br0"]["tx-gso-robust"]["unmet"]["because"], "ports");

    tap.set_offloads(Offloads::ALL)?;
    for feature in [CHECKSUM, TSO6] {
        link::set_features(&ns, "veth0", &[feature, "off"])?;
    }
    link::set_features(&ns, "tap0", &[TSO, "off"])?;
    let all = agrees(&ns, &devices)?;
    let needs = reason(&all["veth0"], TSO);
    assert_eq!(
        (needs["because"].as_str(), needs["feature"].as_str()),
        (Some("needs"), Some(CHECKSUM))
    );
    // It is not asked for.
    assert_eq!(reason(&all["veth0"], TSO6), Value::Null);
    assert_eq!(all["veth0"][TSO]["group"], "tso");
    assert_eq!(all["veth0"][TSO].get("guest"), None);
    let guest = |name: &str| all["tap0"][name]["guest"].clone();
    assert_eq!(guest(CHECKSUM), "accepted");
    assert_eq!(guest(TSO6), "accepted");
    assert_eq!(guest(TSO), "unknown");
    assert_eq!(guest("tx-scatter-gather"), Value::Null);
    assert!(all["tap0"]["rx-gro"]["inert"].is_string());
    assert_eq!(all["veth0"]["rx-gro"].get("inert"), None);
    Ok(())
}

#[test]
fn a_tap_is_told_with_its_vm() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    let _taps = [Tap::create(&ns, "tap0", 1)?, Tap::create(&ns, "tap1", 1)?];
    let domain = Domain {
        name: "web-1".into(),
        uuid: "0ff3a7c4-0000-4000-8000-000000000001".into(),
        interfaces: vec![("tap1".into(), [0x52, 0x54, 0, 0, 0, 1])],
        os_id: None,
        driver: None,
    };
    let libvirt = TestDriver::new(&[domain])?;
    let uri = libvirt.uri();
    let of_vm = interfaces(&ns, &["--connect", &uri, "web-1"])?;
    assert_eq!(of_vm.keys().collect::<Vec<_>>(), ["tap1"]);
    let vm = &of_vm["tap1"]["vm"];
    assert_eq!(vm["name"], "web-1");
    assert_eq!(vm["mac"], "52:54:00:00:00:01");
    let all = interfaces(&ns, &["--connect", &uri])?;
    assert_eq!(all.len(), 3);
    assert!(all["tap0"]["vm"].is_null());
    let text = features(&ns, &["--connect", &uri, "tap*"])?.stdout;
    for heading in [
        "tap0: tap of no VM that is known",
        "tap1: tap of VM web-1 (52:54",
    ] {
        assert!(text.contains(heading), "{text}");
    }
    Ok(())
}

#[test]
fn text_fits_on_a_terminal_and_shows_what_matters() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    let tap = Tap::create(&ns, "tap0", 1)?;
    tap.set_offloads(Offloads::ALL)?;
    veth(&ns)?;
    link::set_features(&ns, "veth0", &["sg", "off"])?;
    let long = "veth-with-15-by";
    run(&ns, &["ip", "link", "set", "veth1", "name", long])?;
    for all in [&["--all"][..], &[]] {
        let text = features(&ns, all)?.stdout;
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{text}");
        for shown in [
            "tap0: tap",
            long,
            "asked for; needs",
            "the guest accepts it",
            "\n* ",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        // Off for good.
        assert_eq!(text.contains("rx-fcs"), !all.is_empty(), "{text}");
        assert_eq!(text.contains("--all shows them"), all.is_empty(), "{text}");
    }
    let one = features(&ns, &["veth0"])?.stdout;
    assert!(!one.contains("tap0") && !one.contains("\n* "), "{one}");
    Ok(())
}

#[test]
fn a_wrong_name_gets_one_line() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    veth(&ns)?;
    for (args, code, told) in [
        (
            ["veth0", "vnet7"],
            1,
            "'vnet7' is no interface here and no VM with one; interfaces are",
        ),
        (["[", "lo"], 1, "'[' is not a valid pattern: "),
        (["--connect", "qemu+ssh://host/system"], 2, "qemu+ssh"),
        (["--jsn", "lo"], 2, "--jsn"),
    ] {
        let run = features(&ns, &args)?;
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        assert!(run.stderr.contains(told), "{}", run.stderr);
        assert_eq!((run.stderr.lines().count(), &*run.stdout), (1, ""));
    }
    Ok(())
}

/// It changes nothing, and needs no privilege for features.
#[test]
fn nothing_is_changed() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    let tap = Tap::create(&ns, "tap0", 1)?;
    tap.set_offloads(Offloads::ALL)?;
    link::set_features(&ns, "tap0", &["tso", "off"])?;
    let before = link::features(&ns, "tap0")?;
    assert_eq!(features(&ns, &[])?.code, Some(0));
    assert_eq!(link::features(&ns, "tap0")?, before);
    Ok(())
}
