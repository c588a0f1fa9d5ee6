//! Killed at any moment, offwatch leaves nothing behind.

use std::{process::Stdio, thread, time::Duration};

use anyhow::{Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch_tests::{
    Lab,
    footprint::{BpfObjects, network_state},
    guest::Family,
    observer::{Observer, hooks, offwatch},
    quiet::wait_until,
    scaled, skip_unless_lab,
    traffic::{TcpFlow, TcpOptions},
};

const RUNS: u64 = 20;
/// Both ways of choosing the moment with each hook, twice.
const LEAST_RUNS: u64 = 12;
const HOOKS: [&str; 3] = ["tp", "raw", "tc"];

#[test]
fn a_kill_at_any_moment_leaves_nothing_behind() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    let devices = ["br0", lab.guest(0).tap(), lab.guest(1).tap()];
    let limited = TcpOptions {
        bits_per_second: Some(scaled(200_000_000)),
        ..TcpOptions::new(Family::V4, u64::MAX)
    };
    let flow = TcpFlow::start(&lab.guest(0).endpoint(), &lab.guest(1).endpoint(), limited)?;
    let before = network_state(lab.host(), &devices)?;
    let hooks = hooks(&HOOKS);
    let mut most = BpfObjects::default();
    for run in 0..scaled(RUNS).max(LEAST_RUNS) {
        let hook = hooks[run as usize / 2 % hooks.len()];
        let held = if run % 2 == 0 {
            // From "has not begun" to "is loading" or "counts", as it happens.
            let args = ["top", "--stream", "--json", "-d", "0.1", "--hook", hook];
            let mut child = offwatch(lab.host(), &args)?.stdout(Stdio::null()).spawn()?;
            thread::sleep(Duration::from_millis(run * 40 + random_millis(40)?));
            let held = stop_and_look(child.id())?;
            child.kill()?;
            child.wait()?;
            held
        } else {
            // At some moment after it has begun to count.
            let observer = Observer::start(lab.host(), &["--hook", hook])?;
            thread::sleep(Duration::from_millis(random_millis(150)?));
            let held = stop_and_look(observer.pid())?;
            observer.kill()?;
            held
        };

        wait_until("its BPF objects to go", Duration::from_secs(10), || {
            Ok(held.alive().is_empty())
        })
        .map_err(|error| error.context(format!("{hook}, run {run}: {:?}", held.alive())))?;
        let after = network_state(lab.host(), &devices)?;
        ensure!(
            after == before,
            "{hook}, run {run}: {before}\nbecame\n{after}"
        );
        if held.links.len() > most.links.len() {
            most = held;
        }
    }
    flow.stop()?;
    // Or the test has killed nothing that mattered.
    assert!(most.links.len() >= 4 && !most.maps.is_empty(), "{most:?}");
    Ok(())
}

/// What it holds; it must stand still while its descriptors are read.
fn stop_and_look(pid: u32) -> Result<BpfObjects> {
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGSTOP)?;
    BpfObjects::of(pid)
}

fn random_millis(below: u64) -> Result<u64> {
    use std::io::Read as _;
    let mut byte = [0];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut byte)?;
    Ok(u64::from(byte[0]) * below / 256)
}

#[test]
fn ending_it_in_order_leaves_nothing_behind_either() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    let devices = ["br0", lab.guest(0).tap()];
    let before = network_state(lab.host(), &devices)?;
    for hook in hooks(&HOOKS) {
        let output =
            offwatch(lab.host(), &["top", "--once", "-d", "0.1", "--hook", hook])?.output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        ensure!(network_state(lab.host(), &devices)? == before, "{hook}");
    }
    let output = offwatch(lab.host(), &["doctor"])?.output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(network_state(lab.host(), &devices)? == before, "doctor");
    Ok(())
}
