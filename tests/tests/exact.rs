//! Software work counted at the kernel functions that do it is what the guest's
//! side of the tap shows was done, by fexit and by kprobe alike, and what is
//! derived equals it.

use anyhow::{Context as _, Result};
use offwatch_tests::{
    exact::Scene,
    frames::{FrameSpec, Segmentation},
    link,
    observer::grown,
    scaled, skip_unless_lab,
    work::{Growth, RECEIVER, SENDERS, Work},
};

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
fn check(work: &Work, growth: &[(&str, Vec<Growth>)], checksums: bool) -> Result<()> {
    for (method, guests) in growth {
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
    }
    agree(growth)
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
fn agree(growth: &[(&str, Vec<Growth>)]) -> Result<()> {
    let [(_, first), (_, second)] = growth else {
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
                    "guest {guest}, {field}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn segments_are_counted_where_they_are_cut() -> Result<()> {
    skip_unless_lab!();
    let Some(scene) = Scene::new(&["tso", "off"])? else {
        return Ok(());
    };
    scene.work.send()?;
    let growth = scene.growth()?;
    check(&scene.work, &growth, false)?;
    for (method, guests) in &growth {
        let sent = |sender: usize| guests[sender].counts.from_vm.gso_segments;
        assert_eq!(
            guests[RECEIVER].to_vm(SEGMENTS)?,
            sent(0) + sent(1),
            "{method}"
        );
        assert!(sent(0) > 0 && sent(1) > 0, "both senders use TSO");
    }
    Ok(())
}

#[test]
fn checksums_are_counted_where_they_are_computed() -> Result<()> {
    skip_unless_lab!();
    let Some(scene) = Scene::new(&["tx", "off"])? else {
        return Ok(());
    };
    let work = &scene.work;
    work.send()?;
    // Frames that are not cut, for which skb_checksum_help is called.
    let single = FrameSpec {
        segmentation: Segmentation::None,
        partial_checksum: true,
        ..work.super_frame(1000)
    };
    work.inject(0, 100, single)?;
    let growth = scene.growth()?;
    check(work, &growth, true)?;
    for (_, guests) in &growth {
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
    let Some(scene) = Scene::new(&["tso", "on"])? else {
        return Ok(());
    };
    let frames = scaled(1_000_000);
    scene.work.inject(0, frames, scene.work.super_frame(2000))?;
    let growth = scene.growth()?;
    for (method, guests) in &growth {
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
    agree(&growth)
}

/// What a shaper drops is not work for either way of counting; only the derived
/// figure cannot be sure of it.
#[test]
fn only_derived_work_is_approximate_when_a_shaper_drops() -> Result<()> {
    skip_unless_lab!();
    let Some(scene) = Scene::new(&["tso", "on"])? else {
        return Ok(());
    };
    scene.work.back_up(1_000)?;
    for (method, guests) in scene.growth_now()? {
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
        // Without SCTP, as on 5.10, the checksums shown are the derived ones.
        let is_derived = shown["software_work"]["checksum_bytes_by"] == "derived";
        assert_eq!(
            shown["software_work_approximate"], is_derived,
            "{method}: {shown}"
        );
    }
    Ok(())
}

/// What a tap's full ring drops was cut before: that work is counted. The derived
/// figure is the same, or says that it cannot be sure.
#[test]
fn work_for_frames_that_the_device_drops_is_work() -> Result<()> {
    skip_unless_lab!();
    let Some(scene) = Scene::new(&["tso", "off"])? else {
        return Ok(());
    };
    const FRAMES: u64 = 200;
    const SEGMENTS_EACH: u64 = 4;
    let lab = scene.work.lab();
    let receiver = lab.guest(RECEIVER);
    link::set_ring(lab.host(), receiver.tap(), 64)?;
    receiver.pause()?;
    let frame = scene.work.super_frame(1000 * SEGMENTS_EACH as usize);
    scene.work.inject(0, FRAMES, frame)?;
    receiver.resume()?;
    for (method, guests) in scene.growth()? {
        let receiver = &guests[RECEIVER];
        let dropped = receiver.counts.kernel.tx_dropped;
        assert!(dropped > FRAMES, "{method}: only {dropped} were dropped");
        assert_eq!(
            receiver.to_vm(SEGMENTS)?,
            FRAMES * SEGMENTS_EACH,
            "{method}"
        );
        assert_eq!(
            guests[0].caused(SEGMENTS)?,
            FRAMES * SEGMENTS_EACH,
            "{method}"
        );
        let derived = &receiver.after.to_vm["software_work"]["derived"];
        let is_sure = derived["software_work_approximate"] == false;
        let same = receiver.source(true, "derived", SEGMENTS)? == FRAMES * SEGMENTS_EACH;
        assert!(same || !is_sure, "{method}: {derived}");
    }
    Ok(())
}
