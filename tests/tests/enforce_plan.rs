//! What `offwatch enforce` plans: whom a policy is about, and that the printed
//! command does to the kernel what is predicted.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Output};

use anyhow::{Context, Result, ensure};
use offwatch_tests::{
    GuestConfig, Lab, Netns, Offloads,
    command::run,
    domains::{Domain, TestDriver},
    ethtool::{self, State},
    link,
    observer::offwatch,
    skip_unless_lab,
    tap::Tap,
};
use serde_json::Value;
use tempfile::TempDir;

/// A directory with a policy, and how enforce is called with it.
struct Policy {
    directory: TempDir,
    connect: Vec<String>,
}

impl Policy {
    fn new(connect: &[&str]) -> Result<Self> {
        Ok(Self {
            directory: tempfile::tempdir()?,
            connect: connect.iter().map(ToString::to_string).collect(),
        })
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("policy.toml")
    }

    /// What enforce says to rules; each is a match and what it asks for.
    fn says(&self, ns: &Netns, rules: &[(&str, &str)], args: &[&str]) -> Result<Output> {
        let mut text = "version = 1\n".to_owned();
        for (matches, asks) in rules {
            text += &format!("[[rule]]\nmatch = {{ {matches} }}\n{asks}\n");
        }
        fs::write(self.path(), text)?;
        let path = self.path();
        let path = path.to_str().context("a path of plain text")?;
        let mut command = offwatch(ns, &["enforce", "--policy", path])?;
        command.args(&self.connect).args(args);
        Ok(command.output()?)
    }

    fn plan(&self, ns: &Netns, rules: &[(&str, &str)], args: &[&str]) -> Result<Value> {
        let output = self.says(ns, rules, &[&["--json"], args].concat())?;
        let says = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{rules:?}: {says}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The one line of an error.
    fn error(&self, ns: &Netns, rules: &[(&str, &str)], args: &[&str]) -> Result<String> {
        let output = self.says(ns, rules, args)?;
        ensure!(output.status.code() == Some(1), "{rules:?}: {output:?}");
        let says = String::from_utf8(output.stderr)?;
        ensure!(says.lines().count() == 1, "{says}");
        Ok(says.replace(&format!("{}/", self.directory.path().display()), ""))
    }
}

fn list<'v>(value: &'v Value, key: &str) -> Result<&'v Vec<Value>> {
    value[key].as_array().with_context(|| format!("no {key}"))
}

fn names(values: &[Value], key: &str) -> Result<Vec<String>> {
    let names = values.iter().map(|value| value[key].as_str());
    let names: Option<Vec<_>> = names.map(|name| name.map(str::to_owned)).collect();
    names.with_context(|| format!("no {key}"))
}

/// What a kernel makes of the printed command is what the plan says, feature by
/// feature; afterwards nothing is left to do.
fn holds(policy: &Policy, ns: &Netns, dev: &str, asks: &str) -> Result<()> {
    let matches = format!("device = \"{dev}\"");
    let rules = [(&*matches, asks)];
    let before = ethtool::features(ns, dev)?;
    let plan = policy.plan(ns, &rules, &[])?;
    ensure!(
        before == ethtool::features(ns, dev)?,
        "a plan changes {dev}"
    );
    let interfaces = list(&plan, "interfaces")?;
    ensure!(names(interfaces, "dev")? == [dev], "{interfaces:?}");
    let told = &interfaces[0];
    if let Some(command) = told["command"].as_str() {
        // It fails where nothing came of it.
        let _ = run(ns, &["sh", "-c", command]);
    }
    let after = ethtool::features(ns, dev)?;
    let uncertain: Vec<&str> = list(told, "uncertain")?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for (name, State { on, .. }) in &after {
        let predicted = told["predicted"][name].as_bool().unwrap_or(before[name].on);
        ensure!(
            *on == predicted || uncertain.contains(&&**name),
            "{dev}, {asks}: {name} is on: {on}, predicted {predicted}; {told:#}"
        );
    }
    for unmet in names(list(told, "unmet")?, "feature")? {
        let asked_for = asks.contains(&format!("{unmet} = true"));
        ensure!(
            !asked_for || !after[&unmet].on,
            "{dev}, {asks}: {unmet} is met"
        );
    }
    let again = policy.plan(ns, &rules, &["--exit-code"])?;
    ensure!(again["has_changes"] == false, "{dev}, {asks}: {again:#}");
    Ok(())
}

#[test]
fn a_printed_command_does_what_is_predicted() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    run(
        &ns,
        &["ip", "link", "add", "v0", "type", "veth", "peer", "v1"],
    )?;
    let vxlan = [
        "ip", "link", "add", "x0", "type", "vxlan", "id", "1", "dstport", "0",
    ];
    run(&ns, &vxlan)?;
    link::add_bridge(&ns, "br0")?;
    let odd = "ta;b$c'd";
    let taps = ["tap0", "tap1", odd].map(|name| Tap::create(&ns, name, 1));
    let [all, some, oddly_named] = taps;
    let (all, some, _oddly_named) = (all?, some?, oddly_named?);
    all.set_offloads(Offloads::ALL)?;
    some.set_offloads(Offloads::CSUM_ONLY)?;
    link::enslave(&ns, "tap0", "br0")?;
    let policy = Policy::new(&[])?;
    for dev in ["v0", "x0", "br0", "tap0", "tap1", odd] {
        for asks in [
            "features = { sg = false }",
            "features = { tso = true }",
            "features = { sg = true, tx = true }",
            "features = { tx = false }",
            "features = { tx = true, tx-tcp-segmentation = false }",
            "features = { tso = true, gso = false, gro = false }",
            "features = { tx-udp-segmentation = false, rx-gro-list = true }",
            "features = { gso = true, lro = true, loopback = true, rxhash = false }",
            "features = { tx-udp-segmentation = true, rx-checksum = false }",
        ] {
            // This kernel may not have the newer ones.
            if asks.contains("udp-seg") && !ethtool::features(&ns, dev)?.contains_key("rx-gro-list")
            {
                continue;
            }
            holds(&policy, &ns, dev, asks)?;
        }
    }
    Ok(())
}

#[test]
fn a_policy_finds_the_interfaces_of_vms() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["db-1", "db-2", "web"])?;
    lab.add_guest(GuestConfig::new("stray", 4))?;
    let taps: BTreeMap<&str, &str> = lab
        .guests()
        .iter()
        .map(|guest| (guest.name(), guest.tap()))
        .collect();
    // What the lab's processes hold is told by nobody: libvirt does not know them.
    let domains: Vec<Domain> = lab.guests()[..3]
        .iter()
        .map(|guest| Domain {
            os_id: (guest.name() == "web").then(|| "http://microsoft.com/win/2k22".into()),
            driver: Some("<host tso4='off'/>".into()),
            ..Domain::of(guest)
        })
        .collect();
    let libvirt = TestDriver::new(&domains)?;
    let uri = libvirt.uri();
    let policy = Policy::new(&["-c", &uri])?;
    let host = lab.host();
    let devs = |matches: &str, args: &[&str]| {
        let rules = [(matches, "features.gro = false")];
        names(
            list(&policy.plan(host, &rules, args)?, "interfaces")?,
            "dev",
        )
    };
    let (db1, db2, web, stray) = (taps["db-1"], taps["db-2"], taps["web"], taps["stray"]);
    ensure!(devs("vm = \"db-*\"", &[])? == [db1, db2]);
    ensure!(devs("os = \"*/microsoft.com/win/*\"", &[])? == [web]);
    ensure!(devs("bridge = \"br0\", driver = \"tun\"", &["--vm", "web"])? == [web]);
    ensure!(devs("vm = \"*\"", &["--dev", db2])? == [db2]);

    let every_tap = [("driver = \"tun\"", "features.gro = false")];
    let plan = policy.plan(host, &every_tap, &[])?;
    let found = names(list(&plan, "interfaces")?, "dev")?;
    ensure!(found == [db1, db2, web], "{found:?} are changed");
    let left = list(&plan, "left")?;
    ensure!(names(left, "what")? == [stray], "{left:?} are left");
    let named = format!("device = \"{stray}\"");
    ensure!(devs(&named, &[])? == [stray], "a rule that names it");

    let offered = "definition = { host = { tso4 = true, tso6 = true } }";
    let plan = policy.plan(host, &[("vm = \"web\"", offered)], &[])?;
    let definitions = list(&plan, "definitions")?;
    let xml = names(definitions, "xml")?;
    ensure!(
        xml == ["<driver><host tso4='on'/></driver>"],
        "what is not given is on: {xml:?}"
    );
    Ok(())
}

#[test]
fn what_is_wrong_is_told_in_one_line() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    run(
        &ns,
        &["ip", "link", "add", "v0", "type", "veth", "peer", "v1"],
    )?;
    let policy = Policy::new(&[])?;
    let v0 = "device = \"v0\"";
    let wrong = [
        (
            vec![(v0, "features.tx-tcp-segmentaton = true")],
            "policy.toml:4: `tx-tcp-segmentaton` is no feature of this kernel; \
             `tx-tcp-segmentation` is",
        ),
        (
            vec![
                (v0, "features.tso = true"),
                ("driver = \"veth\"", "features.tso = false"),
            ],
            "policy.toml:4 and policy.toml:7 contradict each other: tx-tcp-segmentation of v0 is \
             to be on, and off",
        ),
        (
            vec![("devcie = \"v0\"", "features.tso = true")],
            "policy.toml:3: unknown key 'devcie'; did you mean 'device'?",
        ),
        (
            vec![("advice = \"tap-no-tso\"", "")],
            "policy.toml:2: match.advice takes an advice; give it with --from",
        ),
    ];
    for (rules, told) in wrong {
        let says = policy.error(&ns, &rules, &[])?;
        ensure!(says == format!("offwatch: {told}\n"), "{says}");
    }
    let rules = [(v0, "features.tso = true")];
    let says = policy.error(&ns, &rules, &["--dev", "v9"])?;
    ensure!(says.contains("there are lo, v0, v1"), "{says}");
    let plan = policy.plan(&ns, &[("device = \"v9\"", "features.tso = true")], &[])?;
    let left = names(list(&plan, "left")?, "because")?;
    ensure!(left == ["there is no interface v9 now"], "{left:?}");
    Ok(())
}
