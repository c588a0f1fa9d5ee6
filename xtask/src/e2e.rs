//! `cargo xtask e2e`: real QEMU guests under a real libvirtd.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::as_root::cargo_as_root;
use crate::run;
use crate::workspace::{TESTS_PACKAGE, VM_PACKAGE, VM_TESTS, Workspace};

pub(crate) fn run() -> Result<ExitCode> {
    run::become_command(&mut command(&Workspace::find()?)?)
}

/// Guests share the host's processors, so one test at a time.
pub(crate) fn command(workspace: &Workspace) -> Result<Command> {
    let offwatch = workspace.build_offwatch(true)?;
    let mut command = cargo_as_root(workspace, "test")?;
    command.args(["--release", "--no-fail-fast", "--package", TESTS_PACKAGE]);
    command.args(["--package", VM_PACKAGE]);
    for test in VM_TESTS {
        command.args(["--test", test]);
    }
    command.args(["--", "--include-ignored", "--nocapture", "--test-threads=1"]);
    // They were asked for: what cannot run has failed.
    command.env("OFFWATCH_E2E_REQUIRED", "1");
    command.env("OFFWATCH_BIN", offwatch);
    Ok(command)
}
