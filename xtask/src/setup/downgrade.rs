//! Packages newer than the configured archives have, as from backports that are
//! no longer configured, can keep others of the same source out. They are set
//! back to the archives' version: removing one would lose it.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::run;

/// `package=version` for each installed package that apt would remove to make
/// room for `packages`. Empty if one of them is not in the archives.
pub(super) fn needed(packages: &[&str]) -> Result<Vec<String>> {
    let mut simulation = Command::new("apt-get");
    simulation
        .env("LC_ALL", "C")
        .args(["--simulate", "--no-install-recommends", "install"])
        .args(packages)
        .stderr(Stdio::null());
    let removed = removed(&run::output(&mut simulation)?);
    let mut versions = Vec::new();
    for package in removed {
        let mut madison = Command::new("apt-cache");
        let table = run::output(madison.env("LC_ALL", "C").args(["madison", &package]))?;
        let Some(version) = newest(&table) else {
            return Ok(Vec::new());
        };
        versions.push(format!("{package}={version}"));
    }
    Ok(versions)
}

/// Reads `Remv PACKAGE [VERSION] ...` lines of a simulation.
fn removed(simulation: &str) -> Vec<String> {
    let lines = simulation
        .lines()
        .filter_map(|line| line.strip_prefix("Remv "));
    lines
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// Reads `PACKAGE | VERSION | SOURCE` lines, newest first.
fn newest(madison: &str) -> Option<&str> {
    madison.lines().find_map(|line| {
        let mut columns = line.split('|').map(str::trim);
        let version = columns.nth(1)?;
        columns.next()?.ends_with("Packages").then_some(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_simulation_would_remove() {
        let simulation = "The following packages will be REMOVED:\n  qemu-utils\n\
                          Remv qemu-utils [1:10.0.2+ds-2]\nInst cpio (2.13 Debian:12 [amd64])\n";
        assert_eq!(removed(simulation), ["qemu-utils"]);
        assert!(removed("Inst cpio (2.13 Debian:12 [amd64])\n").is_empty());
    }

    #[test]
    fn the_newest_version_of_the_archives() {
        let table = " qemu-utils | 1:7.2-7+u18 | http://archive.example/debian bookworm/main amd64 Packages\n \
             qemu-utils | 1:7.2-7+u15 | http://archive.example/debian-security bookworm/main amd64 Packages\n";
        assert_eq!(newest(table), Some("1:7.2-7+u18"));
        assert_eq!(
            newest("qemu | 1:7.2-7 | http://archive.example/debian bookworm/main Sources\n"),
            None
        );
        assert_eq!(newest(""), None);
    }
}
