//! A host of ten thousand interfaces: all of them are listed, those with traffic are
//! counted to the frame, a tick takes no more system calls than with ten, and nothing
//! is left behind.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use offwatch_tests::{
    Lab, Netns,
    bench::{
        running::{Output, Running},
        syscalls::{self, Calls},
    },
    command::ip_batch,
    equal::{self, seen, snapshot},
    footprint::{BpfObjects, network_state},
    guest::Family,
    observer::{Observer, binary, offwatch},
    quiet::wait_until,
    scaled, skip_unless_lab, skip_unless_program,
    traffic::{TcpOptions, tcp_stream},
    udp::{UdpOptions, udp_stream},
};
use serde_json::Value;

const MANY: u32 = 10_000;
const FEW: u32 = 10;
/// Models in which every interface has had its turn, and more.
const TURNS: usize = 20;
/// Of which strace is asked, with either number.
const TICKS: usize = 5;
/// Of a call more than with few interfaces: a sample that is late looks once more
/// whether anything was notified. One for every interface is ten thousand more.
const BY_CHANCE: u64 = 4;

#[test]
fn ten_thousand_interfaces_are_counted_to_the_frame() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    let crowd = crowd(lab.host(), MANY)?;
    lab.add_guests(&["web", "db"])?;
    let devices = ["br0", lab.guest(0).tap(), lab.guest(1).tap(), &*crowd[0]];
    let untouched = network_state(lab.host(), &devices)?;
    let mut command = offwatch(lab.host(), &[])?;
    // A line has some 30 MB.
    command.args(["top", "--stream", "--json", "-d", "3"]);
    let observer = Observer::spawn(command)?;
    let held = BpfObjects::of(observer.pid())?;
    assert!(held.links.len() >= 4, "{held:?}");
    lab.wait_quiet()?;
    let before = snapshot(&lab, &observer)?;

    let (web, db) = (lab.guest(0).endpoint(), lab.guest(1).endpoint());
    tcp_stream(&web, &db, &TcpOptions::new(Family::V4, scaled(50_000_000)))?;
    let small = TcpOptions {
        max_segment_bytes: Some(536),
        ..TcpOptions::new(Family::V6, scaled(5_000_000))
    };
    tcp_stream(&db, &web, &small)?;
    let datagrams = UdpOptions::new(Family::V4, scaled(20_000), 300);
    udp_stream(&db, &web, &datagrams)?;

    lab.wait_quiet()?;
    // Each takes three lines.
    let mut model = observer.now()?;
    let after = seen(&lab, &model)?;
    for (guest, (before, after)) in lab.guests().iter().zip(before.iter().zip(&after)) {
        let counts = after.0.since(&before.0);
        let packets = counts.to_vm.packets + counts.from_vm.packets;
        assert!(packets >= scaled(20_000), "only {packets} frames");
        equal::guest(guest.name(), &counts, &before.1, &after.1)?;
    }
    // The kernel's counters of all interfaces are read by turns.
    for _ in 0..TURNS {
        if missing(&model, &crowd)?.is_empty() {
            break;
        }
        model = observer.now()?;
    }
    let missing = missing(&model, &crowd)?;
    assert!(
        missing.is_empty(),
        "{} of {} are not listed, not counted, or not at rest: {:?}...",
        missing.len(),
        crowd.len(),
        &missing[..missing.len().min(5)]
    );

    observer.kill()?;
    // The kernel frees maps a little after their last user has ended.
    wait_until("its BPF objects to go", Duration::from_secs(10), || {
        Ok(held.alive().is_empty())
    })?;
    assert!(
        network_state(lab.host(), &devices)? == untouched,
        "something about the interfaces has changed"
    );
    Ok(())
}

/// Those that are not listed once, counted, and without a frame.
fn missing<'crowd>(model: &Value, crowd: &'crowd [String]) -> Result<Vec<&'crowd str>> {
    let others = model["other_interfaces"].as_array().context("interfaces")?;
    let shown = others.iter().filter(|shown| {
        let is_counted = ["rx", "tx"]
            .iter()
            .all(|side| shown[side]["packets_total"] == 0);
        is_counted && shown["kernel"] != Value::Null
    });
    let shown: Vec<&str> = shown.filter_map(|shown| shown["dev"].as_str()).collect();
    let set: BTreeSet<&str> = shown.iter().copied().collect();
    assert_eq!(set.len(), shown.len(), "none is listed twice");
    let names = crowd.iter().map(String::as_str);
    Ok(names.filter(|name| !set.contains(name)).collect())
}

#[test]
fn a_tick_takes_as_many_system_calls_as_with_ten_interfaces() -> Result<()> {
    skip_unless_lab!();
    skip_unless_program!("strace");
    const LIBVIRT: &str = "test:///default";
    let ways: [(&str, &[&str], Output, &str); 3] = [
        (
            "top -4",
            &["top", "-4", "-d", "0.3", "-c", LIBVIRT],
            Output::Terminal,
            syscalls::SAMPLE,
        ),
        (
            "top --stream",
            &["top", "--stream", "-d", "0.3", "-c", LIBVIRT],
            Output::Pipe,
            syscalls::OUTPUT,
        ),
        (
            "export",
            &[
                "export",
                "--listen",
                "127.0.0.1:0",
                "-d",
                "0.3",
                "-c",
                LIBVIRT,
            ],
            Output::Pipe,
            syscalls::SAMPLE,
        ),
    ];
    let of_a_host = |interfaces: u32| -> Result<Vec<Calls>> {
        let ns = Netns::new()?;
        crowd(&ns, interfaces)?;
        let ways = ways.iter();
        ways.map(|(name, args, output, mark)| {
            calls(&ns, args, *output, mark)
                .with_context(|| format!("{name}, {interfaces} interfaces"))
        })
        .collect()
    };
    let (few, many) = (of_a_host(FEW)?, of_a_host(MANY)?);
    for (((name, ..), few), many) in ways.iter().zip(&few).zip(&many) {
        let [few, many] = [few, many].map(syscalls::asking);
        assert!(!few.is_empty(), "{name}: strace saw nothing of a tick");
        println!(
            "{name}: {} system calls a tick, memory and waiting aside: {many:?}",
            many.values().sum::<u64>()
        );
        let of_few = |call: &String| few.get(call).copied().unwrap_or(0);
        let more = many.iter();
        let more = more.filter(|(call, count)| **count > of_few(call) + BY_CHANCE);
        let more: Vec<String> = more
            .map(|(call, count)| format!("{call} {count} instead of {}", of_few(call)))
            .collect();
        assert!(
            more.is_empty(),
            "{name}: a tick with {MANY} interfaces takes more system calls than one with {FEW}: {}",
            more.join(", ")
        );
    }
    Ok(())
}

/// The same in a PID namespace of its own: what VMs and processes there are beside
/// it makes no difference then.
fn alone(ns: &Netns, args: &[&str]) -> Result<Command> {
    let mut command = ns.command("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.arg(binary()?).args(args);
    Ok(command)
}

/// The only child of a process.
fn child(pid: u32) -> Result<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    children.trim().parse().context("its only child")
}

/// What a tick takes once every interface has had its turn, which takes some.
fn calls(ns: &Netns, args: &[&str], output: Output, mark: &str) -> Result<Calls> {
    const TURNS: Duration = Duration::from_secs(3);
    let running = Running::start(alone(ns, args)?, output)?;
    let begun = Instant::now();
    wait_until("it to take its turns", TURNS * 2, || {
        Ok(begun.elapsed() >= TURNS && running.memory_kib().is_ok())
    })?;
    let calls = syscalls::of_a_tick(child(running.pid())?, mark, TICKS)?;
    calls.context("strace is not installed")
}

/// Taps that nobody has opened.
fn crowd(ns: &Netns, count: u32) -> Result<Vec<String>> {
    let names: Vec<String> = (0..count).map(|number| format!("crowd{number}")).collect();
    let lines = names
        .iter()
        .map(|name| format!("tuntap add dev {name} mode tap"));
    ip_batch(ns, &lines.collect::<Vec<_>>())?;
    Ok(names)
}
