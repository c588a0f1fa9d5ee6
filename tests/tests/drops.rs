//! Drops are told apart by what they mean for offloads.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use offwatch_tests::{
    Guest, GuestConfig, Lab, VnetHdr,
    frames::{FrameSpec, L4, Segmentation},
    link,
    observer::{Observer, hooks, interface, number, side},
    quiet::wait_until,
    skip::left_out,
    skip_unless_lab,
};
use serde_json::Value;

/// Far more than a small ring holds.
const FRAMES: u64 = 1_000;

/// What the first guest sends to the second.
struct Flood {
    frame: Vec<u8>,
    header: VnetHdr,
}

impl Flood {
    fn send(&self, lab: &Lab, frames: u64) -> Result<()> {
        for _ in 0..frames {
            lab.guest(0).inject(&self.frame, self.header)?;
        }
        Ok(())
    }
}

/// Two guests, of which the second, `name`, has a ring of 64 frames.
fn lab_with_a_small_ring(name: &str) -> Result<(Lab, Flood)> {
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    lab.add_guest(GuestConfig {
        ring_frames: 64,
        ..GuestConfig::new(name, 2)
    })?;
    let (from, to) = (lab.guest(0).config(), lab.guest(1).config());
    let frame = FrameSpec::udp4((from.mac, from.ip4), (to.mac, to.ip4), 400);
    let (frame, header) = frame.build()?;
    Ok((lab, Flood { frame, header }))
}

/// The classes of a tap's drops, and why some are not known.
fn drops(observer: &Observer, tap: &str) -> Result<(Value, Value)> {
    let model = observer.now()?;
    let shown = interface(&model, tap)?;
    Ok((
        shown["drops_by_class_total"].clone(),
        shown["unavailable"].clone(),
    ))
}

fn count(drops: &Value, class: &str) -> u64 {
    drops[class].as_u64().unwrap_or_default()
}

#[test]
fn a_full_ring_is_told_from_other_drops() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&["tp", "raw"]) {
        let (lab, flood) = lab_with_a_small_ring("slow")?;
        let observer = Observer::start(lab.host(), &["--hook", hook])?;
        lab.wait_quiet()?;
        let guest = lab.guest(1);
        let before = guest.kernel_stats()?;
        guest.pause()?;
        flood.send(&lab, FRAMES)?;
        let (drops, unavailable) = drops(&observer, guest.tap())?;
        guest.resume()?;
        let dropped = guest.kernel_stats()?.since(&before).tx_dropped;
        assert!(dropped > FRAMES / 2, "{hook}: only {dropped} were dropped");
        if drops["full_ring"].is_null() {
            let reason = unavailable["drops_by_class_total.full_ring"].as_str();
            left_out(&format!(
                "full_ring: {}",
                reason.context("null without a reason")?
            ));
        } else {
            assert_eq!(count(&drops, "full_ring"), dropped, "{hook}: {drops}");
        }
        for class in ["validate_xmit", "checksum", "gso"] {
            assert_eq!(count(&drops, class), 0, "{hook}: {drops}");
        }
    }
    Ok(())
}

/// A frame to a full ring is counted until the driver drops it. Whoever looks in
/// between, or begins to, sees no more than that.
#[test]
fn a_guest_that_reads_nothing_has_received_nothing() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&["tp", "raw"]) {
        let (lab, flood) = lab_with_a_small_ring("hung")?;
        lab.wait_quiet()?;
        let hung = lab.guest(1);
        hung.pause()?;
        flood.send(&lab, FRAMES)?;
        let end = AtomicBool::new(false);
        thread::scope(|scope| {
            let flooding = scope.spawn(|| -> Result<()> {
                while !end.load(Ordering::Relaxed) {
                    flood.send(&lab, 1)?;
                }
                Ok(())
            });
            let seen = nothing_is_received(&lab, hung, hook);
            end.store(true, Ordering::Relaxed);
            flooding
                .join()
                .map_err(|_| anyhow!("the flood panicked"))??;
            seen.with_context(|| hook.to_owned())
        })?;
        hung.resume()?;
    }
    Ok(())
}

fn nothing_is_received(lab: &Lab, guest: &Guest, hook: &str) -> Result<()> {
    let most = thread::available_parallelism()?.get() as u64;
    for _ in 0..4 {
        let observer = Observer::start(lab.host(), &["--hook", hook])?;
        let look = || -> Result<u64> {
            let model = observer.now()?;
            let to_guest = side(&model, guest.tap(), true)?;
            let (packets, drops) = (
                number(to_guest, "packets_total")?,
                number(to_guest, "drops_total")?,
            );
            ensure!(packets <= most, "{packets} received, {drops} dropped");
            let rate = &to_guest["packets_per_s"];
            ensure!(rate.is_number(), "a rate of {rate}, {drops} dropped");
            Ok(drops)
        };
        for _ in 0..2 {
            look()?;
        }
        // How fast they are dropped is the machine's affair.
        wait_until("a thousand drops", Duration::from_secs(10), || {
            Ok(look()? > FRAMES)
        })?;
    }
    Ok(())
}

/// A super-frame whose TCP header is shorter than a TCP header can be. Where its
/// length is looked at depends on the kernel.
#[test]
fn frames_that_cannot_be_cut_are_told_from_other_drops() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&["tp", "raw"]) {
        let mut lab = Lab::new()?;
        lab.add_guests(&["web", "db"])?;
        let guest = lab.guest(1);
        link::set_features(lab.host(), guest.tap(), &["tso", "off"])?;
        let observer = Observer::start(lab.host(), &["--hook", hook])?;
        lab.wait_quiet()?;
        let before = guest.kernel_stats()?;
        let (from, to) = (lab.guest(0).config(), guest.config());
        let frame = FrameSpec {
            l4: L4::Tcp { options_bytes: 0 },
            segmentation: Segmentation::Segment(1000),
            ..FrameSpec::udp4((from.mac, from.ip4), (to.mac, to.ip4), 4000)
        };
        let (mut frame, header) = frame.build()?;
        const DATA_OFFSET: usize = 14 + 20 + 12;
        frame[DATA_OFFSET] = 1 << 4;
        for _ in 0..FRAMES {
            lab.guest(0).inject(&frame, header)?;
        }
        let model = observer.now()?;
        let shown = interface(&model, guest.tap())?;
        let drops = &shown["drops_by_class_total"];
        let dropped = guest.kernel_stats()?.since(&before).tx_dropped;
        let told = count(drops, "validate_xmit") + count(drops, "gso");
        assert_eq!(
            told, FRAMES,
            "{hook}: {drops}, {dropped} dropped by the device"
        );
        assert_eq!(count(drops, "full_ring"), 0, "{hook}: {drops}");
        // Where the function that cuts is observed, it is seen to fail.
        let exact = &shown["tx"]["software_work"]["exact"];
        if !exact.is_null() {
            let failures = exact["segmentation_failures_total"].as_u64();
            assert_eq!(failures, Some(count(drops, "validate_xmit")), "{exact}");
            assert_eq!(exact["segments_total"], 0, "{exact}");
        }
    }
    Ok(())
}
