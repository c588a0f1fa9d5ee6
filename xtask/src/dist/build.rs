//! The programs that are packed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::run;
use crate::workspace::Workspace;

pub(super) struct Binaries {
    pub(super) full: PathBuf,
    /// Without the feature `libvirt`: needs only glibc.
    pub(super) portable: PathBuf,
}

/// Without symbols, in `work`. The full one is built last, so that it is what stays in
/// target/release.
pub(super) fn binaries(workspace: &Workspace, work: &Path) -> Result<Binaries> {
    let portable = work.join("offwatch-portable");
    build(workspace, &["--no-default-features"], &portable)?;
    let full = work.join("offwatch");
    build(workspace, &[], &full)?;
    Ok(Binaries { full, portable })
}

fn build(workspace: &Workspace, features: &[&str], to: &Path) -> Result<()> {
    let mut cargo = workspace.cargo("build");
    cargo.args(["--release", "--package", "offwatch", "--bin", "offwatch"]);
    run::run(cargo.args(features))?;
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(to);
    run::run(strip.arg(workspace.target.join("release/offwatch")))
}
