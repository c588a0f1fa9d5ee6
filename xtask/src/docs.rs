//! `cargo xtask docs`: the documents that are made from the catalogue of rules.

use std::process::ExitCode;

use anyhow::Result;

use crate::run;
use crate::workspace::Workspace;

pub(crate) fn run() -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let mut command = workspace.cargo("test");
    command.args(["--package", "offwatch", "--test", "advise", "--", "the_"]);
    run::run(command.env("OFFWATCH_BLESS", "1"))?;
    println!("wrote docs/rules.md and docs/advice.schema.json");
    Ok(ExitCode::SUCCESS)
}
