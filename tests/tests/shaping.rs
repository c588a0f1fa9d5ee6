//! Shapers and policers are what `tc` prints.

use anyhow::{Context, Result, ensure};
use offwatch::{
    facts::{
        device::Device,
        policer::{Place, Policer, Verdict},
        qdisc::{HtbClass, Shaper},
    },
    sample::offloads::Fact,
};
use offwatch_tests::{
    Lab,
    frames::FrameSpec,
    setup::{can, device, printed, set},
    skip::skipped,
    skip_unless_lab,
};
use serde_json::Value;

/// A burst is kept by the kernel as a time, and rounded down once more by tc.
fn assert_burst(printed: &Value, bytes: u64, rate_bytes_per_s: u64) {
    let printed = printed.as_u64().expect("a number of bytes");
    let rounding = rate_bytes_per_s / 1_000_000 + 1;
    assert!(
        bytes.abs_diff(printed) <= rounding,
        "{bytes}, tc prints {printed}"
    );
}

#[test]
fn shapers_are_what_tc_prints() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    ["tbf0", "htb0"]
        .iter()
        .try_for_each(|tap| lab.add_idle_tap(tap))?;
    let host = lab.host();
    let tbf = "tc qdisc add dev tbf0 root handle 10: tbf rate 80mbit burst 10kb limit 20kb";
    if !can(host, &format!("{tbf} peakrate 100mbit mtu 2000")) {
        skipped("this kernel has no tbf");
        return Ok(());
    }
    for command in [
        "tc qdisc add dev htb0 root handle 1: htb default 1",
        "tc class add dev htb0 parent 1: classid 1:1 htb rate 8mbit ceil 16mbit burst 20k",
        "tc class add dev htb0 parent 1:1 classid 1:a htb rate 40gbit burst 200k",
    ] {
        set(host, command)?;
    }
    let shaped = device(host, "tbf0")?;
    let root = shaped.root_qdisc().context("tbf0 has a root")?;
    let Shaper::Tbf(bucket) = root.shaper else {
        anyhow::bail!("tbf0: {root:?}");
    };
    let shown = printed(host, "tc -j qdisc show dev tbf0")?;
    assert_eq!(shown[0]["kind"], root.kind);
    assert_eq!(shown[0]["handle"], root.handle.to_string());
    let options = &shown[0]["options"];
    assert_eq!(options["rate"], bucket.rate_bytes_per_s);
    assert_burst(
        &options["burst"],
        bucket.burst_bytes,
        bucket.rate_bytes_per_s,
    );
    assert_eq!(bucket.limit_bytes, 20 << 10);
    assert_eq!(bucket.peak_bytes_per_s, Some(12_500_000));
    let peak_burst = bucket
        .peak_burst_bytes
        .context("a burst at the peak rate")?;
    assert!(peak_burst.abs_diff(2000) <= 13, "{peak_burst}");

    let shaped = device(host, "htb0")?;
    let root = shaped.root_qdisc().context("htb0 has a root")?;
    let Shaper::Htb(Fact::Known(classes)) = &root.shaper else {
        anyhow::bail!("htb0: {root:?}");
    };
    let [inner, leaf] = ["1:1", "1:a"].map(|handle| {
        let mut classes = classes.iter();
        classes.find(|class| class.handle.to_string() == handle)
    });
    let (inner, leaf) = (inner.context("1:1")?, leaf.context("1:a")?);
    assert_eq!(leaf.parent, inner.handle);
    assert_eq!(classes.len(), 2);
    assert_rates(inner, 1_000_000, 2_000_000, 20 << 10);
    // More than 32 bits hold.
    assert_rates(leaf, 5_000_000_000, 5_000_000_000, 200 << 10);
    Ok(())
}

fn assert_rates(class: &HtbClass, rate: u64, ceil: u64, burst: u64) {
    assert_eq!(class.rate_bytes_per_s, rate);
    assert_eq!(class.ceil_bytes_per_s, ceil);
    let burst = Value::from(burst);
    assert_burst(&burst, class.burst_bytes, rate);
}

/// Sends so many frames of so many bytes, headers included, from the first
/// guest to the second.
fn send(lab: &Lab, frames: usize, bytes: usize) -> Result<()> {
    const HEADERS: usize = 14 + 20 + 8;
    let (from, to) = (lab.guest(0).config(), lab.guest(1).config());
    let (from, to) = ((from.mac, from.ip4), (to.mac, to.ip4));
    let (frame, header) = FrameSpec::udp4(from, to, bytes - HEADERS).build()?;
    (0..frames).try_for_each(|_| lab.guest(0).inject(&frame, header))
}

#[test]
fn what_a_shaper_has_counted_is_what_tc_prints() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    let tap = lab.guest(1).tap().to_owned();
    let host = lab.host();
    let tbf = format!("tc qdisc add dev {tap} root tbf rate 1gbit burst 1000 limit 1mb");
    if !can(host, &tbf) {
        return Ok(());
    }
    lab.wait_quiet()?;
    let before = device(host, &tap)?;
    let before = before.root_qdisc().context("a root")?.counters;
    send(&lab, 10, 700)?;
    // Longer than the burst.
    send(&lab, 20, 1200)?;
    lab.wait_quiet()?;
    let after = device(host, &tap)?;
    let after = after.root_qdisc().context("a root")?.counters;
    assert_eq!(after.packets - before.packets, 10);
    assert_eq!(after.bytes - before.bytes, 10 * 700);
    assert_eq!(after.drops - before.drops, 20);
    let shown = printed(host, &format!("tc -s -j qdisc show dev {tap}"))?;
    for (name, count) in [
        ("bytes", after.bytes),
        ("packets", after.packets),
        ("drops", after.drops),
        ("overlimits", after.overlimits),
        ("requeues", after.requeues),
        ("backlog", after.backlog_bytes),
        ("qlen", after.backlog_packets),
    ] {
        assert_eq!(shown[0][name], count, "{name}");
    }
    Ok(())
}

/// A filter of every frame, by the parent of filters on received frames.
fn filter(kind: &str, parent: &str, tap: &str) -> String {
    let everything = match kind {
        "u32" => "u32 match u32 0 0",
        kind => kind,
    };
    format!("tc filter add dev {tap} {parent} protocol all pref 7 {everything}")
}

#[test]
fn policers_are_found_with_what_they_dropped() -> Result<()> {
    skip_unless_lab!();
    // As libvirt does, as people do, and on sent frames.
    for (qdisc, parent, kind, action, place) in [
        ("ingress", "parent ffff:", "u32", "police", Place::Ingress),
        (
            "clsact",
            "ingress",
            "matchall",
            "action police",
            Place::Ingress,
        ),
        ("clsact", "egress", "u32", "action police", Place::Egress),
    ] {
        let mut lab = Lab::new()?;
        lab.add_guests(&["web", "db"])?;
        let guest = usize::from(place == Place::Egress);
        let tap = lab.guest(guest).tap().to_owned();
        let host = lab.host();
        let filter = filter(kind, parent, &tap);
        let limits = "rate 10kbps burst 5kb mtu 64kb drop";
        let flow = if kind == "u32" { "flowid :1" } else { "" };
        set(host, &format!("tc qdisc add dev {tap} {qdisc}"))?;
        assert_eq!(device(host, &tap)?.policers, Fact::Known(vec![]));
        if !can(host, &format!("{filter} {action} {limits} {flow}")) {
            continue;
        }
        lab.wait_quiet()?;
        let dropped_before = one_policer(&device(host, &tap)?)?.counters;
        send(&lab, 40, 1000)?;
        lab.wait_quiet()?;
        let policer = one_policer(&device(host, &tap)?)?;
        let counters = policer.counters.context("counters")?;
        let before = dropped_before.context("counters")?;
        let expected = Policer {
            place,
            filter: kind.to_owned(),
            preference: 7,
            protocol: 3,
            rate_bytes_per_s: Some(10_000),
            burst_bytes: policer.burst_bytes,
            mtu_bytes: Some(64 << 10),
            exceed: Verdict::Drop,
            counters: Some(counters),
            ..Policer::default()
        };
        assert_eq!(policer, expected, "{kind}");
        assert_burst(
            &Value::from(5 << 10),
            policer.burst_bytes.unwrap_or(0),
            10_000,
        );
        assert_eq!(counters.packets - before.packets, 40, "{kind}");
        let drops = counters.drops - before.drops;
        assert!((20..40).contains(&drops), "{kind}: {drops}");
        let shown = set(host, &format!("tc -s filter show dev {tap} {parent}"))?;
        let expected = format!(
            "dropped {}, overlimits {}",
            counters.drops, counters.overlimits
        );
        ensure!(shown.contains(&expected), "{kind}: {expected}: {shown}");
    }
    Ok(())
}

fn one_policer(device: &Device) -> Result<Policer> {
    match device.policers.known().map(Vec::as_slice) {
        Some([policer]) => Ok(policer.clone()),
        _ => anyhow::bail!("{:?}", device.policers),
    }
}
