//! A root of its own, in which commands run in private namespaces.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::files::Files;
use crate::as_root::{is_root, root_command};
use crate::{interrupt, run};

/// Mounts what programs expect, and becomes the command in the root: everything is gone
/// with the namespaces.
const ENTER: &str = r#"
set -e
root=$1 packages=$2 archives=$3 script=$4
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$packages" "$root/mnt"
mount --bind "$archives" "$root/var/cache/apt/archives"
exec chroot "$root" /usr/bin/env -u LC_ALL PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp LANG=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive \
    /bin/bash -euo pipefail -c "$script"
"#;

pub(super) struct Root {
    directory: PathBuf,
    /// Shown in the root as /mnt.
    packages: PathBuf,
    /// Packages of Debian that have been downloaded, kept for the next time.
    archives: PathBuf,
}

impl Root {
    pub(super) fn unpack(base: &Path, cache: &Path, packages: &Path) -> Result<Self> {
        let root = Self {
            directory: cache.join("root"),
            packages: packages.to_owned(),
            archives: cache.join("archives"),
        };
        // Of a run that was interrupted.
        root.remove()?;
        fs::create_dir_all(&root.directory).context("cannot make the root")?;
        fs::create_dir_all(root.archives.join("partial")).context("cannot make a cache")?;
        let mut tar = as_root("tar");
        tar.args(["--extract", "--numeric-owner", "--preserve-permissions"]);
        tar.arg("--file").arg(base);
        run::run(tar.arg("--directory").arg(&root.directory))?;
        let mut copy = as_root("cp");
        copy.arg("/etc/resolv.conf");
        run::run(copy.arg(root.directory.join("etc/resolv.conf")))?;
        Ok(root)
    }

    /// Runs a script of bash in the root, without a network; its stdout.
    pub(super) fn run(&self, what: &str, script: &str) -> Result<String> {
        self.enter(&["--net"], what, script)
    }

    /// As [`Root::run`], in the host's network.
    pub(super) fn with_network(&self, what: &str, script: &str) -> Result<String> {
        self.enter(&[], what, script)
    }

    fn enter(&self, namespaces: &[&str], what: &str, script: &str) -> Result<String> {
        let mut command = as_root("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child"]);
        command.args(namespaces);
        command.args(["--", "sh", "-c", ENTER, "sh"]);
        command.args([&self.directory, &self.packages, &self.archives]);
        let output = command.arg(script).output().context("cannot run unshare")?;
        if interrupt::seen() {
            bail!("interrupted");
        }
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("{what}: failed ({})\n{stdout}{stderr}", output.status);
        }
        println!("  {what}");
        Ok(stdout)
    }

    /// All that is there now.
    pub(super) fn files(&self) -> Result<Files> {
        Files::of(&self.directory)
    }

    fn remove(&self) -> Result<()> {
        let mut rm = as_root("rm");
        // No mount is in it: those were in private namespaces. Be sure all the same.
        rm.args(["--recursive", "--force", "--one-file-system"]);
        run::run(rm.arg(&self.directory))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("xtask: {error:#}");
        }
    }
}

pub(super) fn as_root(program: &str) -> Command {
    root_command(OsStr::new(program), is_root())
}
