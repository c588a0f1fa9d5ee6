//! Running a program as a unit of systemd would have it, without systemd: another user,
//! capabilities, system calls, and nothing that can be written.

use std::{
    collections::BTreeSet,
    io,
    os::unix::process::CommandExt as _,
    process::Command,
    ptr::{null, null_mut},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};

use crate::caps;

/// `nobody`.
const USER: u32 = 65534;
/// Of `linux/prctl.h`, since Linux 6.3.
const PR_SET_MDWE: i32 = 65;
const PR_GET_MDWE: i32 = 66;
const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1;

/// What a unit allows.
#[derive(Clone, Debug)]
pub struct Confinement {
    capabilities: u64,
    filter: BpfProgram,
    refuse_exec_gain: bool,
}

impl Confinement {
    /// Of the text of a unit that has `DynamicUser=`, `AmbientCapabilities=`,
    /// `SystemCallFilter=`, `MemoryDenyWriteExecute=` and `ProtectSystem=strict`.
    pub fn of_unit(text: &str) -> Result<Self> {
        for line in [
            "DynamicUser=yes",
            "MemoryDenyWriteExecute=yes",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "SystemCallErrorNumber=EPERM",
        ] {
            ensure!(text.lines().any(|it| it == line), "the unit has no {line}");
        }
        let mut capabilities = 0;
        for name in settings(text, "AmbientCapabilities").flat_map(str::split_whitespace) {
            capabilities |= 1 << caps::number(name).with_context(|| name.to_owned())?;
        }
        // SAFETY: it only asks.
        let known = unsafe { libc::prctl(PR_GET_MDWE, 0, 0, 0, 0) } >= 0;
        Ok(Self {
            capabilities,
            filter: filter(&allowed(text)?)?,
            refuse_exec_gain: known,
        })
    }

    /// The capabilities, as `/proc/PID/status` has them.
    pub fn capabilities(&self) -> u64 {
        self.capabilities
    }

    /// Whether `MemoryDenyWriteExecute=` is among what is applied: the kernel can do it.
    pub fn refuses_exec_gain(&self) -> bool {
        self.refuse_exec_gain
    }

    /// Confines what `command` runs. In its namespace it must be already.
    pub fn apply(&self, command: &mut Command) {
        let own = self.clone();
        // SAFETY: the closure runs between fork and exec and makes system calls alone;
        // it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || own.enter());
        }
    }

    fn enter(&self) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        read_only()?;
        caps::bound(self.capabilities)?;
        prctl(libc::PR_SET_KEEPCAPS, 1, 0)?;
        setgroups(&[])?;
        let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        caps::only(self.capabilities)?;
        if self.refuse_exec_gain {
            prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0)?;
        }
        // No new privileges, too.
        apply_filter(&self.filter).map_err(|_| io::Error::last_os_error())
    }
}

/// Makes all that is mounted read-only.
fn read_only() -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the kernel reads a path and a structure, which live across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn prctl(option: i32, two: libc::c_ulong, three: libc::c_ulong) -> io::Result<()> {
    // SAFETY: none of the options used here takes a pointer.
    match unsafe { libc::prctl(option, two, three, null::<u8>(), null_mut::<u8>()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn settings<'text>(text: &'text str, key: &'text str) -> impl Iterator<Item = &'text str> {
    text.lines()
        .filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
}

/// The system calls that a unit allows: its lines in order, the first of which allows.
fn allowed(text: &str) -> Result<BTreeSet<String>> {
    let mut allowed = BTreeSet::new();
    for line in settings(text, "SystemCallFilter") {
        let (names, is_taken) = match line.strip_prefix('~') {
            Some(names) => (names, true),
            None => (line, false),
        };
        for name in names.split_whitespace() {
            for call in expanded(name)? {
                match is_taken {
                    true => allowed.remove(&call),
                    false => allowed.insert(call),
                };
            }
        }
    }
    ensure!(allowed.len() > 100, "{} system calls", allowed.len());
    Ok(allowed)
}

/// The system calls of a group of systemd's, or the one.
fn expanded(name: &str) -> Result<Vec<String>> {
    if !name.starts_with('@') {
        return Ok(vec![name.to_owned()]);
    }
    let mut command = Command::new("systemd-analyze");
    let output = command.args(["syscall-filter", name]).output()?;
    ensure!(output.status.success(), "no group {name}");
    let text = String::from_utf8(output.stdout)?;
    let members = text.lines().skip(1).map(str::trim);
    let mut calls = Vec::new();
    for member in members.filter(|it| !it.is_empty() && !it.starts_with('#')) {
        calls.append(&mut expanded(member)?);
    }
    Ok(calls)
}

fn filter(names: &BTreeSet<String>) -> Result<BpfProgram> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let compiled = |names: &[&String]| {
        let calls = names
            .iter()
            .map(|name| serde_json::json!({"syscall": name}));
        let filter = serde_json::json!({"main": {
            "mismatch_action": {"errno": libc::EPERM},
            "match_action": "allow",
            "filter": calls.collect::<Vec<_>>(),
        }});
        compile_from_json(filter.to_string().as_bytes(), arch)
    };
    // Some are of other architectures.
    let known: Vec<_> = names
        .iter()
        .filter(|name| compiled(&[*name]).is_ok())
        .collect();
    ensure!(known.len() > 100, "{} system calls", known.len());
    match compiled(&known)?.remove("main") {
        Some(filter) => Ok(filter),
        None => bail!("no filter"),
    }
}
