//! The private network, mount and process namespaces, and the process that
//! keeps them alive.

use crate::enter::{self, Targets};
use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

const INIT: &str = include_str!("namespace-init.sh");

/// Namespaces that end when this value is dropped or its process dies.
pub(crate) struct Namespaces {
    targets: Arc<Targets>,
    holder: Child,
    /// Write end of the pipe on which the first process waits. It closes on
    /// exec, so only this process holds it.
    lifeline: Option<ChildStdin>,
}

impl Namespaces {
    /// Creates the namespaces with one bridge that has `address`/24.
    pub(crate) fn create(bridge: &str, address: &str) -> Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-c", INIT])
            .env("OW_BRIDGE", bridge)
            .env("OW_ADDRESS", address)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("run unshare")?;
        let lifeline = holder.stdin.take();
        let stdout = holder.stdout.take().context("no output pipe")?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("read from the namespaces")?;
        if line.trim() != "READY" {
            drop(lifeline);
            let output = holder.wait_with_output().context("wait for unshare")?;
            let message = String::from_utf8_lossy(&output.stderr);
            bail!("cannot set up the namespaces: {}", message.trim());
        }
        let open = |name: &str| {
            let path = format!("/proc/{}/ns/{name}", holder.id());
            File::open(&path).with_context(|| format!("open {path}"))
        };
        let targets = Targets {
            net: open("net")?,
            mount: open("mnt")?,
            pid: open("pid_for_children")?,
        };
        Ok(Self {
            targets: Arc::new(targets),
            holder,
            lifeline,
        })
    }

    /// A command that runs inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        enter::command(program, &self.targets)
    }

    /// The path by which this process reaches `inside`, an absolute path of the
    /// mount namespace.
    pub(crate) fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        Path::new(&format!("/proc/{}/root", self.holder.id()))
            .join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// Runs `work` on a thread that is inside the network namespace only.
    pub(crate) fn in_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(&self.targets.net, CloneFlags::CLONE_NEWNET)
                        .context("enter the network namespace")?;
                    Ok(work())
                })
                .join()
                .map_err(|_| anyhow!("the thread in the network namespace panicked"))?
        })
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.lifeline = None;
        // The first process waits for nothing but the pipe, and its end returns
        // only after the kernel has ended every other process inside.
        if let Err(error) = self.holder.wait() {
            eprintln!("offwatch-e2e: cannot wait for the namespaces to end: {error}");
        }
    }
}
