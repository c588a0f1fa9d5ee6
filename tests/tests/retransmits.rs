//! What is sent again is counted from the segments as the guest's own TCP counts it.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use offwatch::measure::capture::{Capture, Captured};
use offwatch_tests::{
    Guest, GuestConfig, Lab, Netns,
    command::run,
    guest::Family,
    quiet::wait_until,
    scaled, skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
};

const BYTES: u64 = 10_000_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// Where segments are lost on the way to `db`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Nowhere,
    /// In the ring of its tap, behind where segments are captured.
    Ring,
    /// In a queue of its tap, before that.
    Queue,
}

/// What was captured at both taps, and what the sender's TCP sent again.
struct Told {
    web: Captured,
    db: Captured,
    by_mib: u64,
}

impl Told {
    fn of(loss: Loss, family: Family) -> Result<Self> {
        let mut lab = Lab::new()?;
        lab.add_guests(&["web"])?;
        let usual = GuestConfig::new("db", 2);
        let tap = usual.tap.clone();
        lab.add_guest(GuestConfig {
            ring_frames: match loss {
                Loss::Ring => 16,
                Loss::Nowhere | Loss::Queue => usual.ring_frames,
            },
            ..usual
        })?;
        let command = match loss {
            Loss::Nowhere => String::from("true"),
            // A super-frame is more segments than the ring has places.
            Loss::Ring => format!("ethtool -K {tap} tso off"),
            Loss::Queue => {
                format!("tc qdisc replace dev {tap} root tbf rate 100mbit burst 20kb limit 60kb")
            }
        };
        run(lab.host(), &command.split(' ').collect::<Vec<_>>())?;
        let [web, db] = [0, 1].map(|guest| lab.guest(guest));
        let ifindexes = [web, db].map(Guest::ifindex);
        let mut capture = lab.host().try_run(|| Ok(Capture::start(ifindexes)?))?;
        let mut read = || -> Result<[Captured; 2]> {
            let [web, db] = ifindexes.map(|ifindex| capture.read(ifindex));
            let failed = |reason| anyhow!("not captured: {reason}");
            Ok([web.map_err(failed)?, db.map_err(failed)?])
        };
        let options = TcpOptions::new(family, scaled(BYTES));
        tcp_stream(&web.endpoint(), &db.endpoint(), &options)?;
        lab.wait_quiet()?;
        let by_mib = tcp_mib(web.ns(), "RetransSegs")?;
        let mut last = None;
        wait_until("all of it was captured", PATIENCE, || {
            let [web, db] = read()?;
            let (sent, passed) = (web.ingress, db.egress);
            let is_whole = [sent, passed].map(|count| count.goodput_bytes()) == [options.bytes; 2]
                && sent.again_segments == by_mib;
            let is_over = web.lost_frames + db.lost_frames > 0 || is_whole;
            last = Some(Self { web, db, by_mib });
            Ok(is_over)
        })
        .with_context(|| {
            let [web, db] = ifindexes.map(|ifindex| capture.read(ifindex));
            format!("{by_mib} segments were sent again; captured: {web:?}, {db:?}")
        })?;
        last.context("captured")
    }
}

/// One of which the capture has lost nothing: on a machine that is loaded it may, and
/// says so.
fn told(loss: Loss, family: Family) -> Result<Told> {
    for _ in 0..10 {
        let told = Told::of(loss, family)?;
        if told.web.lost_frames + told.db.lost_frames == 0 {
            return Ok(told);
        }
    }
    Err(anyhow!(
        "{loss:?}: the capture loses frames again and again"
    ))
}

/// A counter of TCP in `/proc/net/snmp` of a namespace.
fn tcp_mib(ns: &Netns, name: &str) -> Result<u64> {
    let text = ns.try_run(|| Ok(std::fs::read_to_string("/proc/thread-self/net/snmp")?))?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = lines.next().zip(lines.next()).context("two lines of TCP")?;
    let mut pairs = names.split(' ').zip(values.split(' '));
    let found = pairs.find(|(known, _)| *known == name);
    let (_, value) = found.with_context(|| format!("no {name}"))?;
    Ok(value.parse()?)
}

#[test]
fn what_is_lost_behind_a_tap_is_counted_to_the_segment() -> Result<()> {
    skip_unless_lab!();
    for family in [Family::V4, Family::V6] {
        let Told { web, db, by_mib } = told(Loss::Ring, family)?;
        ensure!(by_mib > 0, "nothing was lost in a ring of 16 frames");
        assert_eq!(db.egress.again_segments, by_mib, "{family:?}");
        assert_eq!(web.ingress.late_bytes, 0, "no gaps where they are sent");
        assert_eq!(web.flows, db.flows, "one connection, at both taps");
        assert_eq!(web.flows.len(), 1);
    }
    Ok(())
}

#[test]
fn where_nothing_is_lost_nothing_is_told() -> Result<()> {
    skip_unless_lab!();
    let Told { web, db, by_mib } = told(Loss::Nowhere, Family::V4)?;
    // A machine that stands still may make TCP impatient.
    assert_eq!(db.egress.again_segments, by_mib);
    assert_eq!(web.egress.bytes + db.ingress.bytes, 0, "acknowledgements");
    Ok(())
}

#[test]
fn what_is_lost_before_a_tap_is_told_by_what_fills_the_gap() -> Result<()> {
    skip_unless_lab!();
    let Told { db, by_mib, .. } = told(Loss::Queue, Family::V4)?;
    ensure!(by_mib > 0, "nothing was lost in a queue of 60 kB");
    let late = db.egress.again_segments;
    ensure!(
        late <= by_mib && late >= by_mib / 2,
        "{late} of {by_mib} segments"
    );
    ensure!(db.egress.late_bytes > 0, "they had not passed before");
    Ok(())
}
