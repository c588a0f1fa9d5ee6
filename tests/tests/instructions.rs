//! How many instructions offwatch takes: what it costs whoever else runs, and however
//! fast the machine is. A tick that does twice the work fails here.

use std::{path::Path, process::Command, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use offwatch::{
    record::Recorder,
    sample::{
        Counters, ExactCounters, ExactHooks, Exactness, Host, Interface, Kind, Method, Nic, Sample,
        Vm, VmState,
        offloads::{Fact, KernelCounters},
    },
};
use offwatch_common::{ExactSlot, Slot, Traffic};
use offwatch_tests::{observer::binary, skip::left_out, skip_unless_program};

const INTERFACES: u32 = 1_000;
/// Models that are printed: of the difference is the figure.
const TICKS: [u64; 2] = [1, 3];
const INTERVAL_NS: u64 = 1_000_000_000;

/// Most instructions, about one and a half times of what it takes today: of a build
/// that is not optimised, and of one that is.
struct Limit {
    debug: u64,
    release: u64,
}

const TICK: Limit = Limit {
    debug: 1_000_000_000,
    release: 190_000_000,
};
const READING: Limit = Limit {
    debug: 824_000_000,
    release: 149_000_000,
};
const MODEL: Limit = Limit {
    debug: 176_000_000,
    release: 41_000_000,
};
const ADVICE: Limit = Limit {
    debug: 5_300_000_000,
    release: 1_070_000_000,
};

/// Less than such a part of a limit is not what the limit is of.
const FAR_BELOW: u64 = 5;

#[test]
fn a_tick_of_a_recording_takes_its_instructions() -> Result<()> {
    skip_unless_program!("valgrind");
    let (_directory, recording) = recording()?;
    let of = |what: &[&str]| -> Result<u64> {
        let of = |ticks: u64| {
            let ticks = ticks.to_string();
            let args = ["--stream", "-n", &ticks, "--replay", &recording];
            instructions(&[&["top"], what, &args].concat())
        };
        let [few, many] = TICKS.map(of);
        Ok((many? - few?) / (TICKS[1] - TICKS[0]))
    };
    let tick = of(&["-4"])?;
    judge("a tick of top --replay", tick, &TICK)?;
    // virt-top's figures need no model of interfaces: most of such a tick is reading.
    let reading = of(&[])?;
    judge("of that, reading", reading, &READING)?;
    judge(
        "of that, the model and its table",
        tick.saturating_sub(reading),
        &MODEL,
    )
}

#[test]
fn advice_on_a_recording_takes_its_instructions() -> Result<()> {
    skip_unless_program!("valgrind");
    let (_directory, recording) = recording()?;
    let all = instructions(&["advise", "--replay", &recording])?;
    judge("advise --replay", all, &ADVICE)
}

fn judge(what: &str, instructions: u64, limit: &Limit) -> Result<()> {
    println!("{what}, {INTERFACES} interfaces: {instructions} instructions");
    let binary = binary()?;
    // As cargo names the directories of its profiles: a binary does not tell.
    let profile = binary.parent().and_then(Path::file_name);
    let limit = match profile.and_then(|profile| profile.to_str()) {
        Some("debug") => limit.debug,
        Some("release") => limit.release,
        _ => {
            left_out("a limit: the program is in no directory of cargo's");
            return Ok(());
        }
    };
    ensure!(
        instructions <= limit,
        "{what} takes {instructions} instructions, more than {limit}"
    );
    ensure!(
        instructions >= limit / FAR_BELOW,
        "{what} takes {instructions} instructions, so few that {limit} holds nothing: lower it, \
         if it is that what was counted"
    );
    Ok(())
}

/// How many instructions the program executes, by callgrind.
fn instructions(args: &[&str]) -> Result<u64> {
    let directory = tempfile::tempdir().context("a directory")?;
    let counts = directory.path().join("counts");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(binary()?)
        .args(args)
        .output()
        .context("running valgrind")?;
    ensure!(
        output.status.success(),
        "under valgrind: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let counts = std::fs::read_to_string(counts).context("what callgrind counted")?;
    let total = counts.lines().find_map(|line| line.strip_prefix("totals:"));
    total
        .context("callgrind tells no total")?
        .trim()
        .parse()
        .context("callgrind's total")
}

/// A recording in which all interfaces have traffic, and half of them software work.
fn recording() -> Result<(tempfile::TempDir, String)> {
    let directory = tempfile::tempdir().context("a directory")?;
    let path = directory.path().join("recording");
    let mut recorder = Recorder::create(&path, None)?;
    for tick in 0..=TICKS[1] {
        recorder.write(&sample(tick), false)?;
    }
    let path = path.to_str().context("a path of plain text")?.to_owned();
    Ok((directory, path))
}

fn sample(tick: u64) -> Sample {
    let exact = || Exactness::Exact(Method::Fexit);
    Sample {
        time_unix_ms: tick * 1_000,
        monotonic_ns: (tick + 1) * INTERVAL_NS,
        host: Host {
            name: "host".into(),
            kernel: "6.12.0".into(),
            online_cpus: 8,
            exact: ExactHooks {
                segmentation: exact(),
                checksum: exact(),
                crc32c: exact(),
                ..ExactHooks::default()
            },
            ..Host::default()
        },
        interfaces: (0..INTERFACES)
            .map(|number| Arc::new(interface(number, tick)))
            .collect(),
        vms: (0..INTERFACES).map(vm).collect(),
        ..Sample::default()
    }
}

fn vm(number: u32) -> Vm {
    let nic = Nic {
        dev: Some(format!("tap{number}")),
        backend: "tap".into(),
        ..Nic::default()
    };
    Vm {
        name: format!("vm{number}").into(),
        id: Some(number),
        state: VmState::Running,
        nics: Arc::new(vec![nic]),
        ..Vm::default()
    }
}

fn interface(number: u32, tick: u64) -> Interface {
    let frames = (u64::from(number) + 100) * tick;
    let mut slot = Slot {
        ingress: traffic(frames),
        egress: traffic(2 * frames),
        ..Slot::default()
    };
    let mut exact = ExactSlot::default();
    if number.is_multiple_of(2) {
        slot.egress_work.gso_segments_gone = 40 * frames;
        slot.egress_work.single_frames_added = 40 * frames;
        exact.to_device.segmentation.segments = 40 * frames;
        exact.to_device.segmentation.ns = 9_000 * frames;
    }
    Interface {
        dev: format!("tap{number}").into(),
        ifindex: number + 2,
        generation: u64::from(number) + 1,
        kind: Kind::Tap,
        mac: Some("52:54:00:00:00:01".into()),
        mtu: 1500,
        counters: Counters::Counted(Arc::new(slot)),
        exact: ExactCounters::Counted(Arc::new(exact)),
        kernel: Fact::Known(KernelCounters {
            monotonic_ns: (tick + 1) * INTERVAL_NS,
            rx_packets: frames,
            tx_packets: 2 * frames,
            ..KernelCounters::default()
        }),
        ..Interface::default()
    }
}

fn traffic(frames: u64) -> Traffic {
    let mut traffic = Traffic::default();
    for (kind, at) in traffic.kinds.iter_mut().zip(1..) {
        (kind.packets, kind.bytes) = (at * frames, at * frames * 1_000);
    }
    traffic.gso_segments = 40 * frames;
    traffic
}
