//! A small Debian of the archives that this host has, made once.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::as_root::{announce, is_root, root_command};
use crate::run;

/// Beside what every Debian has: what the packages' parts are for.
const PACKAGES: &str = "bash-completion,fish,man-db,rpm,systemd,zsh";

/// The archive of the root's files.
pub(super) fn find_or_make(cache: &Path) -> Result<PathBuf> {
    fs::create_dir_all(cache).context("cannot make target/dist-check")?;
    let suite = suite()?;
    let sources = sources(&suite)?;
    ensure!(
        !sources.is_empty(),
        "apt has no archive of {suite} here: run `apt-get update`"
    );
    let base = cache.join(format!("{suite}.tar"));
    let recipe = format!("{PACKAGES}\n{}\n", sources.join("\n"));
    let made_by = cache.join(format!("{suite}.recipe"));
    if base.exists() && fs::read_to_string(&made_by).is_ok_and(|found| found == recipe) {
        return Ok(base);
    }
    println!("making a small Debian ({suite}), once");
    announce(OsStr::new("mmdebstrap"));
    let unfinished = cache.join(format!("{suite}.new.tar"));
    let mut command = root_command(OsStr::new("mmdebstrap"), is_root());
    command.args(["--mode=root", "--variant=minbase", "--quiet"]);
    command.args([
        "--skip=cleanup/apt/lists",
        "--aptopt=Acquire::Languages \"none\"",
    ]);
    command.arg(format!("--include={PACKAGES}"));
    command.arg(&suite).arg(&unfinished).args(&sources);
    run::run(&mut command)?;
    fs::rename(&unfinished, &base).context("cannot keep the root")?;
    fs::write(&made_by, recipe).context("cannot keep the root's recipe")?;
    Ok(base)
}

/// The release that this host is of.
fn suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let name = name.context("/etc/os-release has no VERSION_CODENAME")?;
    Ok(name.trim_matches('"').to_owned())
}

/// Lines of sources.list for the distribution's own archives, of the mirrors that this
/// host is configured with.
fn sources(suite: &str) -> Result<Vec<String>> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format"]);
    targets.arg("$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)");
    Ok(own(
        &run::output(targets.arg("Created-By: Packages"))?,
        suite,
    ))
}

fn own(targets: &str, suite: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for target in targets.lines() {
        let parts: Vec<&str> = target.split('|').collect();
        if let ["Debian" | "Ubuntu", uri, release, component] = parts[..] {
            let line = format!("deb {uri} {release} {component}");
            if release.starts_with(suite) && !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_distributions_own_archives_are_taken() {
        let targets = "Debian|http://mirror.example/debian/|bookworm|main\n\
                       Debian|http://mirror.example/debian/|bookworm|main\n\
                       Debian|http://mirror.example/debian/|trixie|main\n\
                       Debian|http://mirror.example/security/|bookworm-security|main\n\
                       Somebody|http://other.example/|bookworm|main\n";
        assert_eq!(
            own(targets, "bookworm"),
            [
                "deb http://mirror.example/debian/ bookworm main",
                "deb http://mirror.example/security/ bookworm-security main"
            ]
        );
    }
}
