//! Installs the packages in a clean Debian, uses them, removes them, and sees that
//! nothing is left.

mod archive;
mod base;
mod cargo;
mod deb;
mod files;
mod root;
mod rpm;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use self::root::Root;
use super::Packages;
use crate::run;
use crate::workspace::Workspace;

pub(super) fn all(workspace: &Workspace, packages: &Packages) -> Result<()> {
    let cache = workspace.target.join("dist-check");
    let base = base::find_or_make(&cache)?;
    let root = Root::unpack(&base, &cache, &packages.directory)?;
    let version = &packages.release.version;
    // The archive first: libvirt's library is not there yet.
    archive::check(&root, file_name(&packages.tarball)?, version)?;
    let before = root.files()?;
    deb::check(&root, file_name(&packages.deb)?, version)?;
    // While libvirt's library is still there, which Debian's rpm cannot bring.
    rpm::check(&root, file_name(&packages.rpm)?, version)?;
    root.with_network(
        "the rest is removed",
        "apt-get --quiet=2 --yes autoremove --purge",
    )?;
    let difference = files::difference(&before, &root.files()?);
    ensure!(
        difference.is_empty(),
        "packages do not leave the root as it was:\n{}",
        difference.join("\n")
    );
    println!("  nothing is left but what the administrator made");
    lint(&packages.deb)?;
    cargo::check(workspace, &cache, version)
}

fn file_name(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.context("a package without a name")
}

/// What Debian's own checker calls an error.
fn lint(deb: &Path) -> Result<()> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error", "--tag-display-limit", "0"]);
    lintian.args(["--allow-root", "--display-level", "error"]);
    run::run(lintian.arg(deb))?;
    println!("  lintian sees no error");
    Ok(())
}
