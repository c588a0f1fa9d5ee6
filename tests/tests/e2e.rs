//! Real QEMU guests under a real libvirtd.

use std::{collections::HashMap, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use offwatch_e2e::{Endpoint, GuestSpec, Host, Options, skip_unless_vms, unless_stuck};
use offwatch_tests::{
    observer::{self, Observer, number},
    quiet::wait_until,
};
use serde_json::Value;

const BOOT: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "real VMs: run by cargo xtask e2e"]
fn real_guests_are_named_and_counted() -> Result<()> {
    skip_unless_vms!();
    unless_stuck(|| {
        let host = Host::start(Options::default())?;
        let names = ["alpha", "beta"];
        for (number, name) in (11..).zip(names) {
            // beta has a multi-queue card, which is still one interface.
            let queues = if name == "beta" { 2 } else { 1 };
            host.define_and_start(&GuestSpec {
                queues,
                ..GuestSpec::new(name, number)
            })?;
        }
        for name in names {
            host.wait_ready(name, BOOT)?;
        }
        let offwatch = watch(&host)?;

        guests_are_named(&host, &offwatch, &names)?;
        bytes_agree_with_libvirt(&host, &offwatch)?;
        a_restarted_guest_is_the_same_vm(&host, &offwatch)?;
        names_stay_without_libvirtd(&host, &offwatch, &names)
    })
}

fn watch(host: &Host) -> Result<Observer> {
    let program = observer::binary()?;
    let mut command = host.command(program.to_str().context("a path of plain text")?);
    command
        .args(["top", "--stream", "--json", "-d", "0.2"])
        .stdin(Stdio::null());
    Observer::spawn(command)
}

fn vm<'model>(model: &'model Value, name: &str) -> Result<&'model Value> {
    let vms = model["vms"].as_array().into_iter().flatten();
    let mut named = vms.filter(|vm| vm["name"] == name);
    let found = named
        .next()
        .with_context(|| format!("{name} is not shown: {}", model["vms"]))?;
    ensure!(
        named.next().is_none(),
        "{name} is shown twice: {}",
        model["vms"]
    );
    Ok(found)
}

fn card<'model>(model: &'model Value, name: &str) -> Result<&'model Value> {
    let card = &vm(model, name)?["interfaces"][0];
    ensure!(
        card["from_vm"].is_object(),
        "{name} is not counted: {}",
        card["unavailable"]
    );
    Ok(card)
}

fn guests_are_named(host: &Host, offwatch: &Observer, names: &[&str]) -> Result<()> {
    let model = offwatch.now()?;
    for name in names {
        let (vm, card) = (vm(&model, name)?, card(&model, name)?);
        assert_eq!(
            (&vm["state"], &vm["source"]),
            (&"running".into(), &"libvirt".into()),
            "{name}"
        );
        let uuid = host.virsh(&["domuuid", name])?;
        assert_eq!(vm["uuid"], uuid.trim());
        assert_eq!(vm["interfaces"].as_array().map(Vec::len), Some(1), "{name}");
        let listed = host.virsh(&["domiflist", name])?;
        for value in [&card["dev"], &card["mac"]] {
            let value = value
                .as_str()
                .context("a card has a tap and a MAC address")?;
            ensure!(
                listed.contains(value),
                "{value} of {name} is not in\n{listed}"
            );
        }
        assert_eq!(
            (&card["kind"], &card["master"]),
            (&"tap".into(), &offwatch_e2e::BRIDGE.into())
        );
    }
    Ok(())
}

/// While traffic flows, libvirt's byte counters lie between those that
/// offwatch shows just before and just after, give or take one interval's
/// traffic: where the host itself sends, another BPF program that a softirq
/// interrupts can keep the tracepoints' programs from running.
fn bytes_agree_with_libvirt(host: &Host, offwatch: &Observer) -> Result<()> {
    let names = ["alpha", "beta"];
    let mut peaks = names.map(|_| HashMap::from([("received", 0), ("sent", 0)]));
    let baseline: Vec<(u64, u64)> = names
        .iter()
        .map(|name| difference(host, offwatch, name))
        .collect::<Result<_>>()?;
    std::thread::scope(|scope| -> Result<()> {
        let traffic = scope.spawn(|| -> Result<()> {
            for (from, to) in [
                (Endpoint::Host, Endpoint::Guest("alpha")),
                (Endpoint::Guest("alpha"), Endpoint::Guest("beta")),
            ] {
                let result = host.iperf(from, to, 4)?;
                ensure!(result.bytes > 1_000_000, "hardly any traffic: {result:?}");
            }
            Ok(())
        });
        while !traffic.is_finished() {
            for ((name, baseline), peak) in names.iter().zip(&baseline).zip(&mut peaks) {
                agrees(host, offwatch, name, *baseline, peak)?;
            }
        }
        traffic.join().expect("the thread that makes traffic")
    })?;
    let model = offwatch.now()?;
    let received = number(&card(&model, "beta")?["to_vm"], "gso_packets_total")?;
    let sent = number(&card(&model, "alpha")?["from_vm"], "gso_packets_total")?;
    assert!(
        received > 100 && sent > 100,
        "Linux guests use TSO: {received} and {sent} frames"
    );
    let software = number(&card(&model, "beta")?["to_vm"], "software_segments_total")?;
    assert_eq!(software, 0, "the guest accepts TSO");
    Ok(())
}

/// Bytes that libvirt counted before offwatch looked, of each direction.
fn difference(host: &Host, offwatch: &Observer, name: &str) -> Result<(u64, u64)> {
    let mut found = None;
    wait_until("a moment without traffic", PATIENCE, || {
        let before = bytes(&offwatch.now()?, name)?;
        let libvirt = libvirt_bytes(host, name)?;
        if before == bytes(&offwatch.now()?, name)? {
            found = Some((libvirt.0 - before.0, libvirt.1 - before.1));
        }
        Ok(found.is_some())
    })?;
    found.context("wait_until returns only then")
}

fn agrees(
    host: &Host,
    offwatch: &Observer,
    name: &str,
    baseline: (u64, u64),
    peak: &mut HashMap<&str, u64>,
) -> Result<()> {
    let before = bytes(&offwatch.now()?, name)?;
    let libvirt = libvirt_bytes(host, name)?;
    let after = bytes(&offwatch.now()?, name)?;
    for (direction, before, libvirt, after) in [
        ("received", before.0, libvirt.0 - baseline.0, after.0),
        ("sent", before.1, libvirt.1 - baseline.1, after.1),
    ] {
        let most = peak.get_mut(direction).context("a direction")?;
        // Between the two models lie at least two intervals.
        *most = (*most).max((after - before) / 2);
        ensure!(
            (before.saturating_sub(*most)..=after + *most).contains(&libvirt),
            "{name} {direction}: libvirt says {libvirt}, offwatch {before} before and {after} after"
        );
    }
    Ok(())
}

/// What the guest received and sent.
fn bytes(model: &Value, name: &str) -> Result<(u64, u64)> {
    let card = card(model, name)?;
    Ok((
        number(&card["to_vm"], "bytes_total")?,
        number(&card["from_vm"], "bytes_total")?,
    ))
}

fn libvirt_bytes(host: &Host, name: &str) -> Result<(u64, u64)> {
    let taps = host.taps(name)?;
    let tap = taps.first().with_context(|| format!("{name} has no tap"))?;
    let stats = host.virsh(&["domifstat", name, tap])?;
    let value = |field: &str| {
        let mut lines = stats.lines().map(str::split_whitespace);
        let value = lines.find_map(|mut words| (words.nth(1)? == field).then(|| words.next())?);
        value
            .and_then(|value| value.parse().ok())
            .with_context(|| format!("{field} in {stats}"))
    };
    Ok((value("rx_bytes")?, value("tx_bytes")?))
}

fn a_restarted_guest_is_the_same_vm(host: &Host, offwatch: &Observer) -> Result<()> {
    let model = offwatch.now()?;
    let before = (
        vm(&model, "alpha")?["uuid"].clone(),
        card(&model, "alpha")?["ifindex"].clone(),
    );
    let others = number(&card(&model, "beta")?["to_vm"], "packets_total")?;
    host.shutdown("alpha", PATIENCE)?;
    wait_until("alpha to be shown as shut off", PATIENCE, || {
        let model = offwatch.now()?;
        Ok(vm(&model, "alpha")?["state"] == "shutoff" && card(&model, "alpha").is_err())
    })?;
    host.start_domain("alpha")?;
    wait_until("alpha to be counted again", PATIENCE, || {
        Ok(card(&offwatch.now()?, "alpha").is_ok())
    })?;
    host.wait_ready("alpha", BOOT)?;

    let model = offwatch.now()?;
    assert_eq!(vm(&model, "alpha")?["uuid"], before.0, "the same VM");
    assert_ne!(
        card(&model, "alpha")?["ifindex"],
        before.1,
        "with another tap"
    );
    let still = number(&card(&model, "beta")?["to_vm"], "packets_total")?;
    assert!(
        still >= others,
        "beta's counters went on: {others} and then {still}"
    );
    Ok(())
}

fn names_stay_without_libvirtd(host: &Host, offwatch: &Observer, names: &[&str]) -> Result<()> {
    host.stop_libvirtd()?;
    wait_until("names from elsewhere", PATIENCE, || {
        let model = offwatch.now()?;
        Ok(names.iter().all(|name| {
            vm(&model, name).is_ok_and(|vm| vm["source"] != "libvirt") && card(&model, name).is_ok()
        }))
    })?;
    let notes = offwatch.now()?["host"]["notes"].to_string();
    ensure!(
        notes.contains("libvirt"),
        "nothing tells that libvirt is gone: {notes}"
    );
    // One that starts now has never seen libvirt answer.
    let fresh = watch(host)?;
    let model = fresh.now()?;
    names
        .iter()
        .try_for_each(|name| card(&model, name).map(drop))?;

    host.start_libvirtd()?;
    wait_until("libvirt to be heard again", PATIENCE, || {
        let model = offwatch.now()?;
        Ok(names
            .iter()
            .all(|name| vm(&model, name).is_ok_and(|vm| vm["source"] == "libvirt")))
    })
}
