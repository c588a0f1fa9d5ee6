//! Waits in the foreground until a commit is confirmed, or taken back.

use std::{
    io::{self, IsTerminal as _},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
    time::Duration,
};

use nix::{
    sys::{
        termios::{FlushArg, tcflush},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    unistd::{getpgrp, read, tcgetpgrp},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::{session::Session, take_back::TakenBack};
use crate::enforce::{error::EnforceError, journal::State, watchdog::watch_file};

/// How often one looks whether the watchdog lives.
const TEND: Duration = Duration::from_secs(1);

/// How a commit ended.
#[derive(Debug)]
pub enum Ending {
    /// It stays.
    Confirmed,
    /// It was taken back, here.
    TakenBack(TakenBack),
    /// Somebody else took it back.
    TakenBackElsewhere {
        /// Why.
        because: String,
        /// Interfaces that could not be set back, with the reason.
        failed: Vec<(String, String)>,
    },
}

/// What can happen meanwhile.
enum Event {
    Due,
    Confirmed,
    Signal(&'static str),
    /// The terminal is gone.
    HungUp,
    Look,
}

/// Signals that take a commit back.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}

impl Session<'_> {
    /// From now on ^C and SIGTERM do not end this process: they are waited for in
    /// [`Self::await_confirmation`]. Must run on a tokio runtime.
    pub fn catch_signals(&mut self) -> Result<(), EnforceError> {
        self.signals = Some(Signals::catch().map_err(EnforceError::Wait)?);
        Ok(())
    }

    /// Waits until then (on `CLOCK_BOOTTIME`) for a confirmation: Enter, if stdin
    /// is a terminal, or `offwatch enforce confirm`. ^C, SIGTERM and the end of the
    /// time take everything back.
    pub async fn await_confirmation(&mut self, until_ns: u64) -> Result<Ending, EnforceError> {
        let path = self.enforcer.store.path(self.commit.id);
        let signals = self.signals.take();
        let events =
            terminal().and_then(|terminal| Events::open(&path, until_ns, signals, terminal));
        let mut events = events.map_err(EnforceError::Wait)?;
        loop {
            match self.tend()? {
                State::Unconfirmed { .. } => {}
                State::Confirmed => {
                    self.end();
                    return Ok(Ending::Confirmed);
                }
                other => return Ok(self.ended(other)),
            }
            let because = match events.next().await.map_err(EnforceError::Wait)? {
                Event::Look => continue,
                // Others can confirm it. Its end would be told again and again.
                Event::HungUp => {
                    events.terminal = None;
                    continue;
                }
                Event::Confirmed => {
                    match self.confirm() {
                        Err(EnforceError::NotConfirmable { .. }) => continue,
                        other => other?,
                    }
                    return Ok(Ending::Confirmed);
                }
                Event::Due => "nobody confirmed it in time",
                Event::Signal(name) => name,
            };
            match self.roll_back(because) {
                Ok(Some(taken_back)) => return Ok(Ending::TakenBack(taken_back)),
                Ok(None) => {}
                Err(error) => return Err(self.give_up(error)),
            }
        }
    }

    fn ended(&mut self, state: State) -> Ending {
        self.end();
        match state {
            State::RolledBack { because, failed } => Ending::TakenBackElsewhere { because, failed },
            other => Ending::TakenBackElsewhere {
                because: format!("it is {}", other.word()),
                failed: Vec::new(),
            },
        }
    }
}

/// Drops what was typed so far: what was typed before one was asked confirms nothing.
pub fn forget_typed() {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        forget_typed_at(&stdin);
    }
}

fn forget_typed_at(terminal: impl AsFd) {
    // In the background it would be stopped, and nobody types there.
    let is_elsewhere = tcgetpgrp(&terminal).is_ok_and(|foreground| foreground != getpgrp());
    if !is_elsewhere {
        let _ = tcflush(&terminal, FlushArg::TCIFLUSH);
    }
}

/// Stdin, if somebody sits there.
fn terminal() -> io::Result<Option<OwnedFd>> {
    let stdin = io::stdin();
    let terminal = stdin.is_terminal();
    terminal
        .then(|| stdin.as_fd().try_clone_to_owned())
        .transpose()
}

struct Events {
    timer: AsyncFd<OwnedFd>,
    journal: Option<AsyncFd<OwnedFd>>,
    terminal: Option<AsyncFd<OwnedFd>>,
    signals: Signals,
}

impl Events {
    fn open(
        journal: &Path,
        until_ns: u64,
        signals: Option<Signals>,
        terminal: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        let until = TimeSpec::from_duration(Duration::from_nanos(until_ns.max(1)));
        timer.set(
            Expiration::OneShot(until),
            TimerSetTimeFlags::TFD_TIMER_ABSTIME,
        )?;
        Ok(Self {
            timer: readable(OwnedFd::from(timer))?,
            // Without it the state is read once a second.
            journal: watch_file(journal)
                .ok()
                .and_then(|journal| readable(OwnedFd::from(journal)).ok()),
            terminal: terminal.map(readable).transpose()?,
            signals: signals.map_or_else(Signals::catch, Ok)?,
        })
    }

    async fn next(&mut self) -> io::Result<Event> {
        let Self {
            timer,
            journal,
            terminal,
            signals: Signals {
                interrupt,
                terminate,
            },
        } = self;
        let changed = async {
            match journal {
                Some(journal) => {
                    let mut ready = journal.readable().await?;
                    let _ = read(ready.get_inner().as_fd(), &mut [0; 4096]);
                    ready.clear_ready();
                    Ok(())
                }
                None => std::future::pending().await,
            }
        };
        let enter = async {
            match terminal {
                Some(terminal) => {
                    let mut ready = terminal.readable().await?;
                    let mut line = [0; 256];
                    let length = read(ready.get_inner().as_fd(), &mut line);
                    let is_gone = ready.ready().is_read_closed() || length.is_err();
                    ready.clear_ready();
                    let is_enter = line[..length.unwrap_or(0)].contains(&b'\n');
                    io::Result::Ok(match (is_enter, is_gone) {
                        (true, _) => Event::Confirmed,
                        (false, true) => Event::HungUp,
                        (false, false) => Event::Look,
                    })
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = timer.readable() => ready.map(|mut ready| {
                ready.clear_ready();
                Event::Due
            }),
            _ = interrupt.recv() => Ok(Event::Signal("it was interrupted")),
            _ = terminate.recv() => Ok(Event::Signal("it was terminated")),
            changed = changed => changed.map(|()| Event::Look),
            enter = enter => enter,
            () = sleep(TEND) => Ok(Event::Look),
        }
    }
}

fn readable<Fd: AsFd + AsRawFd>(fd: Fd) -> io::Result<AsyncFd<Fd>> {
    // SAFETY: those given here have their descriptor until they are dropped, and
    // tell the same one each time.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use super::*;

    #[tokio::test]
    async fn what_was_typed_before_one_was_asked_confirms_nothing() {
        use std::time::Instant;

        let journal = tempfile::NamedTempFile::new().expect("a file");
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        let mut keys = File::from(pty.master);
        keys.write_all(b"\n").expect("typed");
        forget_typed_at(&pty.slave);
        let until = u64::MAX / 4;
        let mut events =
            Events::open(journal.path(), until, None, Some(pty.slave)).expect("events");
        let asked = Instant::now();
        assert!(matches!(events.next().await, Ok(Event::Look)));
        assert!(asked.elapsed() >= TEND / 2, "something was typed");
        keys.write_all(b"\n").expect("typed");
        assert!(matches!(events.next().await, Ok(Event::Confirmed)));
    }

    /// What comes of what is typed, and of the end of the terminal.
    #[tokio::test]
    async fn a_terminal_that_is_gone_is_told_once() {
        let journal = tempfile::NamedTempFile::new().expect("a file");
        let events = |typed: &[u8]| {
            let (terminal, other) = nix::unistd::pipe().expect("a pipe");
            let mut other = File::from(other);
            other.write_all(typed).expect("typed");
            let until = u64::MAX / 4;
            let events = Events::open(journal.path(), until, None, Some(terminal));
            (events.expect("events"), other)
        };
        let (mut typed, _still_there) = events(b"\n");
        assert!(matches!(typed.next().await, Ok(Event::Confirmed)));
        let (mut gone, other) = events(b"");
        drop(other);
        assert!(matches!(gone.next().await, Ok(Event::HungUp)));
    }
}
