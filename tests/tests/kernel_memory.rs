//! What offwatch takes of the kernel's memory, by the kernel's own account, and
//! that ifindexes beyond those of a small table are counted all the same.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use offwatch_tests::{
    Lab,
    command::ip_batch,
    frames::FrameSpec,
    kernel, link,
    observer::{Observer, hooks, number, side},
    quiet::wait_until,
    skip::skipped,
    skip_unless_lab,
    tap::Tap,
};

const MIB: u64 = 1 << 20;

/// `BPF_MAP_TYPE_PERCPU_ARRAY` and `BPF_MAP_TYPE_RINGBUF`.
const PER_CPU_ARRAY: u64 = 6;
const RING: u64 = 27;

/// Processors of a large host.
const MANY_CPUS: u64 = 512;

#[test]
fn maps_fit_in_16_mib_on_any_number_of_processors() -> Result<()> {
    skip_unless_lab!();
    if let Some(reason) = kernel::MAP_MEMORY.lacking() {
        skipped(&reason);
        return Ok(());
    }
    let lab = Lab::new()?;
    let observer = Observer::start(lab.host(), &[])?;
    let maps = maps(observer.pid())?;
    assert!(maps.len() > 5, "{maps:?}");
    let taken: u64 = maps.iter().map(|map| map.bytes).sum();
    assert!(taken > 15 * MIB, "counters of 16,384 slots: {maps:?}");
    let each_cpu: u64 = maps
        .iter()
        .filter(|map| map.kind == PER_CPU_ARRAY)
        .map(|map| map.values * map.value_bytes.next_multiple_of(8))
        .sum();
    assert!(each_cpu <= 700, "{each_cpu} bytes for each CPU: {maps:?}");
    let on_many_cpus = taken + each_cpu * MANY_CPUS;
    assert!(on_many_cpus <= 16 * MIB, "{on_many_cpus} bytes: {maps:?}");
    Ok(())
}

/// The ring for records of packets is there for whoever asks for them.
#[test]
fn a_log_has_room_only_if_it_is_written() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let ring = |args: &[&str]| -> Result<u64> {
        let observer = Observer::start(lab.host(), args)?;
        let maps = maps(observer.pid())?;
        let ring = maps.iter().find(|map| map.kind == RING);
        Ok(ring.context("a ring")?.values)
    };
    // SAFETY: asks for a constant of the system.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })?;
    assert_eq!(ring(&[])?, page);
    assert_eq!(ring(&["--bpf-log"])?, 128 * 1024);
    Ok(())
}

/// A map, as its descriptor tells of it.
#[derive(Debug)]
struct MapInfo {
    kind: u64,
    value_bytes: u64,
    /// Of a ring, its bytes.
    values: u64,
    bytes: u64,
}

/// Those that a process holds.
fn maps(pid: u32) -> Result<Vec<MapInfo>> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // A descriptor may be closed while we look.
        let Ok(info) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        let field = |name: &str| {
            let of = |line: &str| {
                line.strip_prefix(name)?
                    .strip_prefix(':')?
                    .trim()
                    .parse()
                    .ok()
            };
            info.lines().find_map(of)
        };
        let Some(id) = field("map_id") else { continue };
        let told = |name: &str| field(name).with_context(|| format!("no {name}: {info}"));
        let map = MapInfo {
            kind: told("map_type")?,
            value_bytes: told("value_size")?,
            values: told("max_entries")?,
            bytes: told("memlock")?,
        };
        maps.insert(id, map);
    }
    Ok(maps.into_values().collect())
}

/// Beyond the array, and two of them where its ends are.
fn high_ifindexes() -> Vec<u32> {
    let ends = [65_535, 65_536, 131_072, i32::MAX as u32];
    ends.into_iter().chain(70_000..70_060).collect()
}

/// Interfaces whose numbers find no place in the array are told apart, and one
/// that takes over a number starts from zero.
#[test]
fn high_ifindexes_are_counted_and_reused() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&["tp", "raw", "tc"]) {
        let lab = Lab::new()?;
        let observer = Observer::start(lab.host(), &["--hook", hook])?;
        let mut taps = high_ifindexes()
            .into_iter()
            .map(|ifindex| made(&lab, "first", ifindex))
            .collect::<Result<Vec<_>>>()?;
        // One that a table indexed by the lower bits would take for another.
        taps.push(made(&lab, "first", 70_000 - 65_536)?);
        let mut expected = BTreeMap::new();
        send(&lab, &observer, &taps, &mut expected).context(hook)?;

        let ifindex_of = |tap: &Tap| link::ifindex(lab.host(), tap.name());
        let gone: Vec<Tap> = taps
            .extract_if(.., |tap| tap.name().ends_with(['0', '3', '5']))
            .collect();
        let reused = gone.iter().map(ifindex_of).collect::<Result<Vec<_>>>()?;
        for tap in gone {
            expected.remove(tap.name());
            drop(tap);
        }
        for ifindex in reused {
            taps.push(made(&lab, "second", ifindex)?);
        }
        send(&lab, &observer, &taps, &mut expected).context(hook)?;
    }
    Ok(())
}

fn made(lab: &Lab, name: &str, ifindex: u32) -> Result<Tap> {
    let name = format!("{}{ifindex}", &name[..1]);
    let tap = Tap::create_at(lab.host(), &name, ifindex)?;
    ensure!(link::ifindex(lab.host(), &name)? == ifindex, "{name}");
    ip_batch(lab.host(), &[format!("link set {name} up")])?;
    Ok(tap)
}

/// Sends a different number of frames from each tap; all that were ever sent are
/// counted, where they were sent.
fn send(
    lab: &Lab,
    observer: &Observer,
    taps: &[Tap],
    expected: &mut BTreeMap<String, u64>,
) -> Result<()> {
    wait_until("all taps to be counted", Duration::from_secs(10), || {
        let model = observer.now()?;
        let counted = |tap: &Tap| side(&model, tap.name(), false).is_ok();
        Ok(taps.iter().all(counted))
    })?;
    let nobody = ([0x52, 0x54, 0, 0, 0, 1], [198, 18, 9, 9].into());
    let everybody = ([0xff; 6], [198, 18, 9, 10].into());
    let (frame, header) = FrameSpec::udp4(nobody, everybody, 100).build()?;
    for (tap, frames) in taps.iter().zip(1..) {
        tap.write(&frame, header, frames)?;
        *expected.entry(tap.name().to_owned()).or_default() += frames;
    }
    let model = observer.now()?;
    for (dev, frames) in expected {
        let counted = number(side(&model, dev, false)?, "packets_total")?;
        let kernel = link::stats(lab.host(), dev)?.rx_packets;
        ensure!(
            (counted, kernel) == (*frames, *frames),
            "{dev} sent {frames} frames, {counted} are shown, the kernel has {kernel}"
        );
    }
    Ok(())
}
