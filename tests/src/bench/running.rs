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
pub enum Output {
    /// A terminal of 200x50.
    Terminal,
    /// A pipe.
    Pipe,
}

/// A running program. It is killed when this is dropped.
pub struct Running(Child);

impl Running {
    /// Starts it.
    pub fn start(mut command: Command, output: Output) -> Result<Self> {
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

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Nanoseconds that its threads have run, by the threads' names.
    pub fn cpu_ns(&self) -> Result<BTreeMap<String, u64>> {
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

    /// Nanoseconds for which its threads, together, were ready to run and waited for
    /// a CPU.
    pub fn waited_ns(&self) -> Result<u64> {
        let mut waited = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0.id())).context("it has ended")? {
            let schedstat = task.context("its threads")?.path().join("schedstat");
            let schedstat = fs::read_to_string(schedstat).context("time of a thread")?;
            let field = schedstat.split_whitespace().nth(1).context("no time")?;
            waited += field.parse::<u64>().context("time of a thread")?;
        }
        Ok(waited)
    }

    /// Resident memory that is that of BPF maps, KiB: the kernel's own.
    pub fn counters_kib(&self) -> Result<u64> {
        let smaps = fs::read_to_string(format!("/proc/{}/smaps", self.0.id()))?;
        let mut is_map = false;
        let mut sum = 0;
        for line in smaps.lines() {
            if let Some(kib) = line.strip_prefix("Rss:") {
                let kib = kib.trim().trim_end_matches(" kB").parse::<u64>();
                sum += kib.context("resident memory")? * u64::from(is_map);
            } else if !line.contains(" kB") {
                is_map = line.contains("bpf-map");
            }
        }
        Ok(sum)
    }

    /// Resident memory, KiB.
    pub fn memory_kib(&self) -> Result<u64> {
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
