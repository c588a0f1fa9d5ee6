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
use offwatch_tests::demo::DemoHost;
use offwatch_tests::supervise::Signals;
use offwatch_tests::{Lab, skip_reason};

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
    let host = DemoHost::new(args.rate * 1_000_000)?;
    let command = command(host.lab(), &host.uri(), &args.command)?;
    signals.run(command, args.seconds.map(Duration::from_secs))
}

fn command(lab: &Lab, uri: &str, argv: &[String]) -> Result<Command> {
    let (program, args) = argv.split_first().context("no command")?;
    let mut command = lab.host().command(program);
    command.args(args.iter().map(|arg| arg.replace("{uri}", uri)));
    Ok(command)
}
