//! Runs the `offwatch` under test beside a lab and reads what it prints: the
//! whole way from hook to screen.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::skip::{left_out, skipped};
use crate::{Guest, Netns, kernel};

/// A tick may take its time on a machine that is loaded and emulated, too; a test
/// must not hang.
const PATIENCE: Duration = Duration::from_secs(240);

/// The binary under test: `OFFWATCH_BIN`, or the one cargo built beside the tests.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("OFFWATCH_BIN") {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "OFFWATCH_BIN is {}: no such file",
            path.display()
        );
        return Ok(path);
    }
    let test = std::env::current_exe().context("the path of this test")?;
    let built = test.ancestors().map(|directory| directory.join("offwatch"));
    let found = built.take(4).find(|path| path.is_file());
    found.with_context(|| format!("no offwatch beside {}: build it first", test.display()))
}

/// `offwatch` with arguments, to be run inside a namespace.
pub fn offwatch(ns: &Netns, args: &[&str]) -> Result<Command> {
    let mut command = ns.command(binary()?.to_str().context("a path of plain text")?);
    command.args(args).stdin(Stdio::null());
    Ok(command)
}

/// What `offwatch doctor --json` says, whether or not all is well.
pub fn doctor(ns: &Netns) -> Result<Value> {
    let output = offwatch(ns, &["doctor", "--json"])?.output()?;
    let says = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).with_context(|| format!("no report: {says}"))
}

/// A running `offwatch top --stream --json`.
pub struct Observer {
    child: Child,
    lines: Receiver<String>,
}

impl Observer {
    /// Starts it inside `ns` and waits until it counts.
    pub fn start(ns: &Netns, args: &[&str]) -> Result<Self> {
        let mut command = offwatch(ns, &[])?;
        command
            .args(["top", "--stream", "--json", "-d", "0.1"])
            .args(args);
        Self::spawn(command)
    }

    /// Starts a command that prints what `top --stream --json` does.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start offwatch")?;
        let stdout = child.stdout.take().context("its stdout is a pipe")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines();
            lines
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        });
        let observer = Self { child, lines };
        observer.line()?;
        Ok(observer)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A model of which both samples were taken after this call.
    pub fn now(&self) -> Result<Value> {
        let called = SystemTime::now().duration_since(UNIX_EPOCH)?;
        // On a machine that stands still lines of before are on their way for long.
        while u128::from(number(&self.model()?, "time_unix_ms")?) <= called.as_millis() {}
        // That sample's time is when it was complete: it may have begun before.
        self.line()?;
        self.model()
    }

    fn model(&self) -> Result<Value> {
        serde_json::from_str(&self.line()?).context("a line is a JSON object")
    }

    fn line(&self) -> Result<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("offwatch printed nothing for {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("offwatch ended"),
        }
    }

    /// Kills it with SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill offwatch")?;
        self.child.wait().context("cannot wait for offwatch")?;
        Ok(())
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The interface `dev` of a model, whoever owns it.
pub fn interface<'model>(model: &'model Value, dev: &str) -> Result<&'model Value> {
    let vms = model["vms"].as_array().into_iter().flatten();
    let owned = vms.flat_map(|vm| vm["interfaces"].as_array().into_iter().flatten());
    let others = model["other_interfaces"].as_array().into_iter().flatten();
    owned
        .chain(others)
        .find(|found| found["dev"] == dev)
        .with_context(|| format!("{dev} is not shown"))
}

/// What the host received from `dev` (from the VM) or sent to it (to the VM).
/// A tap without a known owner is shown from the host's side.
pub fn side<'model>(model: &'model Value, dev: &str, to_vm: bool) -> Result<&'model Value> {
    let interface = interface(model, dev)?;
    let names = if to_vm {
        ["to_vm", "tx"]
    } else {
        ["from_vm", "rx"]
    };
    names
        .iter()
        .map(|name| &interface[*name])
        .find(|side| side.is_object())
        .with_context(|| format!("{dev} has no {}: {}", names[0], interface["unavailable"]))
}

/// A number of a side.
pub fn number(side: &Value, field: &str) -> Result<u64> {
    side[field]
        .as_u64()
        .with_context(|| format!("{field} is {}", side[field]))
}

/// Totals of both directions of a guest's tap.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Sent by the guest.
    pub from_vm: Value,
    /// Received by the guest.
    pub to_vm: Value,
    /// Software work that the guest's frames caused.
    pub caused: Value,
}

impl Seen {
    /// Reads them from a model.
    pub fn of(model: &Value, guest: &Guest) -> Result<Self> {
        let shown = interface(model, guest.tap())?;
        ensure!(
            shown["ifindex"] == guest.ifindex(),
            "another interface named {}",
            guest.tap()
        );
        Ok(Self {
            from_vm: side(model, guest.tap(), false)?.clone(),
            to_vm: side(model, guest.tap(), true)?.clone(),
            caused: shown["caused"].clone(),
        })
    }
}

/// How much a total grew.
pub fn grown(now: &Value, before: &Value, field: &str) -> Result<u64> {
    let (now, before) = (number(now, field)?, number(before, field)?);
    now.checked_sub(before)
        .with_context(|| format!("{field} fell from {before} to {now}"))
}

/// Those of the hooks that this kernel can have; says why one is left out.
pub fn hooks(wanted: &[&'static str]) -> Vec<&'static str> {
    let (usable, refused): (Vec<_>, Vec<_>) =
        wanted.iter().partition(|hook| lacking(hook).is_none());
    let say = if usable.is_empty() { skipped } else { left_out };
    for hook in refused {
        say(&format!(
            "hook {hook}: {}",
            lacking(hook).unwrap_or_default()
        ));
    }
    usable
}

/// Why this kernel cannot have a hook with all that it counts, or `None` if it can.
pub fn lacking(hook: &str) -> Option<String> {
    match hook {
        "tc" => kernel::TCX.lacking().or_else(memory_is_secret),
        _ => memory_is_secret(),
    }
}

/// Why programs cannot read all of a frame, if they cannot.
fn memory_is_secret() -> Option<String> {
    let reason = kernel::RDONLY_CAST
        .lacking()
        .filter(|_| kernel::is_confidential());
    reason.map(|reason| format!("lockdown=confidentiality, and {reason}"))
}
