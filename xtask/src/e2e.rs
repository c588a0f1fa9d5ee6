//! `cargo xtask e2e`: real QEMU guests under a real libvirtd.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::as_root::cargo_as_root;
use crate::run;
use crate::workspace::{E2E_TEST, TESTS_PACKAGE, Workspace};

pub(crate) fn run() -> Result<ExitCode> {
    run::become_command(&mut command(&Workspace::find()?)?)
}

/// Guests share two cores and a bridge, so one test at a time.
pub(crate) fn command(workspace: &Workspace) -> Result<Command> {
    let mut command = cargo_as_root(workspace, "test")?;
    command.args(["--release", "--package", TESTS_PACKAGE, "--test", E2E_TEST]);
    command.args(["--", "--include-ignored", "--nocapture", "--test-threads=1"]);
    Ok(command)
}
