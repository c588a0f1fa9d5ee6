//! Offload features are those that `ethtool -k` prints, whoever changed them,
//! and changes are counted.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch::{
    inventory::features::{Family, FeatureSocket, FeatureSweep},
    sample::offloads::{FeatureNames, Features},
};
use offwatch_tests::{
    Lab, Netns, Offloads,
    command::run,
    ethtool::{self, State},
    link,
    observer::{Observer, interface},
    quiet::wait_until,
    skip_unless_lab,
    tap::Tap,
};
use serde_json::Value;

/// Passing this, offwatch has not seen a change.
const PATIENCE: Duration = Duration::from_secs(30);

fn states(features: &Features, names: &FeatureNames) -> BTreeMap<String, State> {
    let state = |bit| {
        let (on, wanted) = (features.active.contains(bit), features.wanted.contains(bit));
        let fixed = features.is_fixed(bit);
        State {
            on,
            fixed,
            requested: (!fixed && on != wanted).then_some(wanted),
        }
    };
    let named = names
        .0
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.is_empty());
    named
        .map(|(bit, name)| (name.clone(), state(bit)))
        .collect()
}

/// All three ways to read features of `device` agree with ethtool.
fn agrees(ns: &Netns, device: &str) -> Result<()> {
    let ifindex = link::ifindex(ns, device)?;
    let (names, read) = ns.try_run(|| {
        let family = Family::resolve()?;
        let mut reader = FeatureSocket::open(family)?;
        let listed = reader.list()?.into_iter().find(|(of, _)| *of == ifindex);
        let mut swept = None;
        FeatureSweep::open(family, 16)?.advance(|of, features| {
            if of == ifindex {
                swept = Some(features);
            }
        })?;
        let listed = listed.map(|(_, features)| features);
        let read = [Some(reader.of(ifindex)?), listed, swept];
        Ok((reader.names()?, read))
    })?;
    let expected = ethtool::features(ns, device)?;
    ensure!(expected.len() > 40, "ethtool printed little: {expected:?}");
    for (way, features) in ["asked for", "listed", "swept"].iter().zip(read) {
        let features = features.with_context(|| format!("{device} is not {way}"))?;
        let states = states(&features, &names);
        for (name, state) in &expected {
            ensure!(
                states.get(name) == Some(state),
                "{device}, {way}: {name} is {:?}, ethtool says {state:?}",
                states.get(name)
            );
        }
        let unknown: Vec<_> = states
            .keys()
            .filter(|name| !expected.contains_key(*name))
            .collect();
        ensure!(
            unknown.is_empty(),
            "{device}: ethtool does not print {unknown:?}"
        );
    }
    Ok(())
}

#[test]
fn features_are_what_ethtool_prints() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    let tap = Tap::create(&ns, "tap0", 1)?;
    link::add_bridge(&ns, "br0")?;
    run(
        &ns,
        &[
            "ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1",
        ],
    )?;
    let all = || {
        ["lo", "tap0", "br0", "veth0"]
            .iter()
            .try_for_each(|device| agrees(&ns, device))
    };
    all().context("before anything")?;
    // No driver has negotiated: asked for and off.
    let tso = ethtool::features(&ns, "tap0")?["tx-tcp-segmentation"];
    assert_eq!((tso.on, tso.requested), (false, Some(true)));

    tap.set_offloads(Offloads::ALL)?;
    link::enslave(&ns, "tap0", "br0")?;
    all().context("with a driver")?;
    for (device, features) in [
        ("tap0", ["tso", "off"]),
        ("tap0", ["gro", "off"]),
        ("tap0", ["sg", "off"]),
        ("br0", ["tx", "off"]),
        ("veth0", ["tx", "off"]),
        ("veth0", ["sg", "off"]),
    ] {
        link::set_features(&ns, device, &features)?;
        all().with_context(|| format!("{device} {features:?}"))?;
    }
    // It undoes what was set, but for sg and gro.
    tap.set_offloads(Offloads::CSUM_ONLY)?;
    all().context("after the driver negotiated anew")?;
    link::set_features(&ns, "tap0", &["sg", "on", "tso", "on"])?;
    let tso = ethtool::features(&ns, "tap0")?["tx-tcp-segmentation"];
    assert_eq!((tso.on, tso.requested), (false, Some(true)), "declined");
    all().context("what the driver declines is asked for")
}

/// The names in `offloads` of `device`, as offwatch prints them.
fn listed(shown: &Value, path: &str) -> Result<Vec<String>> {
    let list = shown.pointer(&format!("/offloads/{path}"));
    let names = list
        .and_then(Value::as_array)
        .with_context(|| format!("offloads/{path} is {list:?}: {}", shown["unavailable"]))?;
    Ok(names
        .iter()
        .filter_map(Value::as_str)
        .map(Into::into)
        .collect())
}

/// Waits until what offwatch prints of `device` is what ethtool prints now.
fn wait_agreement(lab: &Lab, observer: &Observer, device: &str) -> Result<Value> {
    let expected = ethtool::features(lab.host(), device)?;
    let mut last = Value::Null;
    let mut difference = String::new();
    let agreed = wait_until("offwatch to agree with ethtool", PATIENCE, || {
        last = interface(&observer.now()?, device)?.clone();
        difference = disagreement(&last, &expected)?;
        Ok(difference.is_empty())
    });
    agreed.with_context(|| format!("{device}: {difference}"))?;
    Ok(last)
}

fn disagreement(shown: &Value, expected: &BTreeMap<String, State>) -> Result<String> {
    let mut compared = 0;
    for (list, expects) in [
        ("active/on", (|state| state.on) as fn(&State) -> bool),
        ("active/off", |state| !state.on),
        ("wanted/on", |state| {
            !state.fixed && state.requested.unwrap_or(state.on)
        }),
        ("wanted/off", |state| {
            !state.fixed && !state.requested.unwrap_or(state.on)
        }),
        ("fixed", |state| state.fixed),
    ] {
        for name in listed(shown, list)? {
            let state = expected
                .get(&name)
                .with_context(|| format!("ethtool has no {name}"))?;
            if !expects(state) {
                return Ok(format!("{name} is in {list}, ethtool says {state:?}"));
            }
            compared += 1;
        }
    }
    ensure!(compared > 50, "little was compared: {shown}");
    Ok(String::new())
}

#[test]
fn offwatch_follows_every_change() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    let tap = Tap::create(lab.host(), "tap0", 1)?;
    let observer = Observer::start(lab.host(), &[])?;
    let shown = wait_agreement(&lab, &observer, "tap0")?;
    let negotiable = listed(&shown, "accepted_by_guest/no")?;
    assert!(negotiable.len() >= 4, "no driver has negotiated: {shown}");
    assert_eq!(listed(&shown, "accepted_by_guest/yes")?, [""; 0]);
    for device in ["br0", lab.guest(0).tap()] {
        wait_agreement(&lab, &observer, device)?;
    }

    tap.set_offloads(Offloads::ALL)?;
    let shown = wait_agreement(&lab, &observer, "tap0")?;
    let accepted = listed(&shown, "accepted_by_guest/yes")?;
    assert!(
        accepted.contains(&"tx-tcp6-segmentation".into()),
        "{accepted:?}"
    );

    link::set_features(lab.host(), "tap0", &["tso", "off"])?;
    let shown = wait_agreement(&lab, &observer, "tap0")?;
    let unknown = listed(&shown, "accepted_by_guest/unknown")?;
    assert!(
        unknown.contains(&"tx-tcp-segmentation".into()),
        "{unknown:?}"
    );
    assert!(shown["offloads"]["accepted_by_guest"]["unknown_because"].is_string());

    tap.set_offloads(Offloads::CSUM_ONLY)?;
    wait_agreement(&lab, &observer, "tap0")?;
    // Asked for and declined: the kernel does not notify of that, and ethtool
    // fails as it has achieved nothing.
    assert!(link::set_features(lab.host(), "tap0", &["tso", "on"]).is_err());
    let shown = wait_agreement(&lab, &observer, "tap0")?;
    let declined = listed(&shown, "accepted_by_guest/no")?;
    assert!(
        declined.contains(&"tx-tcp-segmentation".into()),
        "{declined:?}"
    );
    Ok(())
}

#[test]
fn changes_are_counted() -> Result<()> {
    skip_unless_lab!();
    const TIMES: u64 = 20;
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    let tap = Tap::create(lab.host(), "tap0", 1)?;
    let observer = Observer::start(lab.host(), &[])?;
    let changes = |device: &str| -> Result<Option<u64>> {
        Ok(interface(&observer.now()?, device)?["features_changed_total"].as_u64())
    };
    assert_eq!(changes("tap0")?, Some(0));
    for _ in 0..TIMES {
        tap.set_offloads(Offloads::ALL)?;
        tap.set_offloads(Offloads::CSUM_ONLY)?;
        // Nothing changes: not a change.
        tap.set_offloads(Offloads::CSUM_ONLY)?;
    }
    link::set_features(lab.host(), "tap0", &["gro", "off"])?;
    let expected = Some(2 * TIMES + 1);
    wait_until("all changes to be counted", PATIENCE, || {
        Ok(changes("tap0")? >= expected)
    })?;
    assert_eq!(changes("tap0")?, expected);
    assert_eq!(changes(lab.guest(0).tap())?, Some(0), "another interface");
    Ok(())
}

/// While offwatch stands still, the kernel drops notifications. What is shown
/// afterwards is right again, and what is lost is not made up.
#[test]
fn lost_notifications_are_made_good() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    let tap = Tap::create(lab.host(), "tap0", 1)?;
    let observer = Observer::start(lab.host(), &[])?;
    assert_eq!(
        interface(&observer.now()?, "tap0")?["features_changed_total"],
        0
    );

    let process = Pid::from_raw(observer.pid().cast_signed());
    kill(process, Signal::SIGSTOP)?;
    for _ in 0..flood()? {
        tap.set_offloads(Offloads::ALL)?;
        tap.set_offloads(Offloads::CSUM_ONLY)?;
    }
    link::set_features(lab.host(), lab.guest(0).tap(), &["gso", "off"])?;
    kill(process, Signal::SIGCONT)?;

    for device in ["tap0", lab.guest(0).tap()] {
        let shown = wait_agreement(&lab, &observer, device)?;
        let told = &shown["unavailable"]["features_changed_total"];
        assert!(shown["features_changed_total"].is_null(), "{shown}");
        assert!(
            told.as_str().is_some_and(|told| told.contains("dropped")),
            "{shown}"
        );
    }
    let later = Tap::create(lab.host(), "tap1", 1)?;
    let changes = || -> Result<Value> {
        let model = observer.now()?;
        Ok(interface(&model, "tap1")
            .map_or(Value::Null, |tap| tap["features_changed_total"].clone()))
    };
    wait_until("the new tap to be shown", PATIENCE, || Ok(changes()? == 0))?;
    later.set_offloads(Offloads::ALL)?;
    wait_until("its change to be counted", PATIENCE, || Ok(changes()? == 1))
}

/// Pairs of changes that no receive buffer holds: the kernel accounts at least
/// 256 bytes for each notification, and twice what is asked for.
fn flood() -> Result<u64> {
    let path = "/proc/sys/net/core/rmem_max";
    let most: u64 = std::fs::read_to_string(path)
        .context(path)?
        .trim()
        .parse()?;
    Ok(most.min(8 << 20) * 2 / 256 / 2 + 100)
}
