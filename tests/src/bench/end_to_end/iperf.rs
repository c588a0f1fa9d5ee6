//! iperf3 at both ends.

use std::{
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::Guest;

/// Until a server that is busy with starting or ending must answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server in a guest. It is ended when this is dropped.
pub(super) struct Server {
    child: Child,
    address: String,
}

impl Server {
    pub(super) fn start(guest: &Guest) -> Result<Self> {
        let mut command = guest.ns().command("iperf3");
        command.arg("-s");
        let child = silent(&mut command).spawn();
        Ok(Self {
            child: child.context("iperf3 (`cargo xtask setup` installs it)")?,
            address: guest.config().ip4.to_string(),
        })
    }

    /// What it received of a TCP stream from `guest`, Gbit/s.
    pub(super) fn receive(&self, guest: &Guest, turn_s: u32) -> Result<f64> {
        let until = Instant::now() + PATIENCE;
        loop {
            let error = match self.try_receive(guest, turn_s) {
                Ok(rate) => return Ok(rate),
                Err(error) => error,
            };
            if Instant::now() > until {
                return Err(error);
            }
            sleep(Duration::from_millis(50));
        }
    }

    fn try_receive(&self, guest: &Guest, turn_s: u32) -> Result<f64> {
        let mut command = guest.ns().command("iperf3");
        command.args(["--json", "-c", &self.address, "-t", &turn_s.to_string()]);
        let output = command.stdin(Stdio::null()).output().context("iperf3")?;
        let result: Value = serde_json::from_slice(&output.stdout).context("iperf3's result")?;
        if let Some(error) = result.get("error") {
            bail!("iperf3: {error}");
        }
        let received = result.pointer("/end/sum_received/bits_per_second");
        let received = received.and_then(Value::as_f64);
        Ok(received.context("iperf3 tells no rate")? / 1e9)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn silent(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}
