//! A program under measurement: its CPU time by threads, and its memory.

use std::{
    collections::BTreeMap,
    fs,
    fs::File,
    io::Read,
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};
use nix::pty::{Winsize, openpty};

/// Where its output goes: all of it is read, as by whoever looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// A terminal of 200x50.
    Terminal,
    /// A pipe.
    Pipe,
}

/// A running program. It is killed when this is dropped.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(mut command: Command, output: Output) -> Result<Self> {
        command.stderr(Stdio::null());
        match output {
            Output::Terminal => {
                let size = Winsize {
                    ws_row: 50,
                    ws_col: 200,
                    ws_xpixel: 0,
                    ws_ypixel: 0,
                };
                let terminal = openpty(&size, None).context("a terminal")?;
                let slave = terminal.slave.try_clone().context("a terminal")?;
                command.stdin(slave).stdout(terminal.slave);
                command.env("TERM", "xterm-256color");
                read_all(File::from(terminal.master));
                Ok(Self(command.spawn().context("starting it")?))
            }
            Output::Pipe => {
                command.stdin(Stdio::null()).stdout(Stdio::piped());
                let mut child = command.spawn().context("starting it")?;
                read_all(child.stdout.take().context("its stdout")?);
                Ok(Self(child))
            }
        }
    }

    /// Nanoseconds that its threads have run, by the threads' names.
    pub(super) fn cpu_ns(&self) -> Result<BTreeMap<String, u64>> {
        let tasks = format!("/proc/{}/task", self.0.id());
        let mut times = BTreeMap::new();
        for task in fs::read_dir(&tasks).context("it has ended")? {
            let task = task.context("its threads")?.path();
            let name = fs::read_to_string(task.join("comm")).context("name of a thread")?;
            let ran = fs::read_to_string(task.join("schedstat")).context("time of a thread")?;
            let ran = ran.split_whitespace().next().context("no time")?;
            let ran: u64 = ran.parse().context("time of a thread")?;
            *times.entry(name.trim_end().to_owned()).or_default() += ran;
        }
        Ok(times)
    }

    /// Resident memory, KiB.
    pub(super) fn memory_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let Some(kib) = line.and_then(|line| line.split_whitespace().next()) else {
            bail!("it has ended");
        };
        kib.parse().context("resident memory")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads until the other side is closed.
fn read_all(mut from: impl Read + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while from.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
}
