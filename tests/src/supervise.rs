//! Running one child in the foreground so that nothing outlives anything.

use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpid, getppid};

/// How long a child may take to end once asked.
const GRACE: Duration = Duration::from_secs(5);

/// Signals that ask for an end.
const ENDING: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// Signals held back from their default action for [`Signals::run`].
#[derive(Debug)]
pub struct Signals {
    before: SigSet,
    fd: SignalFd,
}

impl Signals {
    /// Holds signals back in this thread and every thread it starts later.
    /// Call it first, or a signal may still end the process in a thread that
    /// does not know.
    pub fn hold() -> Result<Self> {
        let mut held: SigSet = ENDING.into_iter().collect();
        held.add(Signal::SIGCHLD);
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&held), Some(&mut before))
            .context("blocking signals")?;
        let fd = SignalFd::with_flags(&held, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .context("signalfd")?;
        Ok(Self { before, fd })
    }

    /// Runs `command` on this terminal and returns its exit code (128 + n for
    /// signal n). After `limit` it is asked to end, and that counts as
    /// success. Must be called by a thread that lives until then: the child
    /// is killed when that thread dies, however it dies.
    pub fn run(&self, mut command: Command, limit: Option<Duration>) -> Result<i32> {
        self.prepare(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot run {:?}", command.get_program()))?;
        let status = self.wait(&mut child, limit);
        if status.is_err() {
            // Already gone is fine: the aim is that it does not stay.
            let _ = child.kill();
            let _ = child.wait();
        }
        status
    }

    fn prepare(&self, command: &mut Command) {
        let mask = self.before;
        let parent = getpid();
        // SAFETY: the closure runs between fork and exec and only makes
        // system calls; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || {
                pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                // The parent may have died before the line above.
                if getppid() != parent {
                    return Err(Errno::ESRCH.into());
                }
                Ok(())
            });
        }
    }

    fn wait(&self, child: &mut Child, limit: Option<Duration>) -> Result<i32> {
        let pid = Pid::from_raw(i32::try_from(child.id()).context("process id")?);
        let mut limit = limit.map(|limit| Instant::now() + limit);
        let mut kill_at: Option<Instant> = None;
        let mut out_of_time = false;
        loop {
            if let Some(status) = child.try_wait().context("waiting for the command")? {
                return Ok(exit_code(status, out_of_time));
            }
            let now = Instant::now();
            if limit.is_some_and(|at| now >= at) {
                limit = None;
                out_of_time = true;
                kill_at = Some(now + GRACE);
                send(pid, Signal::SIGTERM)?;
            }
            if kill_at.is_some_and(|at| now >= at) {
                kill_at = None;
                send(pid, Signal::SIGKILL)?;
            }
            self.sleep_until([limit, kill_at].into_iter().flatten().min())?;
            while let Some(info) = self.fd.read_signal().context("reading signals")? {
                let Ok(signal) = Signal::try_from(info.ssi_signo as i32) else {
                    continue;
                };
                // The terminal sends ^C to the child too, which may well have
                // its own idea of it; only a signal meant for us is passed on.
                if ENDING.contains(&signal) && info.ssi_code != libc::SI_KERNEL {
                    send(pid, signal)?;
                    kill_at = kill_at.or(Some(Instant::now() + GRACE));
                }
            }
        }
    }

    fn sleep_until(&self, at: Option<Instant>) -> Result<()> {
        let timeout = match at {
            None => PollTimeout::NONE,
            Some(at) => {
                // Rounded up, or the last millisecond would spin.
                let wait = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
                PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context("poll"),
        }
    }
}

fn send(pid: Pid, signal: Signal) -> Result<()> {
    match kill(pid, signal) {
        // It has just ended by itself and is about to be reaped.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno).with_context(|| format!("sending {signal}")),
    }
}

fn exit_code(status: ExitStatus, out_of_time: bool) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        // It was our own request that ended it.
        (None, Some(libc::SIGTERM)) if out_of_time => 0,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    }
}
