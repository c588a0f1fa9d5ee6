//! Software segmentation and checksum work, derived from tracepoints, is what
//! the guest's side of the tap shows was done, and is charged to its cause.

use anyhow::Result;
use offwatch_tests::{
    Lab,
    command::run,
    frames::{FrameSpec, L4, Segmentation},
    guest::{Counts, Family},
    link,
    observer::{Observer, Seen, grown, hooks, interface},
    scaled, skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
};

const HOOKS: [&str; 2] = ["tp", "raw"];

/// Two senders and the receiver whose tap is changed.
struct Work {
    lab: Lab,
    observer: Observer,
    before: Vec<(Counts, Seen)>,
}

/// Guest, and payload bytes that it sends.
const SENDERS: [(usize, Family, u64); 2] =
    [(0, Family::V4, 60_000_000), (1, Family::V6, 20_000_000)];
const RECEIVER: usize = 2;

impl Work {
    fn with_receiver(features: &[&str], hook: &str) -> Result<Self> {
        let mut lab = Lab::new()?;
        lab.add_guests(&["web", "api", "db"])?;
        link::set_features(lab.host(), lab.guest(RECEIVER).tap(), features)?;
        let observer = Observer::start(lab.host(), &["--hook", hook])?;
        lab.wait_quiet()?;
        let before = Self::snapshot(&lab, &observer)?;
        Ok(Self {
            lab,
            observer,
            before,
        })
    }

    fn snapshot(lab: &Lab, observer: &Observer) -> Result<Vec<(Counts, Seen)>> {
        let model = observer.now()?;
        lab.guests()
            .iter()
            .map(|guest| Ok((guest.counts()?, Seen::of(&model, guest)?)))
            .collect()
    }

    /// Both senders at once.
    fn send(&self) -> Result<()> {
        let receiver = self.lab.guest(RECEIVER).endpoint();
        std::thread::scope(|scope| {
            let threads = SENDERS.map(|(sender, family, bytes)| {
                let bytes = scaled(bytes);
                let from = self.lab.guest(sender).endpoint();
                let receiver = &receiver;
                scope.spawn(move || tcp_stream(&from, receiver, &TcpOptions::new(family, bytes)))
            });
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().expect("a sending thread").map(drop))
        })
    }

    /// What each guest's counters grew by, and what offwatch shows of it.
    fn result(&self) -> Result<Vec<(Counts, Grown)>> {
        self.lab.wait_quiet()?;
        let after = Self::snapshot(&self.lab, &self.observer)?;
        self.before
            .iter()
            .zip(&after)
            .map(|(before, after)| {
                assert_eq!(
                    after.0.since(&before.0).kernel.tx_dropped,
                    0,
                    "nothing is dropped"
                );
                Ok((
                    after.0.since(&before.0),
                    Grown::between(&before.1, &after.1)?,
                ))
            })
            .collect()
    }
}

/// Work done on the way to a guest, and work that its own frames caused.
#[derive(Debug)]
struct Grown {
    segments: u64,
    checksum_bytes: u64,
    caused_segments: u64,
    caused_checksum_bytes: u64,
}

impl Grown {
    fn between(before: &Seen, after: &Seen) -> Result<Self> {
        let (segments, bytes) = ("software_segments_total", "software_checksum_bytes_total");
        Ok(Self {
            segments: grown(&after.to_vm, &before.to_vm, segments)?,
            checksum_bytes: grown(&after.to_vm, &before.to_vm, bytes)?,
            caused_segments: grown(&after.caused, &before.caused, segments)?,
            caused_checksum_bytes: grown(&after.caused, &before.caused, bytes)?,
        })
    }
}

/// What the receiver got from one sender, whose own truth tells what it sent.
struct Share {
    /// Frames that came out of segmentation.
    segments: u64,
    /// L4 bytes whose checksum the host computed.
    checksum_bytes: u64,
}

fn share(work: &Work, result: &[(Counts, Grown)], sender: usize) -> Share {
    let received = &result[RECEIVER].0.to_vm;
    let sent = &result[sender].0.from_vm;
    let by_source = received.by_source[&work.lab.guest(sender).config().mac];
    Share {
        segments: by_source.frames - by_source.gso_frames - sent.non_gso_frames,
        checksum_bytes: by_source.l4_bytes - sent.complete_csum_l4_bytes,
    }
}

#[test]
fn segments_cut_in_software_are_counted_and_charged_to_their_sender() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&HOOKS) {
        let work = Work::with_receiver(&["tso", "off"], hook)?;
        work.send()?;
        let result = work.result()?;
        let shares = [0, 1].map(|sender| share(&work, &result, sender));
        for (sender, share) in shares.iter().enumerate() {
            let sent = &result[sender].0.from_vm;
            assert_eq!(share.segments, sent.gso_segments, "{hook}: by the truth");
            assert!(share.segments > 0, "{hook}: sender {sender} uses TSO");
        }
        let total: u64 = shares.iter().map(|share| share.segments).sum();

        let receiver = &result[RECEIVER].1;
        assert_eq!(
            receiver.segments, total,
            "{hook}: on the way to the receiver"
        );
        assert_eq!(
            receiver.checksum_bytes, 0,
            "{hook}: checksums stay the guest's"
        );
        for (sender, share) in shares.iter().enumerate() {
            let seen = &result[sender].1;
            assert_eq!(
                seen.caused_segments, share.segments,
                "{hook}: sender {sender}"
            );
            assert_eq!(seen.caused_checksum_bytes, 0, "{hook}: sender {sender}");
            // Acknowledgements go back through a tap that accepts everything.
            assert_eq!(seen.segments, 0, "{hook}: to sender {sender}");
        }
        assert_eq!(
            receiver.caused_segments, 0,
            "{hook}: the receiver causes nothing"
        );
    }
    Ok(())
}

#[test]
fn checksums_computed_in_software_are_counted_and_charged_to_their_sender() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&HOOKS) {
        let work = Work::with_receiver(&["tx", "off"], hook)?;
        work.send()?;
        let result = work.result()?;
        let received = &result[RECEIVER].0.to_vm;
        assert_eq!(
            (received.needs_csum_frames, received.gso_frames),
            (0, 0),
            "tx is off"
        );
        let shares = [0, 1].map(|sender| share(&work, &result, sender));
        for (share, (_, _, bytes)) in shares.iter().zip(SENDERS) {
            // Headers and all: no byte arrives without a checksum.
            let done = share.checksum_bytes;
            assert!(
                done > scaled(bytes),
                "{hook}: only {done} bytes were checksummed"
            );
        }
        let total: u64 = shares.iter().map(|share| share.checksum_bytes).sum();

        let receiver = &result[RECEIVER].1;
        assert_eq!(
            receiver.checksum_bytes, total,
            "{hook}: on the way to the receiver"
        );
        let segments: u64 = shares.iter().map(|share| share.segments).sum();
        assert_eq!(
            receiver.segments, segments,
            "{hook}: without checksum there is no TSO"
        );
        for (sender, share) in shares.iter().enumerate() {
            let seen = &result[sender].1;
            assert_eq!(
                seen.caused_checksum_bytes, share.checksum_bytes,
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
        let work = Work::with_receiver(&["tso", "on"], hook)?;
        work.send()?;
        let result = work.result()?;
        for (sender, (sent, _)) in result.iter().enumerate().take(RECEIVER) {
            let mac = work.lab.guest(sender).config().mac;
            let received = result[RECEIVER].0.to_vm.by_source[&mac];
            assert_eq!(received, sent.from_vm.by_source[&mac], "{hook}: whole");
            assert!(received.gso_frames > 0, "{hook}: super-frames flowed");
        }
        for (guest, (_, seen)) in result.iter().enumerate() {
            assert_eq!(seen.segments, 0, "{hook}: guest {guest}");
            assert_eq!(seen.checksum_bytes, 0, "{hook}: guest {guest}");
            assert_eq!(seen.caused_segments, 0, "{hook}: guest {guest}");
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
        let work = Work::with_receiver(&["tso", "on"], hook)?;
        let tap = work.lab.guest(RECEIVER).tap();
        for command in [
            format!("tc qdisc replace dev {tap} root handle 1: htb default 1"),
            format!("tc class add dev {tap} parent 1: classid 1:1 htb rate 1mbit quantum 1514"),
            format!("tc qdisc add dev {tap} parent 1:1 pfifo limit 20"),
        ] {
            run(work.lab.host(), &command.split(' ').collect::<Vec<_>>())?;
        }
        let (from, to) = (
            work.lab.guest(0).config(),
            work.lab.guest(RECEIVER).config(),
        );
        let frame = FrameSpec {
            l4: L4::Tcp { options_bytes: 0 },
            segmentation: Segmentation::Segment(1000),
            ..FrameSpec::udp4((from.mac, from.ip4), (to.mac, to.ip4), 20_000)
        };
        let (frame, header) = frame.build()?;
        for _ in 0..1_000 {
            work.lab.guest(0).inject(&frame, header)?;
        }

        let model = work.observer.now()?;
        let seen = Seen::of(&model, work.lab.guest(RECEIVER))?;
        let sender = Seen::of(&model, work.lab.guest(0))?;
        let grown = Grown::between(&work.before[RECEIVER].1, &seen)?;
        let caused = Grown::between(&work.before[0].1, &sender)?;
        let gso = offwatch_tests::observer::grown(
            &sender.from_vm,
            &work.before[0].1.from_vm,
            "gso_packets_total",
        )?;
        assert_eq!(gso, 1_000, "{hook}: super-frames were sent");
        assert_eq!(
            (grown.segments, grown.checksum_bytes),
            (0, 0),
            "{hook}: held back, not cut"
        );
        assert_eq!(caused.caused_segments, 0, "{hook}");
        assert_eq!(
            seen.to_vm["software_work_approximate"], true,
            "{hook}: {:?}",
            seen.to_vm
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
    let done = offwatch_tests::observer::number(to_vm, "software_segments_total")?;
    let unattributed = &model["host"]["unattributed"];
    // What the host sends is in super-frames from the first window on.
    assert!(done > 0, "no segment");
    assert_eq!(unattributed["software_segments_total"], done);
    Ok(())
}
