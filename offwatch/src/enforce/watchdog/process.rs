//! Starts the process, and keeps it there.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf, absolute},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg, OFlag, open},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{prctl::set_name, stat::Mode},
    unistd::{dup2_stdout, setsid},
};

use crate::enforce::error::EnforceError;

/// This program.
pub const PROGRAM: &str = "/proc/self/exe";
/// How it is called in lists of processes.
const NAME: &str = "offwatch";
const READY: u8 = b'.';
/// Many times what it takes to start on a busy host.
const PATIENCE_MS: u16 = 20_000;

/// A process that waits to be told what to watch. It ends with this value.
#[derive(Debug)]
pub struct Prepared(Option<Watchdog>);

impl Prepared {
    /// Has it watch a commit, and waits until it does.
    pub fn watch(mut self, commit: u64) -> Result<Watchdog, EnforceError> {
        let Some(mut watchdog) = self.0.take() else {
            return Err(EnforceError::NoWatchdog {
                source: io::ErrorKind::NotFound.into(),
            });
        };
        match watchdog.becomes_ready(commit) {
            Ok(()) => Ok(watchdog),
            Err(source) => {
                watchdog.kill();
                Err(EnforceError::NoWatchdog { source })
            }
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(mut watchdog) = self.0.take() {
            watchdog.kill();
        }
    }
}

/// A watchdog that was started by this process. It outlives this value.
#[derive(Debug)]
pub struct Watchdog {
    child: Child,
    /// It watches the other end.
    alive: ChildStdin,
}

impl Watchdog {
    /// Starts one and waits until it is ready.
    pub fn start(program: &Path, state_dir: &Path, commit: u64) -> Result<Self, EnforceError> {
        Self::prepare(program, state_dir)?.watch(commit)
    }

    /// Starts the process, before it is known what it is to watch: that takes as
    /// long as to find it out.
    pub fn prepare(program: &Path, state_dir: &Path) -> Result<Prepared, EnforceError> {
        let started = || -> io::Result<Prepared> {
            // It does not stay where this process is: that may be unmounted.
            let state_dir = absolute(state_dir)?;
            let mut child = Command::new(program)
                .arg0(NAME)
                .args(["enforce", "watchdog", "--state-dir"])
                .arg(state_dir)
                .current_dir("/")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let alive = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(Prepared(Some(Self { child, alive })))
        };
        started().map_err(|source| EnforceError::NoWatchdog { source })
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn becomes_ready(&mut self, commit: u64) -> io::Result<()> {
        writeln!(self.alive, "{commit}")?;
        let mut stdout = self.child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut ready = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut ready, PollTimeout::from(PATIENCE_MS)) {
                // A signal that takes the commit back: when there is a watchdog.
                Err(Errno::EINTR) => {}
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                other => break other.map(drop)?,
            }
        }
        let mut byte = [0];
        let read = stdout.read_exact(&mut byte);
        read.map_err(|_| io::Error::other("it ended at once"))
    }

    /// Whether it lives.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, once the commit is settled.
    pub fn reap(self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        const STEP: Duration = Duration::from_millis(2);
        let Self { mut child, alive } = self;
        drop(alive);
        let until = Instant::now() + PATIENCE;
        // One that is stopped, or does not get to run, has nothing to do any more.
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
            thread::sleep(STEP);
        }
    }

    /// Ends it: what it watches is taken back, and it could not read that.
    pub fn end(mut self) {
        let _ = self.child.kill();
        self.reap();
    }
}

/// Makes the calling process a watchdog in a session of its own, and waits to be
/// told what to watch; `None`: nothing.
pub fn told() -> io::Result<Option<u64>> {
    // Fails for the leader of a group, who has a session of its own or a shell
    // that gave it one.
    let _ = setsid();
    let _ = set_name(c"offwatch");
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().parse().ok())
}

/// Takes the lock that says that it lives.
pub(super) fn hold(commit: &Path) -> Result<Flock<File>, EnforceError> {
    let failed = |source| EnforceError::State {
        what: "cannot watch",
        path: PathBuf::from(commit),
        source,
    };
    let file = File::open(commit).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| failed(error.into()))
}

/// Tells the enforcer; from now on it says nothing more.
pub(super) fn ready() -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(&[READY]).and_then(|()| out.flush())?;
    let null = open(
        "/dev/null",
        OFlag::O_WRONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    dup2_stdout(null)?;
    Ok(())
}
