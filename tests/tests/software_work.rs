//! Software segmentation and checksum work, derived from tracepoints, is what
//! the guest's side of the tap shows was done, and is charged to its cause.

use anyhow::Result;
use offwatch_tests::{
    Lab,
    guest::Family,
    link,
    observer::{Observer, grown, hooks, interface, number},
    scaled, skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
    work::{Growth, RECEIVER, SENDERS, Work},
};

const HOOKS: [&str; 2] = ["tp", "raw"];

/// The scene, with work only derived.
fn derived(features: &[&str], hook: &str) -> Result<Work> {
    Work::new(features, &[&["--hook", hook, "--exact", "off"]])
}

/// What has grown, in a scene where nothing may be dropped.
fn result(work: &Work) -> Result<Vec<Growth>> {
    let growth = work.growth()?.swap_remove(0);
    for guest in &growth {
        assert_eq!(guest.counts.kernel.tx_dropped, 0, "nothing is dropped");
    }
    Ok(growth)
}

const SEGMENTS: &str = "software_segments_total";
const CHECKSUM_BYTES: &str = "software_checksum_bytes_total";

#[test]
fn segments_cut_in_software_are_counted_and_charged_to_their_sender() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&HOOKS) {
        let work = derived(&["tso", "off"], hook)?;
        work.send()?;
        let result = result(&work)?;
        let shares = [0, 1].map(|sender| work.share(&result, sender));
        for (sender, share) in shares.iter().enumerate() {
            let sent = &result[sender].counts.from_vm;
            assert_eq!(share.segments, sent.gso_segments, "{hook}: by the truth");
            assert!(share.segments > 0, "{hook}: sender {sender} uses TSO");
        }
        let total: u64 = shares.iter().map(|share| share.segments).sum();

        let receiver = &result[RECEIVER];
        assert_eq!(
            receiver.to_vm(SEGMENTS)?,
            total,
            "{hook}: on the way to the receiver"
        );
        assert_eq!(
            receiver.to_vm(CHECKSUM_BYTES)?,
            0,
            "{hook}: checksums stay the guest's"
        );
        for (sender, share) in shares.iter().enumerate() {
            let seen = &result[sender];
            assert_eq!(
                seen.caused(SEGMENTS)?,
                share.segments,
                "{hook}: sender {sender}"
            );
            assert_eq!(seen.caused(CHECKSUM_BYTES)?, 0, "{hook}: sender {sender}");
            // Acknowledgements go back through a tap that accepts everything.
            assert_eq!(seen.to_vm(SEGMENTS)?, 0, "{hook}: to sender {sender}");
        }
        assert_eq!(
            receiver.caused(SEGMENTS)?,
            0,
            "{hook}: the receiver causes nothing"
        );
    }
    Ok(())
}

#[test]
fn checksums_computed_in_software_are_counted_and_charged_to_their_sender() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&HOOKS) {
        let work = derived(&["tx", "off"], hook)?;
        work.send()?;
        let result = result(&work)?;
        let received = &result[RECEIVER].counts.to_vm;
        assert_eq!(
            (received.needs_csum_frames, received.gso_frames),
            (0, 0),
            "tx is off"
        );
        let shares = [0, 1].map(|sender| work.share(&result, sender));
        for (share, (_, _, bytes)) in shares.iter().zip(SENDERS) {
            // Headers and all: no byte arrives without a checksum.
            let done = share.checksum_bytes;
            assert!(
                done > scaled(bytes),
                "{hook}: only {done} bytes were checksummed"
            );
        }
        let total: u64 = shares.iter().map(|share| share.checksum_bytes).sum();

        let receiver = &result[RECEIVER];
        assert_eq!(
            receiver.to_vm(CHECKSUM_BYTES)?,
            total,
            "{hook}: on the way to the receiver"
        );
        let segments: u64 = shares.iter().map(|share| share.segments).sum();
        assert_eq!(
            receiver.to_vm(SEGMENTS)?,
            segments,
            "{hook}: without checksum there is no TSO"
        );
        for (sender, share) in shares.iter().enumerate() {
            let seen = &result[sender];
            assert_eq!(
                seen.caused(CHECKSUM_BYTES)?,
                share.checksum_bytes,
                "{hook}: {sender}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_tap_that_accepts_everything_needs_no_work() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&HOOKS) {
        let work = derived(&["tso", "on"], hook)?;
        work.send()?;
        let result = result(&work)?;
        for (sender, sent) in result.iter().enumerate().take(RECEIVER) {
            let mac = work.lab().guest(sender).config().mac;
            let received = result[RECEIVER].counts.to_vm.by_source[&mac];
            assert_eq!(
                received, sent.counts.from_vm.by_source[&mac],
                "{hook}: whole"
            );
            assert!(received.gso_frames > 0, "{hook}: super-frames flowed");
        }
        for (guest, seen) in result.iter().enumerate() {
            assert_eq!(seen.to_vm(SEGMENTS)?, 0, "{hook}: guest {guest}");
            assert_eq!(seen.to_vm(CHECKSUM_BYTES)?, 0, "{hook}: guest {guest}");
            assert_eq!(seen.caused(SEGMENTS)?, 0, "{hook}: guest {guest}");
        }
    }
    Ok(())
}

/// Frames that a shaper holds back or drops are not work, and the figure is
/// marked as approximate.
#[test]
fn a_backlog_with_drops_is_no_work() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&HOOKS) {
        let work = derived(&["tso", "on"], hook)?;
        work.back_up(1_000)?;
        let result = work.growth_now()?.swap_remove(0);
        let (receiver, sender) = (&result[RECEIVER], &result[0]);
        let gso = grown(
            &sender.after.from_vm,
            &sender.before.from_vm,
            "gso_packets_total",
        )?;
        assert_eq!(gso, 1_000, "{hook}: super-frames were sent");
        assert_eq!(
            (receiver.to_vm(SEGMENTS)?, receiver.to_vm(CHECKSUM_BYTES)?),
            (0, 0),
            "{hook}: held back, not cut"
        );
        assert_eq!(sender.caused(SEGMENTS)?, 0, "{hook}");
        assert_eq!(
            receiver.after.to_vm["software_work_approximate"], true,
            "{hook}: {:?}",
            receiver.after.to_vm
        );
    }
    Ok(())
}

/// Frames of the host itself have no tap to be charged to.
#[test]
fn work_for_the_host_itself_is_unattributed() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["db"])?;
    let guest = lab.guest(0);
    link::set_features(lab.host(), guest.tap(), &["tso", "off"])?;
    let observer = Observer::start(lab.host(), &[])?;
    lab.wait_quiet()?;
    tcp_stream(
        &lab.host_endpoint()?,
        &guest.endpoint(),
        &TcpOptions::new(Family::V4, scaled(20_000_000)),
    )?;
    lab.wait_quiet()?;
    let model = observer.now()?;
    let to_vm = &interface(&model, guest.tap())?["tx"];
    let done = number(to_vm, "software_segments_total")?;
    let unattributed = &model["host"]["unattributed"];
    // What the host sends is in super-frames from the first window on.
    assert!(done > 0, "no segment");
    assert_eq!(unattributed["software_segments_total"], done);
    Ok(())
}
