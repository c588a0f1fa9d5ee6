//! Where the commands of a document run: on the demonstration host, in namespaces in
//! which neither files nor processes of this machine are touched or seen.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::root;
use crate::demo::DemoHost;

/// What each flow of the demonstration host carries, bits a second: as
/// `cargo xtask demo` has it, and thrice what rules want to see.
const RATE: u64 = 200_000_000;

/// The first process of the place. Everything in it ends with this one, and this one
/// with its stdin.
const FIRST: &str = r#"
set -e
mount -t tmpfs tmpfs "$1/layers"
for directory in etc var/lib; do
    mkdir -p "$1/layers/$directory/upper" "$1/layers/$directory/work"
    mount -t overlay overlay -o \
        "lowerdir=/$directory,upperdir=$1/layers/$directory/upper,workdir=$1/layers/$directory/work" \
        "/$directory"
done
mkdir -p /etc/offwatch
echo ready
read -r line || true
"#;

/// A place. All of it is gone when it is dropped.
#[derive(Debug)]
pub struct Place {
    first: Child,
    /// The first process runs until this is closed.
    lifeline: Option<ChildStdin>,
    host: DemoHost,
    directory: TempDir,
}

impl Place {
    /// With the demonstration host.
    pub fn new() -> Result<Self> {
        let host = DemoHost::new(RATE)?;
        let directory = TempDir::new()?;
        prepare(directory.path(), &host)?;
        let mut first = host.lab().host().command("unshare");
        first.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        first
            .args(["bash", "-c", FIRST, "first"])
            .arg(directory.path());
        let mut first = first
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run unshare")?;
        let lifeline = first.stdin.take();
        let stdout = first.stdout.take().context("its stdout is a pipe")?;
        let place = Self {
            first,
            lifeline,
            host,
            directory,
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "the namespaces could not be made");
        Ok(place)
    }

    /// The host.
    pub fn host(&self) -> &DemoHost {
        &self.host
    }

    /// A command for its shell.
    pub fn shell(&self, line: &str) -> Command {
        let first = self.first.id();
        let namespace = |name: &str, file: &str| format!("--{name}=/proc/{first}/ns/{file}");
        let work = self.work();
        let home = self.path("home");
        let bin = self.path("bin");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("nsenter");
        command
            .arg(namespace("net", "net"))
            .arg(namespace("mount", "mnt"))
            .arg(namespace("pid", "pid_for_children"))
            .args(["bash", "-o", "pipefail", "-c"])
            // It begins in the root of the namespace.
            .arg(format!("cd '{}'\n{line}", work.display()))
            .env("HOME", &home)
            .env(
                "PATH",
                format!("{}:{}/bin:{path}", bin.display(), home.display()),
            )
            .env("LIBVIRT_DEFAULT_URI", self.uri())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env_remove("COLUMNS");
        command
    }

    /// Writes a file where commands are run; only its owner may.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.work().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(())
    }

    fn uri(&self) -> String {
        format!("test://{}", self.path("domains.xml").display())
    }

    fn work(&self) -> PathBuf {
        self.path("work")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // Fails only if it has been waited for.
        let _ = self.first.wait();
    }
}

/// The files: where layers of file systems are, programs, a home, and where commands
/// are run, which looks like a checkout after its build.
fn prepare(directory: &Path, host: &DemoHost) -> Result<()> {
    for name in ["layers", "bin", "home/bin", "work/target/release"] {
        fs::create_dir_all(directory.join(name))?;
    }
    let this = std::env::current_exe().context("the path of this test")?;
    for name in ["bin/offwatch", "bin/sudo", "work/target/release/offwatch"] {
        symlink(&this, directory.join(name))?;
    }
    for name in ["contrib", "docs"] {
        symlink(root()?.join(name), directory.join("work").join(name))?;
    }
    // The processes of the place do not see this one, so neither its files.
    let uri = host.uri();
    let domains = uri.strip_prefix("test://").context("a file of libvirt")?;
    fs::copy(domains, directory.join("domains.xml")).context("the file of libvirt")?;
    Ok(())
}
