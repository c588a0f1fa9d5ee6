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
    let mut build = workspace.cargo("build");
    build.args([
        "--release",
        "--package",
        "offwatch",
        "--package",
        TESTS_PACKAGE,
    ]);
    run::run(build.args(["--bin", "offwatch", "--bin", "offwatch-lab"]))?;

    let live = stdout().is_terminal();
    eprintln!("Three guests with TCP between them: web, db and legacy. legacy refuses TSO, so the");
    eprintln!(
        "host cuts its packets: compare the SWSEG columns.{}",
        if live { " q quits." } else { "" }
    );
    let release = workspace.target.join("release");
    let lab = release.join("offwatch-lab");
    announce(lab.as_os_str());
    let mut lab = root_command(lab.as_os_str(), is_root());
    lab.arg("--")
        .arg(release.join("offwatch"))
        .args(["top", "-c", "{uri}"]);
    // Arguments of the user's own decide how long it runs.
    if !live && args.arguments.is_empty() {
        lab.args(SNAPSHOTS);
    }
    run::become_command(lab.args(&args.arguments))
}
