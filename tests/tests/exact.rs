//! Software work counted at the kernel functions that do it is what the guest's
//! side of the tap shows was done, by fexit and by kprobe alike, and what is
//! derived equals it.

use anyhow::{Context as _, Result, bail};
use offwatch_tests::{
    Lab,
    frames::{FrameSpec, Segmentation},
    kernel,
    observer::{Observer, Seen, grown, interface, offwatch},
    pod::{self, Pod},
    scaled, sctp,
    skip::{left_out, skipped},
    skip_unless_lab,
    work::{Growth, RECEIVER, SENDERS, Work},
};
use serde_json::Value;

const METHODS: [&str; 2] = ["fexit", "kprobe"];

/// Why a function's calls are not counted by `method` on this kernel, if they
/// are not. In the matrix, where both methods work, that is a failure.
fn lacking(method: &str, function: &str) -> Result<Option<String>> {
    let lab = Lab::new()?;
    let output = offwatch(
        lab.host(),
        &["top", "--json", "-d", "0.1", "--exact", method],
    )?
    .output()
    .context("cannot run offwatch")?;
    let model: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let host = &model["host"];
    if host["exact_hooks"][function] == format!("exact by {method}") {
        return Ok(None);
    }
    let reason = &host["unavailable"][format!("exact_hooks.{function}")];
    let reason = reason.as_str().context("null without a reason")?.to_owned();
    Ok(Some(reason))
}

/// Those of the methods that this kernel has; says why one is left out.
fn methods() -> Result<Vec<&'static str>> {
    let (mut usable, mut refused) = (Vec::new(), Vec::new());
    for method in METHODS {
        match lacking(method, "segmentation")? {
            None => usable.push(method),
            Some(reason) if must_work() => bail!("{method} must work here: {reason}"),
            Some(reason) => refused.push(format!("{method}: {reason}")),
        }
    }
    let say = if usable.is_empty() { skipped } else { left_out };
    refused.iter().for_each(|reason| say(reason));
    Ok(usable)
}

/// The kernels of the matrix have both methods, unless they are locked down.
fn must_work() -> bool {
    std::env::var_os("OFFWATCH_VM").is_some() && !kernel::is_confidential()
}

/// The scene with one observer for each method; `None` if there is no method.
fn scene(features: &[&str]) -> Result<Option<(Work, Vec<&'static str>)>> {
    let methods = methods()?;
    let arguments: Vec<_> = methods.iter().map(|method| ["--exact", method]).collect();
    let arguments: Vec<_> = arguments.iter().map(|args| &args[..]).collect();
    if arguments.is_empty() {
        return Ok(None);
    }
    Ok(Some((Work::new(features, &arguments)?, methods)))
}

const SEGMENTS: &str = "software_segments_total";
const CHECKSUM_BYTES: &str = "software_checksum_bytes_total";

/// Every exact total that both methods must agree on: all but nanoseconds.
const COUNTED: [&str; 13] = [
    "segmentation_calls_total",
    "header_checks_total",
    "segmentation_failures_total",
    "partial_segmentations_total",
    "segments_total",
    "segmentation_payload_bytes_total",
    "segmentation_checksum_bytes_total",
    "checksum_calls_total",
    "checksum_bytes_total",
    "checksum_failures_total",
    "crc32c_calls_total",
    "crc32c_bytes_total",
    "crc32c_failures_total",
];

/// What holds however the receiver's tap is set.
/// `checksums` says whether the host computes them.
fn check(work: &Work, methods: &[&str], growth: &[Vec<Growth>], checksums: bool) -> Result<()> {
    for (observer, (method, guests)) in methods.iter().zip(growth).enumerate() {
        let receiver = &guests[RECEIVER];
        assert_eq!(receiver.counts.kernel.tx_dropped, 0, "nothing is dropped");
        let shares = [0, 1].map(|sender| {
            let mut share = work.share(guests, sender);
            share.checksum_bytes *= u64::from(checksums);
            share
        });
        let segments: u64 = shares.iter().map(|share| share.segments).sum();
        let bytes: u64 = shares.iter().map(|share| share.checksum_bytes).sum();

        let exact = |field| receiver.source(true, "exact", field);
        assert_eq!(exact("segments_total")?, segments, "{method}");
        let outside = exact("checksum_bytes_total")?;
        let inside = exact("segmentation_checksum_bytes_total")?;
        assert_eq!(inside + outside, bytes, "{method}: {inside} + {outside}");
        // Each super-frame was cut once, and nothing else.
        let sent = |sender: usize| guests[sender].counts.from_vm.gso_frames;
        assert_eq!(
            exact("segmentation_calls_total")?,
            sent(0) + sent(1),
            "{method}"
        );
        assert_eq!(exact("header_checks_total")?, 0, "{method}");
        assert_eq!(exact("segmentation_failures_total")?, 0, "{method}");
        let payload = |sender: usize| guests[sender].counts.from_vm.gso_payload_bytes;
        assert_eq!(
            exact("segmentation_payload_bytes_total")?,
            payload(0) + payload(1),
            "{method}"
        );
        assert!(
            exact("segmentation_ns_total")? > 0,
            "{method}: calls take time"
        );

        // The figures shown are the exact ones, and say so.
        let sources = &receiver.after.to_vm["software_work"];
        assert_eq!(sources["segments_by"], format!("exact by {method}"));
        assert_eq!(receiver.to_vm(SEGMENTS)?, segments, "{method}");
        assert_eq!(receiver.to_vm(CHECKSUM_BYTES)?, bytes, "{method}");
        assert_eq!(receiver.after.to_vm["software_work_approximate"], false);

        // Nothing was dropped: what is derived is the same.
        let derived = |field| receiver.source(true, "derived", field);
        assert_eq!(derived(SEGMENTS)?, segments, "{method}: derived");
        assert_eq!(derived(CHECKSUM_BYTES)?, bytes, "{method}: derived");

        for (sender, share) in shares.iter().enumerate() {
            let seen = &guests[sender];
            assert_eq!(seen.caused(SEGMENTS)?, share.segments, "{method}: {sender}");
            assert_eq!(
                seen.caused(CHECKSUM_BYTES)?,
                share.checksum_bytes,
                "{method}: {sender}"
            );
            let caused = seen.source(false, "exact", "segmentation_calls_total")?;
            assert_eq!(caused, sent(sender), "{method}: {sender}");
            assert_eq!(seen.to_vm(SEGMENTS)?, 0, "{method}: to sender {sender}");
        }
        check_durations(method, receiver)?;
        let model = work.model(observer)?;
        assert_eq!(
            model["host"]["exact_hooks"]["missed_calls_total"], 0,
            "{method}"
        );
    }
    agree(methods, growth)
}

/// The histogram holds every call, from the time the interface was first seen.
fn check_durations(method: &str, receiver: &Growth) -> Result<()> {
    let exact = &receiver.after.to_vm["software_work"]["exact"];
    let rows = exact["segmentation_ns_histogram"].as_array();
    let counts = rows
        .context("a histogram")?
        .iter()
        .map(|row| row[2].as_u64());
    let calls: u64 = counts.map(Option::unwrap_or_default).sum();
    assert_eq!(
        exact["segmentation_calls_total"], calls,
        "{method}: {exact}"
    );
    assert!(
        exact["segmentation_ns_percentiles"].is_object(),
        "{method}: {exact}"
    );
    Ok(())
}

/// Both methods at once see the same.
fn agree(methods: &[&str], growth: &[Vec<Growth>]) -> Result<()> {
    let [first, second] = growth else {
        return Ok(());
    };
    for (guest, (first, second)) in first.iter().zip(second).enumerate() {
        for to_vm in [true, false] {
            let exact = |growth: &Growth, field| growth.source(to_vm, "exact", field);
            for field in COUNTED {
                // One that neither has, as crc32c on 5.10.
                if first.after.to_vm["software_work"]["exact"][field].is_null()
                    && second.after.to_vm["software_work"]["exact"][field].is_null()
                {
                    continue;
                }
                assert_eq!(
                    exact(first, field)?,
                    exact(second, field)?,
                    "guest {guest}, {field}: {methods:?}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn segments_are_counted_where_they_are_cut() -> Result<()> {
    skip_unless_lab!();
    let Some((work, methods)) = scene(&["tso", "off"])? else {
        return Ok(());
    };
    work.send()?;
    let growth = work.growth()?;
    check(&work, &methods, &growth, true)?;
    let receiver = &growth[0][RECEIVER];
    assert!(
        receiver.to_vm(SEGMENTS)? > scaled(50_000),
        "segments were cut"
    );
    assert_eq!(
        receiver.to_vm(CHECKSUM_BYTES)?,
        0,
        "checksums stay the guest's"
    );
    Ok(())
}

#[test]
fn checksums_are_counted_where_they_are_computed() -> Result<()> {
    skip_unless_lab!();
    let Some((work, methods)) = scene(&["tx", "off"])? else {
        return Ok(());
    };
    work.send()?;
    // Frames that are not cut, for which skb_checksum_help is called.
    let single = FrameSpec {
        segmentation: Segmentation::None,
        partial_checksum: true,
        ..work.super_frame(1000)
    };
    work.inject(0, 100, single)?;
    let growth = work.growth()?;
    check(&work, &methods, &growth, true)?;
    for guests in &growth {
        let exact = |field| guests[RECEIVER].source(true, "exact", field);
        assert!(exact("checksum_calls_total")? >= 100);
        assert!(exact("checksum_bytes_total")? >= 100 * 1020);
        assert!(exact("segmentation_checksum_bytes_total")? > 0);
        let done = guests[RECEIVER].to_vm(CHECKSUM_BYTES)?;
        let sent: u64 = SENDERS.iter().map(|(_, _, bytes)| scaled(*bytes)).sum();
        assert!(done > sent, "only {done} bytes were checksummed");
    }
    Ok(())
}

/// `__skb_gso_segment` runs for each super-frame of a guest even if the device
/// cuts it, and then does nothing but look at its headers.
#[test]
fn a_header_check_is_no_work() -> Result<()> {
    skip_unless_lab!();
    let Some((work, methods)) = scene(&["tso", "on"])? else {
        return Ok(());
    };
    let frames = scaled(1_000_000);
    work.inject(0, frames, work.super_frame(2000))?;
    let growth = work.growth()?;
    for (method, guests) in methods.iter().zip(&growth) {
        let receiver = &guests[RECEIVER];
        assert_eq!(guests[0].counts.from_vm.gso_frames, frames, "{method}");
        let exact = |field| receiver.source(true, "exact", field);
        assert_eq!(exact("header_checks_total")?, frames, "{method}");
        for field in [
            "segments_total",
            "segmentation_calls_total",
            "segmentation_failures_total",
        ] {
            assert_eq!(exact(field)?, 0, "{method}: {field}");
        }
        assert_eq!(receiver.to_vm(SEGMENTS)?, 0, "{method}");
        assert_eq!(guests[0].caused(SEGMENTS)?, 0, "{method}");
    }
    agree(&methods, &growth)
}

/// What a shaper drops is not work for either way of counting; only the derived
/// figure cannot be sure of it.
#[test]
fn only_derived_work_is_approximate_when_a_shaper_drops() -> Result<()> {
    skip_unless_lab!();
    let Some((work, methods)) = scene(&["tso", "on"])? else {
        return Ok(());
    };
    work.back_up(1_000)?;
    for (method, guests) in methods.iter().zip(work.growth_now()?) {
        let receiver = &guests[RECEIVER];
        let sent = grown(
            &guests[0].after.from_vm,
            &guests[0].before.from_vm,
            "gso_packets_total",
        )?;
        assert_eq!(sent, 1_000, "{method}");
        assert_eq!(receiver.to_vm(SEGMENTS)?, 0, "{method}: held back, not cut");
        let shown = &receiver.after.to_vm;
        assert_eq!(
            shown["software_work"]["derived"]["software_work_approximate"],
            true
        );
        assert_eq!(
            shown["software_work_approximate"], false,
            "{method}: {shown}"
        );
    }
    Ok(())
}

/// A container's SCTP leaves its checksum to whoever can compute it, and a tap
/// cannot: `skb_crc32c_csum_help` does, or segmentation.
#[test]
fn checksums_of_sctp_are_counted_where_they_are_computed() -> Result<()> {
    skip_unless_lab!();
    if let Some(reason) = sctp::lacking() {
        skipped(&reason);
        return Ok(());
    }
    for method in methods()? {
        if let Some(reason) = lacking(method, "crc32c")? {
            skipped(&reason);
            return Ok(());
        }
        let mut lab = Lab::new()?;
        lab.add_guests(&["db"])?;
        let guest = lab.guest(0);
        let pod = Pod::start(&lab, guest)?;
        let observer = Observer::start(lab.host(), &["--exact", method])?;
        lab.wait_quiet()?;
        let (truth, before) = (guest.counts()?, observer.now()?);

        sctp::send(pod.ns(), guest.ns(), guest.config().ip4, 500)?;

        lab.wait_quiet()?;
        let after = observer.now()?;
        let received = guest.counts()?.since(&truth).to_vm;
        assert_eq!((received.gso_frames, received.needs_csum_frames), (0, 0));
        // Ethernet and IPv4 headers are not covered.
        let covered = received.bytes - received.packets * (14 + 20);
        let exact = |model: &Value, role: &str, device: &str| -> Result<Value> {
            Ok(interface(model, device)?[role]["software_work"]["exact"].clone())
        };
        for (role, device) in [("tx", guest.tap()), ("caused", pod::DEVICE)] {
            let (now, then) = (exact(&after, role, device)?, exact(&before, role, device)?);
            let grown = |field| grown(&now, &then, field);
            assert!(grown("crc32c_calls_total")? > 0, "{method} {role}");
            assert!(grown("crc32c_ns_total")? > 0, "{method} {role}");
            assert_eq!(grown("checksum_bytes_total")?, 0, "{method} {role}");
            let inside = grown("segmentation_checksum_bytes_total")?;
            let outside = grown("crc32c_bytes_total")?;
            assert_eq!(
                inside + outside,
                covered,
                "{method} {role}: {inside} + {outside}"
            );
        }
        let (after, before) = (Seen::of(&after, guest)?, Seen::of(&before, guest)?);
        assert_eq!(grown(&after.to_vm, &before.to_vm, CHECKSUM_BYTES)?, covered);
        let derived = |seen: &Seen| seen.to_vm["software_work"]["derived"].clone();
        let derived = grown(&derived(&after), &derived(&before), CHECKSUM_BYTES)?;
        assert_eq!(derived, covered, "{method}: derived");
    }
    Ok(())
}
