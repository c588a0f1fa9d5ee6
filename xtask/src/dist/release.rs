//! What a package says of itself: version, date, who made it.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;
use crate::workspace::Workspace;

pub(super) struct Release {
    pub(super) version: String,
    /// As in `x86_64`.
    pub(super) machine: &'static str,
    /// As Debian calls the machine: `amd64`.
    pub(super) debian_machine: String,
    /// Seconds since 1970 of the last commit: the time of all files.
    pub(super) epoch: u64,
    /// NAME <ADDRESS>.
    pub(super) maintainer: String,
}

impl Release {
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let version = workspace.version("offwatch");
        let debian_machine =
            run::output(Command::new("dpkg").arg("--print-architecture")).context("dpkg")?;
        Ok(Self {
            version: version.context("cargo metadata has no version of offwatch")?,
            machine: env::consts::ARCH,
            debian_machine: debian_machine.trim().to_owned(),
            epoch: epoch(workspace)?,
            maintainer: maintainer(workspace)?,
        })
    }

    /// A date, as date(1) formats it.
    pub(super) fn date(&self, format: &str) -> Result<String> {
        let mut date = Command::new("date");
        date.env("LC_ALL", "C").args(["--utc", "--date"]);
        date.arg(format!("@{}", self.epoch)).arg(format);
        Ok(run::output(&mut date)?.trim().to_owned())
    }
}

/// By reproducible-builds.org, or else of the last commit.
fn epoch(workspace: &Workspace) -> Result<u64> {
    let text = match env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => of_last_commit(workspace, "%ct")
            .context("set SOURCE_DATE_EPOCH where there is no git checkout")?,
    };
    text.parse().context("SOURCE_DATE_EPOCH is no number")
}

/// By Debian's variables, or else who made the last commit.
fn maintainer(workspace: &Workspace) -> Result<String> {
    match (env::var("DEBFULLNAME"), env::var("DEBEMAIL")) {
        (Ok(name), Ok(address)) => Ok(format!("{name} <{address}>")),
        _ => of_last_commit(workspace, "%an <%ae>")
            .context("set DEBFULLNAME and DEBEMAIL where there is no git checkout"),
    }
}

fn of_last_commit(workspace: &Workspace, format: &str) -> Result<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(&workspace.root);
    git.args(["log", "-1", &format!("--format={format}")]);
    Ok(run::output(&mut git)?.trim().to_owned())
}
