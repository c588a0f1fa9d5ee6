//! A process in a session over the network, as sshd starts it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::Netns;

/// A shell of a session, and below it a process that knows nothing of that. They end
/// when this is dropped.
#[derive(Debug)]
pub struct Login {
    shell: Child,
    pid: u32,
    /// The process ends with it.
    input: Option<ChildStdin>,
}

impl Login {
    /// In a namespace, from a client to an address of it.
    pub fn start(ns: &Netns, client: &str, server: &str) -> Result<Self> {
        // The shell has more to do after it: it stays its parent.
        const SCRIPT: &str = "env -u SSH_CONNECTION sh -c 'echo $$; read _'; true";
        let mut command = in_session(ns.command("sh"), client, server);
        let mut shell = command
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a shell")?;
        let mut line = String::new();
        let output = shell.stdout.take().context("its output")?;
        BufReader::new(output).read_line(&mut line)?;
        let pid = line.trim().parse().context("a process number")?;
        let input = shell.stdin.take();
        Ok(Self { shell, pid, input })
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself; nobody is left to hear how.
        let _ = self.shell.wait();
    }
}

/// Makes a command one of a session.
pub fn in_session(mut command: Command, client: &str, server: &str) -> Command {
    command.env("SSH_CONNECTION", format!("{client} 50000 {server} 22"));
    command
}
