//! A demonstration host: three guests with steady traffic, libvirt's view of
//! them, and a command of your choice inside.
//!
//!     offwatch-lab --seconds 30 -- offwatch top --connect {uri}
//!
//! Nothing stays behind: the namespaces have no names, libvirt's file is in
//! memory, and both end with the process.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use offwatch_tests::domains::{Domain, TestDriver};
use offwatch_tests::guest::Family;
use offwatch_tests::supervise::Signals;
use offwatch_tests::traffic::{TcpFlow, TcpOptions};
use offwatch_tests::{GuestConfig, Lab, Offloads, skip_reason};

/// Runs a command on a demonstration KVM host with three busy guests.
///
/// web -> db and web -> legacy run over IPv4, db -> web over IPv6. legacy
/// refuses TSO, so the host segments for it.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Ask the command to end after this many seconds.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,

    /// Rate of each flow in Mbit/s.
    #[arg(long, value_name = "MBIT", default_value_t = 200)]
    rate: u64,

    /// Command to run; {uri} becomes the libvirt URI of this host.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        // Exit codes have 8 bits; so has everything we pass on.
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("offwatch-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<i32> {
    // Before any thread starts, so that each inherits the mask.
    let signals = Signals::hold()?;
    if let Some(reason) = skip_reason() {
        bail!("{reason}");
    }
    let lab = demo_host()?;
    let _flows = demo_flows(&lab, args.rate * 1_000_000)?;
    let domains: Vec<_> = lab.guests().iter().map(Domain::of).collect();
    let libvirt = TestDriver::new(&domains)?;
    let command = command(&lab, &libvirt.uri(), &args.command)?;
    signals.run(command, args.seconds.map(Duration::from_secs))
}

fn demo_host() -> Result<Lab> {
    let mut lab = Lab::new()?;
    lab.add_guest(GuestConfig::new("web", 1))?;
    lab.add_guest(GuestConfig::new("db", 2))?;
    lab.add_guest(GuestConfig {
        offloads: Offloads::CSUM_ONLY,
        ..GuestConfig::new("legacy", 3)
    })?;
    Ok(lab)
}

fn demo_flows(lab: &Lab, bits_per_second: u64) -> Result<Vec<TcpFlow>> {
    let (web, db, legacy) = (lab.guest(0), lab.guest(1), lab.guest(2));
    [
        (web, db, Family::V4),
        (web, legacy, Family::V4),
        (db, web, Family::V6),
    ]
    .into_iter()
    .map(|(from, to, family)| {
        let options = TcpOptions {
            bits_per_second: Some(bits_per_second),
            ..TcpOptions::new(family, 0)
        };
        TcpFlow::start(&from.endpoint(), &to.endpoint(), options)
    })
    .collect()
}

fn command(lab: &Lab, uri: &str, argv: &[String]) -> Result<Command> {
    let (program, args) = argv.split_first().context("no command")?;
    let mut command = lab.host().command(program);
    command.args(args.iter().map(|arg| arg.replace("{uri}", uri)));
    Ok(command)
}
