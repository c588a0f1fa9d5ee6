//! The screen of a host under traffic, in a real terminal.

#[allow(dead_code, reason = "the tests of the screen alone use the rest")]
#[path = "../../offwatch/tests/screen/tmux.rs"]
mod tmux;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch_tests::{
    GuestConfig, Lab, Offloads,
    domains::{Domain, TestDriver},
    footprint::{BpfObjects, network_state},
    guest::Family,
    observer,
    quiet::wait_until,
    skip_unless_lab,
    traffic::{TcpFlow, TcpOptions},
};

use self::tmux::Tmux;

/// The program under test.
fn binary() -> PathBuf {
    observer::binary().expect("offwatch is built")
}

#[test]
fn a_live_screen_shows_work_and_its_own_cost_and_leaves_nothing_behind() -> Result<()> {
    skip_unless_lab!();
    if !tmux::is_there() {
        return Ok(());
    }
    let mut lab = Lab::new()?;
    lab.add_guest(GuestConfig::new("web", 1))?;
    lab.add_guest(GuestConfig {
        offloads: Offloads::CSUM_ONLY,
        ..GuestConfig::new("legacy", 2)
    })?;
    let limited = TcpOptions {
        bits_per_second: Some(50_000_000),
        ..TcpOptions::new(Family::V4, u64::MAX)
    };
    let flow = TcpFlow::start(&lab.guest(0).endpoint(), &lab.guest(1).endpoint(), limited)?;
    let devices = ["br0", lab.guest(0).tap(), lab.guest(1).tap()];
    let before = network_state(lab.host(), &devices)?;

    let terminal = Tmux::new();
    let domains: Vec<_> = lab.guests().iter().map(Domain::of).collect();
    let libvirt = TestDriver::new(&domains)?;
    let uri = libvirt.uri();
    let namespace = lab.host().path();
    let command = format!(
        "sh -c 'echo $$ > pid; exec nsenter --net={} \"$BIN\" top -4 -d 0.5 -c {uri}'\n\
         echo $? > code\ncat\n",
        namespace.display()
    );
    terminal.run(100, 45, &command);

    // Cut for legacy, and not for web.
    terminal.wait("segments cut for legacy", |screen| {
        let cell = |vm: &str| {
            let row = screen.lines().find(|line| line.starts_with(vm))?;
            row.split_whitespace().nth(6).map(str::to_owned)
        };
        cell("web").as_deref() == Some("0") && cell("legacy").is_some_and(|cut| cut.ends_with('k'))
    });
    terminal.text("/legacy");
    terminal.keys(&["Enter", "Enter"]);
    terminal.wait("who causes it", |screen| {
        screen.contains("segments/s, all from web")
    });
    terminal.text("o");
    terminal.wait("runs of its programs", |screen| {
        let cost = screen.lines().find(|line| line.contains(" BPF programs: "));
        cost.is_some_and(|cost| !cost.contains(" 0 runs/s") && cost.contains(" ns, "))
    });

    let pid: u32 = terminal.wait_for_file("pid").trim_end().parse()?;
    let held = BpfObjects::of(pid)?;
    assert!(held.links.len() >= 4, "{held:?}");
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
    assert_eq!(terminal.wait_for_file("code"), "0\n");
    assert_eq!(terminal.variable("alternate_on"), "0");
    // The kernel frees maps a little after their last user has ended.
    wait_until("its BPF objects to go", Duration::from_secs(10), || {
        Ok(held.alive().is_empty())
    })?;
    assert_eq!(network_state(lab.host(), &devices)?, before);
    flow.stop()?;
    Ok(())
}
