//! `cargo xtask e2e`: real QEMU guests under a real libvirtd.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::as_root::cargo_as_root;
use crate::run;
use crate::workspace::{TESTS_PACKAGE, VM_PACKAGE, VM_TESTS, Workspace};

/// Tries what docs/turn-it-off.md shows.
const TRIAL_TEST: &str = "e2e_trial";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only run the trial of docs/turn-it-off.md, at length, and write that
    #[arg(long)]
    write_docs: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let mut command = match args.write_docs {
        true => {
            let mut command = of(&workspace, &[TRIAL_TEST])?;
            command.env("OFFWATCH_WRITE_DOCS", "1");
            command
        }
        false => command(&workspace)?,
    };
    run::become_command(&mut command)
}

/// All of them.
pub(crate) fn command(workspace: &Workspace) -> Result<Command> {
    of(workspace, VM_TESTS)
}

/// Guests share the host's processors, so one test at a time.
fn of(workspace: &Workspace, tests: &[&str]) -> Result<Command> {
    let offwatch = workspace.build_offwatch(true)?;
    let mut command = cargo_as_root(workspace, "test")?;
    command.args(["--release", "--no-fail-fast", "--package", TESTS_PACKAGE]);
    command.args(["--package", VM_PACKAGE]);
    for test in tests {
        command.args(["--test", test]);
    }
    command.args(["--", "--include-ignored", "--nocapture", "--test-threads=1"]);
    // They were asked for: what cannot run has failed.
    command.env("OFFWATCH_E2E_REQUIRED", "1");
    command.env("OFFWATCH_BIN", offwatch);
    Ok(command)
}
