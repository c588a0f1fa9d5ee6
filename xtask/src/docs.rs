//! `cargo xtask docs`: the documents that are made from the code: of the catalogue of
//! rules, of metrics, schemas, manual pages and completions.

use std::process::ExitCode;

use anyhow::Result;

use crate::run;
use crate::workspace::Workspace;

pub(crate) fn run() -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let mut command = workspace.cargo("test");
    command.args([
        "--package",
        "offwatch",
        "--test",
        "advise",
        "--test",
        "export",
        "--test",
        "policy",
        "--test",
        "trial",
        "--test",
        "pages",
    ]);
    command.args(["--", "the_"]);
    run::run(command.env("OFFWATCH_BLESS", "1"))?;
    println!(
        "wrote docs/rules.md, docs/metrics.md, docs/advice.schema.json, \
         docs/policy.schema.json, docs/trial.schema.json, contrib/man and contrib/completions"
    );
    Ok(ExitCode::SUCCESS)
}
