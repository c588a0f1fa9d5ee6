//! Taps come and go by the hundred: every one is counted from zero, no count
//! moves to another, and nothing grows.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, Map, MapData};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch_common::ifindexes::{GROUP, Group};
use offwatch_tests::{
    Lab,
    command::ip_batch,
    footprint::BpfObjects,
    frames::FrameSpec,
    guest::Family,
    observer::{Observer, Seen, grown, number, side},
    quiet::wait_until,
    scaled, skip_unless_lab,
    tap::Tap,
    traffic::{TcpFlow, TcpOptions},
};

const ROUNDS: u64 = 10;
const TAPS: u64 = 50;

#[test]
fn five_hundred_taps_come_and_go_under_traffic() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    let observer = Observer::start(lab.host(), &[])?;
    lab.wait_quiet()?;
    let before = seen(&lab, &observer)?;
    let limited = TcpOptions {
        bits_per_second: Some(scaled(100_000_000)),
        ..TcpOptions::new(Family::V4, u64::MAX)
    };
    let flow = TcpFlow::start(&lab.guest(0).endpoint(), &lab.guest(1).endpoint(), limited)?;
    let slots_before = assigned_slots(&observer)?;
    let mut usage = Vec::new();
    for round in 0..ROUNDS {
        one_round(&lab, &observer, round).with_context(|| format!("round {round} of {ROUNDS}"))?;
        wait_until("slots to be given back", Duration::from_secs(10), || {
            Ok(assigned_slots(&observer)? == slots_before)
        })?;
        usage.push(Usage::at_rest(observer.pid())?);
    }
    flow.stop()?;
    lab.wait_quiet()?;

    // The two that stayed were counted to the frame all along.
    let after = seen(&lab, &observer)?;
    for (guest, (before, after)) in before.iter().zip(&after).enumerate() {
        let kernel = after.0.since(&before.0);
        for (side, kernel) in [("from_vm", kernel.rx_packets), ("to_vm", kernel.tx_packets)] {
            let of = |seen: &Seen| match side {
                "from_vm" => seen.from_vm.clone(),
                _ => seen.to_vm.clone(),
            };
            let counted = grown(&of(&after.1), &of(&before.1), "packets_total")?;
            assert_eq!(counted, kernel, "guest {guest} {side}");
        }
    }
    // The first rounds fill caches and buffers.
    let (early, late) = (&usage[2], &usage[usage.len() - 1]);
    assert_eq!(late.descriptors, early.descriptors, "{usage:?}");
    assert!(
        late.memory_kib <= early.memory_kib + 1024,
        "memory grows: {usage:?}"
    );
    Ok(())
}

/// While offwatch stands still, more interfaces come and go than the kernel
/// keeps notifications for: afterwards it shows those there are.
#[test]
fn lost_notifications_leave_no_ghosts() -> Result<()> {
    skip_unless_lab!();
    const LINKS: usize = 300;
    let lab = Lab::new()?;
    let observer = Observer::start(lab.host(), &[])?;
    let pid = Pid::from_raw(i32::try_from(observer.pid())?);
    let slots_before = assigned_slots(&observer)?;
    kill(pid, Signal::SIGSTOP)?;
    let names = || (0..LINKS).map(|link| format!("ghost{link}"));
    let add: Vec<_> = names()
        .map(|name| format!("link add {name} type bridge"))
        .collect();
    ip_batch(lab.host(), &add)?;
    let delete: Vec<_> = names().map(|name| format!("link del {name}")).collect();
    ip_batch(lab.host(), &delete)?;
    kill(pid, Signal::SIGCONT)?;
    wait_until("the ghosts to go", Duration::from_secs(20), || {
        let shown = observer.now()?["other_interfaces"]
            .as_array()
            .map_or(0, Vec::len);
        Ok(shown == 1 && assigned_slots(&observer)? == slots_before)
    })
}

/// Creates taps, sends a different number of frames from each, checks that
/// just those are shown, and removes them. Names are used again each round.
fn one_round(lab: &Lab, observer: &Observer, round: u64) -> Result<()> {
    let taps: Vec<Tap> = (0..TAPS)
        .map(|index| Tap::create(lab.host(), &format!("churn{index}"), 1))
        .collect::<Result<_>>()?;
    let up: Vec<String> = taps
        .iter()
        .map(|tap| format!("link set {} up", tap.name()))
        .collect();
    ip_batch(lab.host(), &up)?;
    wait_until("all taps to be shown", Duration::from_secs(10), || {
        let model = observer.now()?;
        Ok(taps
            .iter()
            .all(|tap| side(&model, tap.name(), false).is_ok()))
    })?;
    let mut sent = HashMap::new();
    for (index, tap) in (0..).zip(&taps) {
        let frames = (index * 7 + round) % 23 + 1;
        send(tap, frames)?;
        sent.insert(tap.name().to_owned(), frames);
    }
    let model = observer.now()?;
    for (dev, frames) in &sent {
        let counted = number(side(&model, dev, false)?, "packets_total")?;
        ensure!(
            counted == *frames,
            "{dev} sent {frames} frames, {counted} are shown"
        );
    }
    Ok(())
}

fn send(tap: &Tap, frames: u64) -> Result<()> {
    let nobody = ([0x52, 0x54, 0, 0, 0, 1], [198, 18, 9, 9].into());
    let everybody = ([0xff; 6], [198, 18, 9, 10].into());
    let (frame, header) = FrameSpec::udp4(nobody, everybody, 100).build()?;
    tap.write(&frame, header, frames)
}

fn seen(lab: &Lab, observer: &Observer) -> Result<Vec<(offwatch_tests::link::LinkStats, Seen)>> {
    let model = observer.now()?;
    let guests = lab.guests().iter();
    guests
        .map(|guest| Ok((guest.kernel_stats()?, Seen::of(&model, guest)?)))
        .collect()
}

/// How many interfaces have a slot, read from the map that the programs use.
fn assigned_slots(observer: &Observer) -> Result<usize> {
    let held = BpfObjects::of(observer.pid())?;
    let map = aya::maps::loaded_maps()
        .filter_map(Result::ok)
        .find(|map| held.maps.contains(&map.id()) && map.name_as_str() == Some("SLOT_OF"))
        .context("offwatch has no map SLOT_OF")?;
    let groups: Array<MapData, Group> = Map::Array(MapData::from_id(map.id())?).try_into()?;
    // Interfaces of a young namespace have small indexes.
    let slots = (0..2_000 / GROUP).filter_map(|group| groups.get(&group, 0).ok());
    Ok(slots.flatten().filter(|slot| *slot != 0).count())
}

#[derive(Debug)]
struct Usage {
    descriptors: usize,
    memory_kib: u64,
}

impl Usage {
    /// The least of several readings: a look into /proc opens files for a moment.
    fn at_rest(pid: u32) -> Result<Self> {
        let mut least = Self::of(pid)?;
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(20));
            let now = Self::of(pid)?;
            least.descriptors = least.descriptors.min(now.descriptors);
            least.memory_kib = least.memory_kib.min(now.memory_kib);
        }
        Ok(least)
    }

    fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = resident.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Ok(Self {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            memory_kib: kib.context("RssAnon in /proc/PID/status")?,
        })
    }
}
