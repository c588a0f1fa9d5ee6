//! A command of the manual that runs, and what it has printed.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};

use crate::quiet::wait_until;

/// For an idle machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// Rows and columns of its terminal.
const SIZE: Winsize = Winsize {
    ws_row: 50,
    ws_col: 160,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// A command in a session of its own.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    printed: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Running {
    /// With both outputs in one pipe, as a terminal would show them.
    pub(super) fn in_a_pipe(mut command: Command) -> Result<Self> {
        let (from, to) = std::io::pipe().context("a pipe")?;
        command.stdout(to.try_clone()?).stderr(to);
        command.stdin(std::process::Stdio::null());
        Self::start(command, OwnedFd::from(from).into())
    }

    /// On a terminal.
    pub(super) fn on_a_terminal(mut command: Command) -> Result<Self> {
        let terminal = openpty(Some(&SIZE), None).context("openpty")?;
        let slave = || terminal.slave.as_fd().try_clone_to_owned();
        command.stdin(slave()?).stdout(slave()?).stderr(slave()?);
        Self::start(command, terminal.master.into())
    }

    fn start(mut command: Command, mut from: File) -> Result<Self> {
        // SAFETY: the closure runs between fork and exec and only makes system calls; it
        // neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                // Fails where stdin is no terminal, and is not needed there.
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().context("cannot run the command")?;
        // Its ends of the pipe must be closed here, or there is no end to read.
        drop(command);
        let printed = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&printed);
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            // A terminal ends with an error.
            while let Ok(read) = from.read(&mut chunk)
                && read > 0
            {
                let mut printed = into.lock().unwrap_or_else(PoisonError::into_inner);
                printed.extend_from_slice(&chunk[..read]);
            }
        });
        Ok(Self {
            child,
            printed,
            reader: Some(reader),
        })
    }

    /// What it has printed.
    pub(super) fn printed(&self) -> String {
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&printed).into_owned()
    }

    /// Waits until it has printed something with these words, while it runs.
    pub(super) fn wait_for(&mut self, words: &str) -> Result<()> {
        let waited = wait_until(&format!("{words:?} to be printed"), PATIENCE, || {
            if self.printed().contains(words) {
                return Ok(true);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it has ended ({status})");
            }
            Ok(false)
        });
        waited.with_context(|| format!("printed was: {}", self.printed()))
    }

    /// Waits until it ends by itself; its exit code, and what it printed.
    pub(super) fn ends(mut self) -> Result<(i32, String)> {
        let status = self.wait()?;
        let code = status.code();
        let code = code.with_context(|| format!("{status}: {}", self.printed()))?;
        // What it has left running may keep the pipe: all that it has printed itself is
        // there.
        Ok((code, self.all_printed()?))
    }

    /// Asks it to end, by SIGINT as from the keyboard.
    pub(super) fn stop(mut self) -> Result<()> {
        self.signal(Signal::SIGINT)?;
        let status = self.wait()?;
        let asked = [0, 128 + libc::SIGINT];
        ensure!(
            status.code().is_some_and(|code| asked.contains(&code))
                || status.signal() == Some(libc::SIGINT),
            "ended by a signal it says {status}: {}",
            self.printed()
        );
        Ok(())
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let mut status = None;
        let waited = wait_until("the command to end", PATIENCE, || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        });
        waited.with_context(|| format!("printed was: {}", self.printed()))?;
        status.context("it has ended")
    }

    fn all_printed(&mut self) -> Result<String> {
        if let Some(reader) = self.reader.take() {
            wait_until("the output to end", PATIENCE, || Ok(reader.is_finished()))?;
        }
        Ok(self.printed())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let session = Pid::from_raw(-i32::try_from(self.child.id())?);
        kill(session, signal).context("kill")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, and been waited for.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}
