//! Limits, taps, the kernel's own counters and TCP counters, against what
//! `ip` and the kernel say.

use std::{fs::File, io::Read as _, time::Duration};

use anyhow::{Context, Result, ensure};
use offwatch_tests::{
    GuestConfig, Lab,
    command::run,
    frames::FrameSpec,
    guest::Family,
    link,
    observer::{Observer, interface, number, offwatch},
    packet::Bypass,
    quiet::wait_until,
    skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
    udp::{UdpOptions, udp_stream},
};
use serde_json::Value;

/// Passing this, offwatch has not seen a change.
const PATIENCE: Duration = Duration::from_secs(30);

/// offwatch's name of a limit, and that of `ip`.
const LIMITS: [(&str, &str); 10] = [
    ("gso_max_size_bytes", "gso_max_size"),
    ("gso_max_segs", "gso_max_segs"),
    ("gso_ipv4_max_size_bytes", "gso_ipv4_max_size"),
    ("gro_max_size_bytes", "gro_max_size"),
    ("gro_ipv4_max_size_bytes", "gro_ipv4_max_size"),
    ("tso_max_size_bytes", "tso_max_size"),
    ("tso_max_segs", "tso_max_segs"),
    ("tx_queue_frames", "txqlen"),
    ("tx_queues", "num_tx_queues"),
    ("qdisc", "qdisc"),
];

fn ip_shows(lab: &Lab, device: &str) -> Result<Value> {
    let json = run(
        lab.host(),
        &["ip", "-d", "-j", "link", "show", "dev", device],
    )?;
    let shown: Value = serde_json::from_str(&json)?;
    Ok(shown[0].clone())
}

/// Waits until offwatch shows of `device` the limits that `ip` shows now.
fn wait_limits(lab: &Lab, observer: &Observer, device: &str) -> Result<()> {
    let expected = ip_shows(lab, device)?;
    let mut difference = String::new();
    let agreed = wait_until("offwatch to agree with ip", PATIENCE, || {
        let model = observer.now()?;
        let shown = interface(&model, device)?;
        ensure!(shown["mtu_bytes"] == expected["mtu"], "MTU: {shown}");
        difference.clear();
        for (name, of_ip) in LIMITS {
            let limit = &shown["limits"][name];
            let reason = &shown["unavailable"][format!("limits.{name}")];
            ensure!(
                limit.is_null() == reason.is_string(),
                "{name}: {limit}, {reason}"
            );
            // An older ip prints less than the kernel tells, and 0 frames not at all.
            let printed = !expected[of_ip].is_null();
            if printed && *limit != expected[of_ip] {
                difference = format!("{name} is {limit}, ip says {}", expected[of_ip]);
            }
        }
        Ok(difference.is_empty())
    });
    agreed.with_context(|| format!("{device}: {difference}"))
}

#[test]
fn limits_are_what_ip_prints() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    let tap = lab.guest(0).tap().to_owned();
    let observer = Observer::start(lab.host(), &[])?;
    let set = |arguments: &[&str]| run(lab.host(), arguments).map(drop);
    wait_limits(&lab, &observer, "br0")?;
    wait_limits(&lab, &observer, &tap)?;
    set(&[
        "ip",
        "link",
        "set",
        &tap,
        "gso_max_size",
        "16000",
        "gso_max_segs",
        "20",
    ])?;
    wait_limits(&lab, &observer, &tap)?;
    link::set_ring(lab.host(), &tap, 300)?;
    wait_limits(&lab, &observer, &tap)?;
    for qdisc in ["pfifo", "bfifo", "noqueue"] {
        set(&["tc", "qdisc", "replace", "dev", &tap, "root", qdisc])?;
        wait_limits(&lab, &observer, &tap)?;
    }
    let shown = observer.now()?;
    assert_eq!(interface(&shown, &tap)?["limits"]["qdisc"], "noqueue");
    assert_eq!(
        interface(&shown, &tap)?["limits"]["gso_max_size_bytes"],
        16_000
    );
    Ok(())
}

/// Only some are read in each sample, of what the kernel does not notify.
#[test]
fn of_many_interfaces_each_has_its_turn() -> Result<()> {
    skip_unless_lab!();
    const TAPS: usize = 500;
    let mut lab = Lab::new()?;
    (0..TAPS).try_for_each(|tap| lab.add_idle_tap(&format!("tap{tap}")))?;
    let observer = Observer::start(lab.host(), &[])?;
    let ip = |args: &[&str]| run(lab.host(), &[&["ip", "link", "set"], args].concat());
    // All of them but one.
    ip(&["tap1", "group", "1"])?;
    ip(&["group", "0", "gso_max_size", "16000"])?;
    let devices = [0, TAPS / 2, TAPS - 1].map(|tap| format!("tap{tap}"));
    for device in &devices {
        // Off already, as no driver has negotiated: now nobody asks for it.
        link::set_features(lab.host(), device, &["tx", "off"])?;
    }
    let is_unwanted = |shown: &Value| {
        let unwanted = &shown["offloads"]["wanted"]["off"];
        let mut unwanted = unwanted.as_array().into_iter().flatten();
        unwanted.any(|name| *name == "tx-checksum-ip-generic")
    };
    wait_until("all changes to be shown", PATIENCE, || {
        let model = observer.now()?;
        for tap in (0..TAPS).filter(|tap| *tap != 1) {
            let shown = interface(&model, &format!("tap{tap}"))?;
            if shown["limits"]["gso_max_size_bytes"] != 16_000 {
                return Ok(false);
            }
        }
        let shown = devices.iter().map(|device| interface(&model, device));
        let shown = shown.collect::<Result<Vec<_>>>()?;
        Ok(shown.into_iter().all(is_unwanted))
    })?;
    let model = observer.now()?;
    let untouched = interface(&model, "tap1")?;
    assert_eq!(untouched["limits"]["gso_max_size_bytes"], 65_536);
    assert_eq!(untouched["features_changed_total"], 0);
    assert_eq!(number(&untouched["kernel"], "rx_packets_total")?, 0);
    Ok(())
}

#[test]
fn taps_are_shown_as_they_were_made() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["one"])?;
    lab.add_guest(GuestConfig {
        queues: 3,
        ..GuestConfig::new("three", 2)
    })?;
    let observer = Observer::start(lab.host(), &[])?;
    let shown = observer.now()?;
    for (position, multi_queue, queues) in [(0, false, 1), (1, true, 3)] {
        let tap = lab.guest(position).tap();
        let expected = serde_json::json!({
            "vnet_hdr": true,
            "multi_queue": multi_queue,
            "queues": queues,
            "napi": false,
        });
        assert_eq!(interface(&shown, tap)?["tap"], expected, "{tap}");
    }
    let bridge = interface(&shown, "br0")?;
    assert_eq!(
        (bridge.get("tap"), bridge.get("tx_timeouts_total")),
        (None, None)
    );
    Ok(())
}

#[test]
fn kernel_counters_are_those_of_ip() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    let observer = Observer::start(lab.host(), &[])?;
    let (from, to) = (lab.guest(0).endpoint(), lab.guest(1).endpoint());
    udp_stream(&from, &to, &UdpOptions::new(Family::V4, 2_000, 100))?;
    lab.wait_quiet()?;
    let model = observer.now()?;
    for guest in lab.guests() {
        let expected = guest.kernel_stats()?;
        let kernel = &interface(&model, guest.tap())?["kernel"];
        let counters = [
            ("rx_packets_total", expected.rx_packets),
            ("rx_bytes_total", expected.rx_bytes),
            ("rx_dropped_total", expected.rx_dropped),
            ("tx_packets_total", expected.tx_packets),
            ("tx_bytes_total", expected.tx_bytes),
            ("tx_dropped_total", expected.tx_dropped),
        ];
        for (name, value) in counters {
            assert_eq!(number(kernel, name)?, value, "{name} of {}", guest.tap());
        }
    }
    assert!(lab.guest(1).kernel_stats()?.tx_packets >= 2_000);
    assert_eq!(unseen(&model)?, None, "every frame was seen");
    Ok(())
}

/// How many frames passed unseen, and where, as the note says.
fn unseen(model: &Value) -> Result<Option<(u64, String)>> {
    let notes = model["host"]["notes"].as_array().context("notes")?;
    let mut notes = notes.iter().filter_map(Value::as_str);
    let Some(note) = notes.find(|note| note.contains("passed unseen")) else {
        return Ok(None);
    };
    let frames = note
        .split_whitespace()
        .nth(2)
        .context("a number of frames")?;
    Ok(Some((frames.parse()?, note.to_owned())))
}

#[test]
fn frames_that_no_hook_sees_are_told() -> Result<()> {
    skip_unless_lab!();
    const RING: u32 = 500;
    const FRAMES: u64 = 5_000;
    let mut lab = Lab::new()?;
    lab.add_guest(GuestConfig {
        ring_frames: RING,
        ..GuestConfig::new("web", 1)
    })?;
    let guest = lab.guest(0);
    let observer = Observer::start(lab.host(), &[])?;
    assert_eq!(unseen(&observer.now()?)?, None);
    let before = guest.counts()?;

    let (mac, ip) = (guest.config().mac, guest.config().ip4);
    let nobody = ([0x52, 0x54, 0, 0, 0, 1], [198, 18, 9, 9].into());
    let (frame, _) = FrameSpec::udp4(nobody, (mac, ip), 100).build()?;
    let bypass = Bypass::open(lab.host(), guest.tap())?;
    let received = || guest.truth_to_vm().packets - before.to_vm.packets;
    wait_until("the guest to read the frames", PATIENCE, || {
        while received() < FRAMES && bypass.send(&frame)? {}
        Ok(received() >= FRAMES)
    })?;
    lab.wait_quiet()?;

    let sent = guest.counts()?.since(&before).kernel.tx_packets;
    let (frames, note) = unseen(&observer.now()?)?.context("a note")?;
    assert!(note.contains(guest.tap()), "{note}");
    // All but those that might have been on their way.
    assert!(frames <= sent, "{frames} of {sent}: {note}");
    assert!(
        frames >= sent - 2 * u64::from(RING),
        "{frames} of {sent}: {note}"
    );
    Ok(())
}

#[test]
fn tcp_counters_are_those_of_the_observed_namespace() -> Result<()> {
    skip_unless_lab!();
    let (mut busy, idle) = (Lab::new()?, Lab::new()?);
    busy.add_guests(&["web"])?;
    let host = busy.host_endpoint()?;
    let observers = [
        Observer::start(busy.host(), &[])?,
        Observer::start(idle.host(), &[])?,
    ];
    let options = TcpOptions::new(Family::V4, 1_000_000);
    tcp_stream(&busy.guest(0).endpoint(), &host, &options)?;
    busy.wait_quiet()?;
    let protocols = observers[0].now()?["host"]["evidence"]["protocols"].clone();
    let snmp = busy.host().try_run(|| {
        std::fs::read_to_string("/proc/thread-self/net/snmp").context("/proc/net/snmp")
    })?;
    for (name, field) in [
        ("InSegs", "tcp_in_segs_total"),
        ("OutSegs", "tcp_out_segs_total"),
        ("RetransSegs", "tcp_retrans_segs_total"),
    ] {
        let mut lines = snmp.lines().filter(|line| line.starts_with("Tcp:"));
        let (names, values) = (
            lines.next().context("names")?,
            lines.next().context("values")?,
        );
        let place = names
            .split(' ')
            .position(|known| known == name)
            .context(name)?;
        let value = values.split(' ').nth(place).context("a value")?;
        assert_eq!(protocols[field].to_string(), value, "{field}");
    }
    assert!(number(&protocols, "tcp_in_segs_total")? > 10);
    let other = observers[1].now()?["host"]["evidence"]["protocols"].clone();
    assert_eq!(number(&other, "tcp_in_segs_total")?, 0);
    Ok(())
}

/// Number of the oldest record that the kernel's log still holds.
fn oldest_record() -> Result<u64> {
    let mut log = File::open("/dev/kmsg").context("/dev/kmsg")?;
    let mut record = vec![0; 16 << 10];
    let length = log.read(&mut record).context("the kernel's log")?;
    let record = String::from_utf8_lossy(&record[..length]).into_owned();
    let number = record.split(',').nth(1).context("a record's number")?;
    Ok(number.parse()?)
}

#[test]
fn the_kernels_log_is_read_from_its_beginning() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let before = oldest_record()?;
    let observer = Observer::start(lab.host(), &[])?;
    let log = observer.now()?["host"]["evidence"]["kernel_log"].clone();
    let after = oldest_record()?;
    ensure!(log["signs"].is_array(), "{log}");
    if before > 0 || after == 0 {
        assert_eq!(log["complete"], after == 0, "the oldest record is {after}");
    }
    Ok(())
}

#[test]
fn doctor_tells_whether_facts_can_be_read() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let output = offwatch(lab.host(), &["doctor", "--json"])?.output()?;
    let report: Value = serde_json::from_slice(&output.stdout).context("a report")?;
    let checks = report["checks"].as_array().context("checks")?;
    for name in ["ethtool netlink", "sysfs", "kernel log"] {
        let check = checks.iter().find(|check| check["name"] == name);
        assert_eq!(check.context(name)?["status"], "ok", "{check:?}");
    }
    Ok(())
}
