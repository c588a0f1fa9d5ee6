//! What a watchdog waits for.

use std::{io, os::fd::AsFd as _, path::Path, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        signal::{SigSet, SigmaskHow, Signal, pthread_sigmask},
        signalfd::{SfdFlags, SignalFd},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

/// How often the journal is read where it cannot be watched.
const RETRY_MS: u16 = 500;

/// Ends of pipes, timers, signals, and a file that grows.
pub(super) struct Waiting {
    timer: TimerFd,
    journal: Option<Inotify>,
    signals: SignalFd,
    is_enforcer_gone: bool,
    is_told_to_end: bool,
}

impl Waiting {
    /// Begins to watch the file of a commit, and stdin.
    pub(super) fn open(commit: &Path) -> io::Result<Self> {
        let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
        let signals: SigSet = signals.into_iter().collect();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self {
            timer: TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC)?,
            journal: watch_file(commit).ok(),
            signals: SignalFd::with_flags(&signals, flags)?,
            is_enforcer_gone: false,
            is_told_to_end: false,
        })
    }

    /// Whether the other end of stdin is closed.
    pub(super) fn is_enforcer_gone(&self) -> bool {
        self.is_enforcer_gone
    }

    /// Whether a signal asked for the end.
    pub(super) fn is_told_to_end(&self) -> bool {
        self.is_told_to_end
    }

    /// Waits until something has happened, or until a moment on
    /// `CLOCK_BOOTTIME`, with [`u64::MAX`] for never.
    pub(super) fn until(&mut self, boottime_ns: u64) -> io::Result<()> {
        if boottime_ns != u64::MAX {
            // All zeroes would disarm it.
            let until = TimeSpec::from_duration(Duration::from_nanos(boottime_ns.max(1)));
            let expiration = Expiration::OneShot(until);
            self.timer
                .set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        }
        let stdin = io::stdin();
        let mut polled = vec![
            PollFd::new(self.timer.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        if !self.is_enforcer_gone {
            polled.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        let timeout = match &self.journal {
            Some(journal) => {
                polled.push(PollFd::new(journal.as_fd(), PollFlags::POLLIN));
                PollTimeout::NONE
            }
            None => PollTimeout::from(RETRY_MS),
        };
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let gone =
            PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL | PollFlags::POLLIN;
        let is_gone = !self.is_enforcer_gone
            && polled[2]
                .revents()
                .is_some_and(|events| events.intersects(gone));
        drop(polled);
        self.is_enforcer_gone |= is_gone;
        while let Ok(Some(signal)) = self.signals.read_signal() {
            // The terminal that it was started from is not its own.
            self.is_told_to_end |= signal.ssi_signo != Signal::SIGHUP as u32;
        }
        if let Some(journal) = &self.journal {
            let _ = journal.read_events();
        }
        Ok(())
    }
}

/// What tells that a file was written.
pub(crate) fn watch_file(commit: &Path) -> nix::Result<Inotify> {
    let journal = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    journal.add_watch(commit, AddWatchFlags::IN_MODIFY)?;
    Ok(journal)
}
