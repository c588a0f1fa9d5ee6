//! VMs that carry nothing: processes under QEMU's name, with QEMU's arguments and a
//! tap. A hundred are started in a second.

use std::{
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::{fs::symlink, process::CommandExt as _},
    },
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{Netns, tap::Tap};

const PROGRAM: &str = "qemu-system-x86_64";
/// Where the process has its tap.
const TAP: RawFd = 1000;

/// VMs that run.
#[derive(Debug)]
pub struct IdleVms {
    children: Vec<Child>,
    /// Holds the name of the program.
    _directory: TempDir,
}

impl IdleVms {
    /// Starts VMs inside `ns`, each with its name and that of its tap.
    pub fn start<'a>(
        ns: &Netns,
        vms: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        let directory = TempDir::new().context("a directory")?;
        let program = directory.path().join(PROGRAM);
        symlink("/bin/sh", &program).context("a name for the program")?;
        let program = program.to_str().context("a path of plain text")?;
        let mut started = Self {
            children: Vec::new(),
            _directory: directory,
        };
        for (name, tap) in vms {
            let child = start(ns, program, name, &Tap::create(ns, tap, 1)?);
            let child = child.with_context(|| format!("cannot start {name}"))?;
            started.children.push(child);
        }
        Ok(started)
    }
}

impl Drop for IdleVms {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Both fail only if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(ns: &Netns, program: &str, name: &str, tap: &Tap) -> Result<Child> {
    let queue = tap.queues().first().context("tap without queues")?;
    let from = queue.as_raw_fd();
    let mut command = ns.command(program);
    command
        .arg0(PROGRAM)
        // What the shell does: it waits, for nothing.
        .args(["-c", "read _"])
        .args(["-name", &format!("guest={name}")])
        .args(["-netdev", &format!("tap,fd={TAP},id=hostnet0")])
        .args(["-device", "virtio-net-pci,netdev=hostnet0,id=net0"])
        .stdin(Stdio::piped());
    // SAFETY: the closure runs between fork and exec and makes a system call; it
    // neither allocates nor takes a lock. Nothing uses the descriptor there.
    unsafe {
        command.pre_exec(move || {
            // A duplicate stays open across exec.
            nix::Error::result(libc::dup2(from, TAP))?;
            Ok(())
        });
    }
    Ok(command.spawn()?)
}
