//! With vhost-net carrying the frames, as on production hosts, what offwatch
//! counts is still what crossed the tap, to the frame and the byte.
//!
//! The kernel's thread takes another way through the tap than a VMM that reads
//! and writes it: small frames come in batches and belong to no socket, frames
//! for the guest are taken from its ring ahead.

use anyhow::Result;
use offwatch_tests::{
    Backend, Counts, GuestConfig, Lab,
    equal::{self, snapshot},
    guest::Family,
    link,
    observer::{Observer, Seen, grown, hooks},
    scaled, skip_unless_vhost,
    traffic::{TcpFlow, TcpOptions, tcp_stream},
    udp::{UdpOptions, udp_stream},
};

/// Those that every kernel has.
const HOOKS: [&str; 2] = ["tp", "raw"];
const WEB: usize = 0;
const DB: usize = 1;

/// A lab with two guests whose frames vhost-net carries, one of them with two
/// queues and thus two of the kernel's threads.
fn lab() -> Result<Lab> {
    let mut lab = Lab::new()?;
    for (name, index) in [("web", 1), ("db", 2)] {
        lab.add_guest(GuestConfig {
            queues: index.into(),
            backend: Backend::Vhost,
            ..GuestConfig::new(name, index)
        })?;
    }
    Ok(lab)
}

/// What crossed each guest's tap during `traffic`, compared with all that is
/// known of it.
fn counted(
    lab: &Lab,
    hook: &str,
    traffic: impl FnOnce(&Lab) -> Result<()>,
) -> Result<Vec<(Counts, [Seen; 2])>> {
    let observer = Observer::start(lab.host(), &["--hook", hook])?;
    lab.wait_quiet()?;
    let before = snapshot(lab, &observer)?;
    traffic(lab)?;
    lab.wait_quiet()?;
    let after = snapshot(lab, &observer)?;
    let guests = lab.guests().iter().zip(before.into_iter().zip(after));
    guests
        .map(|(guest, (before, after))| {
            let counts = after.0.since(&before.0);
            let what = format!("{hook}, {}", guest.name());
            equal::guest(&what, &counts, &before.1, &after.1)?;
            for truth in [&counts.from_vm, &counts.to_vm] {
                assert_eq!(truth.undelivered_frames, 0, "{what}");
            }
            Ok((counts, [before.1, after.1]))
        })
        .collect()
}

#[test]
fn small_frames_of_a_batch_are_each_counted() -> Result<()> {
    skip_unless_vhost!();
    HOOKS.into_iter().try_for_each(small_frames)
}

#[test]
fn super_frames_are_counted_with_their_segments() -> Result<()> {
    skip_unless_vhost!();
    HOOKS.into_iter().try_for_each(super_frames)
}

/// What the other tests rest on: the lab's truth and the kernel's counters can
/// be read at one moment, though the kernel carries the frames.
#[test]
fn truth_equals_the_kernels_counters_under_load() -> Result<()> {
    skip_unless_vhost!();
    let lab = lab()?;
    let (web, db) = (lab.guest(WEB).endpoint(), lab.guest(DB).endpoint());
    let flows = [
        TcpFlow::start(&web, &db, TcpOptions::new(Family::V4, 0))?,
        TcpFlow::start(&db, &web, TcpOptions::new(Family::V6, 0))?,
    ];
    for _ in 0..50 {
        for guest in lab.guests() {
            let Counts {
                from_vm,
                to_vm,
                kernel,
            } = guest.counts()?;
            let truth = [
                (from_vm.packets, from_vm.bytes),
                (to_vm.packets, to_vm.bytes),
            ];
            let kernels = [
                (kernel.rx_packets, kernel.rx_bytes),
                (kernel.tx_packets, kernel.tx_bytes),
            ];
            assert_eq!(truth, kernels, "{}: {kernel:?}", guest.name());
        }
    }
    for flow in flows {
        assert!(flow.stop()? > 0, "both carried something");
    }
    Ok(())
}

#[test]
fn tc_programs_count_small_frames_and_super_frames() -> Result<()> {
    skip_unless_vhost!();
    hooks(&["tc"]).into_iter().try_for_each(|hook| {
        small_frames(hook)?;
        super_frames(hook)
    })
}

fn small_frames(hook: &str) -> Result<()> {
    let lab = lab()?;
    let datagrams = scaled(60_000);
    let result = counted(&lab, hook, |lab| {
        let (web, db) = (lab.guest(WEB).endpoint(), lab.guest(DB).endpoint());
        let small = UdpOptions::new(Family::V4, datagrams, 64);
        let large = UdpOptions::new(Family::V6, datagrams, 1400);
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| udp_stream(&db, &web, &large));
            udp_stream(&web, &db, &small)?;
            answer.join().expect("a thread that sends UDP")
        })
    })?;
    for (counts, _) in &result {
        for truth in [&counts.from_vm, &counts.to_vm] {
            assert!(truth.non_gso_frames >= datagrams, "{hook}: {truth:?}");
        }
    }
    Ok(())
}

fn super_frames(hook: &str) -> Result<()> {
    let lab = lab()?;
    let result = counted(&lab, hook, |lab| {
        let (web, db) = (lab.guest(WEB).endpoint(), lab.guest(DB).endpoint());
        let bytes = scaled(60_000_000);
        tcp_stream(&web, &db, &TcpOptions::new(Family::V4, bytes))?;
        let small = TcpOptions {
            max_segment_bytes: Some(536),
            ..TcpOptions::new(Family::V6, bytes)
        };
        tcp_stream(&db, &web, &small)?;
        Ok(())
    })?;
    let sent = [WEB, DB].map(|guest| result[guest].0.from_vm.gso_frames);
    assert!(
        sent.iter().all(|frames| *frames > 0),
        "{hook}: super-frames flowed: {sent:?}"
    );
    for (guest, (_, [before, after])) in result.iter().enumerate() {
        if hook != "tc" {
            // Every offload is accepted, so nothing is left to do.
            let work = work(before, after)?;
            assert_eq!(work, Work::default(), "{hook}: guest {guest}");
        }
    }
    Ok(())
}

/// Software work on the way to a guest and on behalf of it.
#[derive(Debug, Default, PartialEq)]
struct Work {
    segments: u64,
    checksum_bytes: u64,
    caused_segments: u64,
    caused_checksum_bytes: u64,
}

fn work(before: &Seen, after: &Seen) -> Result<Work> {
    let (segments, bytes) = ("software_segments_total", "software_checksum_bytes_total");
    Ok(Work {
        segments: grown(&after.to_vm, &before.to_vm, segments)?,
        checksum_bytes: grown(&after.to_vm, &before.to_vm, bytes)?,
        caused_segments: grown(&after.caused, &before.caused, segments)?,
        caused_checksum_bytes: grown(&after.caused, &before.caused, bytes)?,
    })
}

/// The kernel's thread has no other name for the sender than its tap.
#[test]
fn work_is_counted_and_charged_to_the_sender() -> Result<()> {
    skip_unless_vhost!();
    for (hook, feature) in [("tp", "tso"), ("raw", "tso"), ("tp", "tx")] {
        let lab = lab()?;
        link::set_features(lab.host(), lab.guest(DB).tap(), &[feature, "off"])?;
        let bytes = scaled(60_000_000);
        let result = counted(&lab, hook, |lab| {
            let (web, db) = (lab.guest(WEB).endpoint(), lab.guest(DB).endpoint());
            tcp_stream(&web, &db, &TcpOptions::new(Family::V4, bytes)).map(drop)
        })?;
        let sent = &result[WEB].0.from_vm;
        let received = &result[DB].0.to_vm;
        assert_eq!(received.gso_frames, 0, "{hook}: none arrived");
        // Each super-frame was cut, all else came through as it was.
        let segments = received.packets - sent.non_gso_frames;
        assert_eq!(segments, sent.gso_segments, "{hook}: by the truth itself");
        assert!(segments > 0, "{hook}: super-frames left");
        let checksum_bytes = received.complete_csum_l4_bytes - sent.complete_csum_l4_bytes;
        match feature {
            "tx" => assert!(checksum_bytes > bytes, "{hook}: only {checksum_bytes}"),
            _ => assert_eq!(checksum_bytes, 0, "{hook}: checksums stay the guest's"),
        }
        let seen = result
            .iter()
            .map(|(_, [before, after])| work(before, after))
            .collect::<Result<Vec<_>>>()?;
        let receiver = Work {
            segments,
            checksum_bytes,
            ..Work::default()
        };
        let sender = Work {
            caused_segments: segments,
            caused_checksum_bytes: checksum_bytes,
            ..Work::default()
        };
        assert_eq!(seen[DB], receiver, "{hook}, {feature} off");
        assert_eq!(seen[WEB], sender, "{hook}, {feature} off");
    }
    Ok(())
}
