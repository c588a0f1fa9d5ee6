//! Running a program inside namespaces as if it were a direct child.
//!
//! `setns` into a process namespace affects only later children, so one more
//! fork is needed after it. The process in between hands signals down and the
//! exit status up; thus `Child::kill`, `kill(child.id(), SIGTERM)` and
//! `Child::wait` work as usual.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

/// Open namespace files, `/proc/<pid>/ns/*`.
pub(crate) struct Targets {
    pub(crate) net: File,
    pub(crate) mount: File,
    pub(crate) pid: File,
}

/// A command that will run inside `targets`.
pub(crate) fn command(program: &str, targets: &Arc<Targets>) -> Command {
    let mut command = Command::new(program);
    let targets = Arc::clone(targets);
    // SAFETY: the closure runs between fork and exec of a process that may have
    // had threads. It neither allocates nor takes locks: only system calls, on
    // memory of its own.
    unsafe { command.pre_exec(move || enter(&targets)) };
    command
}

/// Joins the namespaces and forks. Returns in the new child only.
fn enter(targets: &Targets) -> io::Result<()> {
    // Joining a mount namespace moves to its root directory; the working
    // directory that the caller chose has the same path inside.
    let mut directory = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most `len` bytes, NUL included.
    let named = unsafe { libc::getcwd(directory.as_mut_ptr().cast(), directory.len()) };
    setns(&targets.pid, CloneFlags::CLONE_NEWPID)?;
    setns(&targets.net, CloneFlags::CLONE_NEWNET)?;
    setns(&targets.mount, CloneFlags::CLONE_NEWNS)?;
    if !named.is_null() {
        // SAFETY: getcwd left a NUL-terminated path. If there is no such
        // directory inside, the root directory will do.
        unsafe { libc::chdir(directory.as_ptr().cast()) };
    }

    // Signals are blocked first, so that none can be lost between fork and
    // sigwaitinfo.
    // SAFETY: both sets are plain data, initialised by sigfillset and
    // sigprocmask before use.
    let (all, old) = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        check(libc::sigprocmask(libc::SIG_BLOCK, &all, &mut old))?;
        (all, old)
    };
    // The raw system call: libc's fork runs handlers that may take locks.
    // SAFETY: without CLONE_VM this copies the process as fork does.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: plain system calls on valid arguments.
            unsafe {
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                check(libc::sigprocmask(
                    libc::SIG_SETMASK,
                    &old,
                    std::ptr::null_mut(),
                ))?;
            }
            Ok(())
        }
        child => {
            // Open files belong to the child: holding its pipes would delay
            // their end of file, and the caller's `spawn` with it.
            // SAFETY: this process uses no file from here on.
            unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) };
            // A process id always fits: the kernel's maximum is 2^22.
            stand_in(child as libc::pid_t, &all)
        }
    }
}

/// Hands signals to `child` until it ends, then ends the same way.
fn stand_in(child: libc::pid_t, all: &libc::sigset_t) -> ! {
    loop {
        // SAFETY: zeroed plain data, filled by the kernel.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: valid pointers to a set and to plain data.
        let signal = unsafe { libc::sigwaitinfo(all, &mut info) };
        // The terminal's own signals (positive code) reach the child directly.
        if signal > 0 && signal != libc::SIGCHLD && info.si_code <= 0 {
            // SAFETY: `child` is ours and not reaped yet.
            unsafe { libc::kill(child, signal) };
        }
        let mut status = 0;
        // SAFETY: valid pointer; `child` is ours.
        if unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } != child {
            continue;
        }
        // SAFETY: system calls only; `_exit` runs no code of the program that
        // this process is a copy of.
        unsafe {
            if libc::WIFSIGNALED(status) {
                let signal = libc::WTERMSIG(status);
                libc::signal(signal, libc::SIG_DFL);
                libc::kill(libc::getpid(), signal);
                libc::sigprocmask(libc::SIG_UNBLOCK, all, std::ptr::null_mut());
                libc::_exit(128 + signal);
            }
            libc::_exit(libc::WEXITSTATUS(status));
        }
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
