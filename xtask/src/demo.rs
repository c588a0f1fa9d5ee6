//! `cargo xtask demo`: offwatch on a host made for it.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use anyhow::Result;

use crate::as_root::{announce, is_root, root_command};
use crate::run;
use crate::workspace::{TESTS_PACKAGE, Workspace};

/// Enough to see rates settle; then a pipe's reader wants an end.
const SNAPSHOTS: &[&str] = &["--stream", "-n", "3", "--interval", "2"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Further arguments for `offwatch top`
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let offwatch = workspace.build_offwatch(true)?;
    let mut build = workspace.cargo("build");
    build.args([
        "--release",
        "--package",
        TESTS_PACKAGE,
        "--bin",
        "offwatch-lab",
    ]);
    run::run(&mut build)?;

    let live = stdout().is_terminal();
    eprintln!("Three guests with TCP between them: web, db and legacy. legacy refuses TSO, so the");
    eprintln!(
        "host cuts its packets: compare the SWSEG columns.{}",
        if live { " q quits." } else { "" }
    );
    let program = offwatch.with_file_name("offwatch-lab");
    announce(program.as_os_str());
    let mut lab = root_command(program.as_os_str(), is_root());
    lab.arg("--")
        .arg(offwatch)
        .args(["top", "-4", "-c", "{uri}"]);
    let has_end = |argument: &String| ["--once", "--stream"].contains(&argument.as_str());
    if !live && !args.arguments.iter().any(has_end) {
        lab.args(SNAPSHOTS);
    }
    run::become_command(lab.args(&args.arguments))
}
