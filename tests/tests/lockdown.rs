//! Under `lockdown=confidentiality` programs must not probe the kernel's memory.
//! What can be read without is counted to the byte, what is lost is said, and
//! why. Where addresses can be cast to a type, nothing is lost.

use anyhow::{Context as _, Result};
use offwatch_tests::{
    Guest, Lab, Truth,
    guest::{Counts, Family},
    kernel::{RDONLY_CAST, is_confidential},
    link,
    observer::{Observer, Seen, doctor, grown, interface},
    scaled,
    skip::skipped,
    skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
};
use serde_json::Value;

macro_rules! skip_unless_confidential {
    () => {
        skip_unless_lab!();
        if !is_confidential() {
            skipped("this boot is without lockdown=confidentiality");
            return Ok(());
        }
    };
}

const SENDER: usize = 0;
const RECEIVER: usize = 1;

/// Those that follow from whether a frame is GSO.
const GSO_FIELDS: [&str; 4] = [
    "gso_packets_total",
    "gso_bytes_total",
    "gso_segments_total",
    "gso_size_histogram",
];
const WORK_FIELDS: [&str; 2] = ["software_segments_total", "software_checksum_bytes_total"];

#[test]
fn doctor_says_what_is_lost_and_why() -> Result<()> {
    skip_unless_confidential!();
    let report = doctor(Lab::new()?.host())?;
    assert_eq!(report["usable"], true, "{report}");
    let checks = report["checks"].as_array().context("checks")?;
    let check = |name: &str| {
        let found = checks.iter().find(|check| check["name"] == name);
        found.with_context(|| format!("no check of {name}: {report}"))
    };
    assert_eq!(check("hook tp")?["status"], "ok");
    let lockdown = check("lockdown")?;
    let found = lockdown["found"].as_str().unwrap_or_default();
    assert!(found.contains("confidentiality"), "{lockdown}");
    let loses = RDONLY_CAST.lacking().is_some();
    assert_eq!(lockdown["status"] == "missing", loses, "{lockdown}");
    if loses {
        let costs = lockdown["costs"].as_str().unwrap_or_default();
        assert!(costs.contains("GSO"), "{lockdown}");
    }
    Ok(())
}

/// The receiver's tap refuses TSO, so that there is work to be seen.
#[test]
fn what_can_be_read_is_counted_and_the_rest_is_null() -> Result<()> {
    skip_unless_confidential!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    link::set_features(lab.host(), lab.guest(RECEIVER).tap(), &["tso", "off"])?;
    let observer = Observer::start(lab.host(), &[])?;
    lab.wait_quiet()?;
    let before = snapshot(&lab, &observer.now()?)?;

    let (from, to) = (lab.guest(SENDER).endpoint(), lab.guest(RECEIVER).endpoint());
    for family in [Family::V4, Family::V6] {
        tcp_stream(&from, &to, &TcpOptions::new(family, scaled(50_000_000)))?;
    }

    lab.wait_quiet()?;
    let model = observer.now()?;
    let after = snapshot(&lab, &model)?;
    let sent = after[SENDER].0.since(&before[SENDER].0).from_vm;
    assert!(
        sent.gso_frames > 0 && sent.needs_csum_frames > 0,
        "{sent:?}"
    );
    for (guest, (before, after)) in lab.guests().iter().zip(before.iter().zip(&after)) {
        let counts = after.0.since(&before.0);
        let kernel = counts.kernel;
        let frames = (kernel.rx_packets, kernel.rx_bytes);
        check(&counts.from_vm, frames, &before.1.from_vm, &after.1.from_vm)?;
        let frames = (kernel.tx_packets, kernel.tx_bytes);
        check(&counts.to_vm, frames, &before.1.to_vm, &after.1.to_vm)?;
        if RDONLY_CAST.lacking().is_some() {
            assert_lost(&model, guest)?;
        }
    }
    if RDONLY_CAST.lacking().is_none() {
        let done = |guest: usize, side: fn(&Seen) -> &Value| {
            let (after, before) = (side(&after[guest].1), side(&before[guest].1));
            grown(after, before, "software_segments_total")
        };
        assert_eq!(done(RECEIVER, |seen| &seen.to_vm)?, sent.gso_segments);
        assert_eq!(done(SENDER, |seen| &seen.caused)?, sent.gso_segments);
    }
    Ok(())
}

fn snapshot(lab: &Lab, model: &Value) -> Result<Vec<(Counts, Seen)>> {
    let guests = lab.guests().iter();
    guests
        .map(|guest| Ok((guest.counts()?, Seen::of(model, guest)?)))
        .collect()
}

/// One direction of a tap: `kernel` has the frames and bytes that the kernel
/// itself counted.
fn check(truth: &Truth, kernel: (u64, u64), before: &Value, after: &Value) -> Result<()> {
    let grown = |field| grown(after, before, field);
    assert_eq!((grown("packets_total")?, grown("bytes_total")?), kernel);
    assert_eq!(kernel, (truth.packets, truth.bytes));
    let partial = (
        grown("partial_packets_total")?,
        grown("partial_bytes_total")?,
    );
    assert_eq!(partial, (truth.needs_csum_frames, truth.needs_csum_bytes));
    if RDONLY_CAST.lacking().is_none() {
        assert_eq!(grown("gso_packets_total")?, truth.gso_frames);
        assert_eq!(grown("gso_bytes_total")?, truth.gso_bytes);
        assert_eq!(grown("gso_segments_total")?, truth.gso_segments);
    }
    Ok(())
}

/// Never 0 for what cannot be seen.
fn assert_lost(model: &Value, guest: &Guest) -> Result<()> {
    let shown = interface(model, guest.tap())?;
    let seen = Seen::of(model, guest)?;
    for side in [&seen.from_vm, &seen.to_vm] {
        for field in GSO_FIELDS.iter().chain(&WORK_FIELDS) {
            assert!(side[*field].is_null(), "{field} is {}", side[*field]);
        }
    }
    assert!(seen.caused.is_null(), "{}", seen.caused);
    let reasons = shown["unavailable"].as_object().context("reasons")?;
    for field in GSO_FIELDS.iter().chain(&["caused"]) {
        let mut told = reasons.iter().filter(|(path, _)| path.ends_with(*field));
        let reason = told
            .next()
            .with_context(|| format!("no reason for {field}"))?;
        let says = reason.1.as_str().unwrap_or_default();
        assert!(says.contains("lockdown"), "{field}: {says}");
    }
    Ok(())
}
