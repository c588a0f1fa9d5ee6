//! Debian packages: which are there, and installing those that are not.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::downgrade;
use super::machine::Machine;
use super::needs::{GROUPS, Kind};
use super::service::Unstarted;
use crate::as_root::{announce, is_root, root_command};
use crate::{interrupt, run};

const LIBVIRTD_NOTE: &str = "\
note: from Debian 13 on the package libvirt-daemon starts libvirtd; the tests start their own, so:
  systemctl disable --now libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd";

/// The packages that dpkg says are installed.
pub(super) struct Installed(HashSet<String>);

impl Installed {
    pub(super) fn read() -> Result<Self> {
        let mut query = Command::new("dpkg-query");
        query.args([
            "--show",
            "--showformat",
            "${Package} ${db:Status-Status}\\n",
        ]);
        Ok(Self::parse(&run::output(&mut query)?))
    }

    /// A package that was removed can still have its configuration: it is
    /// listed, as "config-files".
    fn parse(listing: &str) -> Self {
        let installed = listing
            .lines()
            .filter_map(|line| line.strip_suffix(" installed"));
        Self(installed.map(str::to_owned).collect())
    }

    pub(super) fn has(&self, package: &str) -> bool {
        self.0.contains(package)
    }
}

/// Group by group: one that cannot be installed does not keep the others out.
/// What failed shows in the report that follows.
pub(super) fn install(machine: &Machine) -> Result<()> {
    let mut updated = false;
    for group in GROUPS {
        let missing = machine.missing(group);
        if missing.is_empty() {
            continue;
        }
        println!("installing {}: {}", group.title, missing.join(" "));
        announce(OsStr::new("apt-get"));
        if missing.contains(&"libvirt-daemon") && Path::new("/run/systemd/system").exists() {
            println!("{LIBVIRTD_NOTE}");
        }
        if !updated && !unavailable(&missing)?.is_empty() {
            update();
            updated = true;
        }
        let unavailable = unavailable(&missing)?;
        if !unavailable.is_empty() {
            println!("not in the configured archives: {}", unavailable.join(" "));
            if group.kind == Kind::Bpf {
                // One without the others is of no use.
                continue;
            }
        }
        let available: Vec<&str> = missing
            .into_iter()
            .filter(|package| !unavailable.contains(package))
            .collect();
        let _unstarted = Unstarted::of(&available);
        let mut done = available.is_empty() || install_packages(&available);
        // Lists that are out of date name files that are gone.
        if !done && !updated && !interrupt::seen() {
            update();
            updated = true;
            done = install_packages(&available);
        }
        if !done && !interrupt::seen() {
            install_with_downgrades(&available)?;
        }
        ensure!(!interrupt::seen(), "interrupted");
    }
    Ok(())
}

fn update() {
    report(run::run(apt_get().args(["--quiet=2", "update"])));
}

fn install_packages(packages: &[&str]) -> bool {
    report(run::run(install_command().args(packages)))
}

fn install_with_downgrades(packages: &[&str]) -> Result<()> {
    let older = downgrade::needed(packages)?;
    if !older.is_empty() {
        println!(
            "trying again with the archives' version of what is in the way: {}",
            older.join(" ")
        );
        let mut command = install_command();
        command.arg("--allow-downgrades").args(packages);
        report(run::run(command.args(older)));
    }
    Ok(())
}

/// Never removes a package to make room for another.
fn install_command() -> Command {
    let mut command = apt_get();
    command.args([
        "--quiet=2",
        "--yes",
        "--no-install-recommends",
        "--no-remove",
        "install",
    ]);
    command
}

fn report(result: Result<()>) -> bool {
    if let Err(error) = &result {
        eprintln!("xtask: {error:#}");
    }
    result.is_ok()
}

/// As root, asking nothing, restarting nothing, and patient with another apt.
fn apt_get() -> Command {
    let mut command = root_command(OsStr::new("env"), is_root());
    command.args([
        "DEBIAN_FRONTEND=noninteractive",
        "NEEDRESTART_MODE=l",
        "LC_ALL=C.UTF-8",
    ]);
    command.args(["apt-get", "--option", "DPkg::Lock::Timeout=300"]);
    command.args(["--option", "Dpkg::Use-Pty=0"]);
    command.stdin(Stdio::null());
    command
}

fn unavailable(packages: &[&'static str]) -> Result<Vec<&'static str>> {
    let mut policy = Command::new("apt-cache");
    let policy = run::output(policy.env("LC_ALL", "C").arg("policy").args(packages))?;
    Ok(packages
        .iter()
        .copied()
        .filter(|package| !has_candidate(&policy, package))
        .collect())
}

/// Reads `apt-cache policy`, which is silent about packages it never heard of.
fn has_candidate(policy: &str, package: &str) -> bool {
    policy
        .lines()
        .skip_while(|line| line.strip_suffix(':') != Some(package))
        .find(|line| line.trim_start().starts_with("Candidate:"))
        .is_some_and(|line| !line.contains("(none)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_counts() {
        let listing = "gcc installed\nlibvirt-dev config-files\ncpio not-installed\n\
                       libc6-dev unpacked\nclang half-installed\n";
        let installed = Installed::parse(listing);
        assert!(installed.has("gcc"));
        for package in ["libvirt-dev", "cpio", "libc6-dev", "clang", "gc", ""] {
            assert!(!installed.has(package), "{package}");
        }
    }

    #[test]
    fn candidates_of_the_archives() {
        let policy = "gcc:\n  Installed: (none)\n  Candidate: 4:12.2.0-3\n  Version table:\n\
                      gone:\n  Installed: 1.0\n  Candidate: (none)\n";
        assert!(has_candidate(policy, "gcc"));
        assert!(!has_candidate(policy, "gone"));
        assert!(!has_candidate(policy, "unheard-of"));
        assert!(!has_candidate("", "gcc"));
    }
}
