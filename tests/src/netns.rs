//! Anonymous network namespaces.
//!
//! A namespace here is only a file descriptor: there is no entry in
//! `/run/netns`, so it vanishes with its last user even if the process is
//! killed.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};

/// A private network namespace. Clones refer to the same namespace.
#[derive(Debug, Clone)]
pub struct Netns {
    fd: Arc<OwnedFd>,
    inum: u64,
}

impl Netns {
    /// Creates an empty namespace with `lo` up and IPv6 made quiet, so that
    /// counters move only when a test sends something.
    pub fn new() -> Result<Self> {
        let file = thread::spawn(|| -> Result<File> {
            // `unshare` affects this thread alone; the file keeps the
            // namespace alive after the thread has ended.
            unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
            File::open("/proc/thread-self/ns/net").context("opening the new namespace")
        })
        .join()
        .map_err(|_| anyhow!("the namespace thread panicked"))??;
        let inum = file.metadata().context("stat of the namespace")?.ino();
        let ns = Self {
            fd: Arc::new(file.into()),
            inum,
        };
        ns.make_quiet()?;
        Ok(ns)
    }

    /// Inode number, the identity that the kernel shows for a namespace.
    pub fn inum(&self) -> u64 {
        self.inum
    }

    /// A path under which other processes may open the namespace while this
    /// process lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.fd.as_raw_fd()
        ))
    }

    /// Moves the calling thread into the namespace for good.
    pub fn enter(&self) -> Result<()> {
        setns(self.fd.as_fd(), CloneFlags::CLONE_NEWNET).context("setns")
    }

    /// Runs `f` in a thread inside the namespace and returns its value.
    pub fn run<T, F>(&self, f: F) -> Result<T>
    where
        T: Send,
        F: FnOnce() -> T + Send,
    {
        thread::scope(|scope| {
            let inside = scope.spawn(|| -> Result<T> {
                self.enter()?;
                Ok(f())
            });
            match inside.join() {
                Ok(result) => result,
                // A failed assertion inside must fail the test outside.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// As [`Netns::run`] for closures that can fail themselves.
    pub fn try_run<T, F>(&self, f: F) -> Result<T>
    where
        T: Send,
        F: FnOnce() -> Result<T> + Send,
    {
        self.run(f)?
    }

    /// Starts a named thread that lives inside the namespace.
    pub fn spawn<T, F>(&self, name: &str, f: F) -> Result<JoinHandle<Result<T>>>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        let ns = self.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                ns.enter()?;
                f()
            })
            .with_context(|| format!("cannot start thread {name}"))
    }

    /// A command whose process will run inside the namespace.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let fd = Arc::clone(&self.fd);
        let mut command = Command::new(program);
        // SAFETY: the closure runs between fork and exec and only makes one
        // system call; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || {
                setns(fd.as_fd(), CloneFlags::CLONE_NEWNET)
                    .map_err(|errno| io::Error::from_raw_os_error(errno as i32))
            });
        }
        command
    }

    /// Sets sysctls given as `("net/ipv6/conf/all/forwarding", "1")`.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.try_run(|| {
            for (name, value) in settings {
                // `/proc/sys/net` shows the namespace of the calling thread.
                std::fs::write(format!("/proc/sys/{name}"), value)
                    .with_context(|| format!("sysctl {name} = {value}"))?;
            }
            Ok(())
        })
    }

    /// Stops the frames that an IPv6 host sends on its own: duplicate address
    /// detection, router solicitations, link-local addresses. Multicast
    /// listener reports remain, see [`crate::tap::Tap::hide_listener_reports`].
    fn make_quiet(&self) -> Result<()> {
        self.sysctl(&[
            ("net/ipv6/conf/default/accept_dad", "0"),
            ("net/ipv6/conf/default/dad_transmits", "0"),
            ("net/ipv6/conf/default/accept_ra", "0"),
            ("net/ipv6/conf/default/autoconf", "0"),
            ("net/ipv6/conf/default/router_solicitations", "0"),
            ("net/ipv6/conf/default/addr_gen_mode", "1"),
        ])?;
        crate::command::run(self, &["ip", "link", "set", "lo", "up"])?;
        Ok(())
    }
}
