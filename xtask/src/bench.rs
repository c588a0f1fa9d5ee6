//! `cargo xtask bench`: what observing costs.

use std::process::ExitCode;

use anyhow::Result;

use crate::as_root::cargo_as_root;
use crate::workspace::{TESTS_PACKAGE, Workspace};
use crate::{ebpf, run};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fewer repetitions: a rough number soon
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    // The empty programs that offwatch is held against.
    ebpf::build()?;
    let workspace = Workspace::find()?;
    // As it is installed: what it costs with thousands of interfaces is measured, too.
    workspace.build_offwatch(true)?;
    let mut command = cargo_as_root(&workspace, "run")?;
    command.args([
        "--release",
        "--package",
        TESTS_PACKAGE,
        "--bin",
        "offwatch-bench",
        "--",
    ]);
    if args.quick {
        command.arg("--quick");
    }
    run::become_command(&mut command)
}
