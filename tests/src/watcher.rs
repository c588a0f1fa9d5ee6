//! Runs `offwatch enforce --watch` beside a lab, as systemd would.

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Netns, ethtool, observer::binary, quiet::wait_until};

/// Passing this, it hangs.
const PATIENCE: Duration = Duration::from_secs(240);
/// The same of a change, on an idle machine.
const CHANGE: Duration = Duration::from_secs(10);

/// A policy and a state directory of its own, and whatever runs with them.
pub struct Home {
    directory: TempDir,
}

impl Home {
    /// With a policy.
    pub fn new(policy: &str) -> Result<Self> {
        let directory = tempfile::tempdir().context("a directory")?;
        // Whoever runs as another user reads the policy.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let home = Self { directory };
        home.write(policy)?;
        fs::create_dir(home.state())?;
        Ok(home)
    }

    /// Writes the policy anew.
    pub fn write(&self, policy: &str) -> Result<()> {
        fs::write(self.policy(), policy).context("the policy")?;
        fs::set_permissions(self.policy(), Permissions::from_mode(0o644)).context("its mode")
    }

    /// Path of the policy.
    pub fn policy(&self) -> PathBuf {
        self.directory.path().join("policy.toml")
    }

    /// Path of the state directory.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Path of a file of this home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Lines of the audit log that are of an interface.
    pub fn audit(&self, dev: &str) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.state().join("audit.jsonl")).context("audit log")?;
        let lines = text.lines().map(serde_json::from_str::<Value>);
        let lines = lines.collect::<Result<Vec<_>, _>>().context("JSON lines")?;
        Ok(lines
            .into_iter()
            .filter(|line| line["id"]["dev"] == dev)
            .collect())
    }

    /// How many commits are journalled.
    pub fn commits(&self) -> Result<usize> {
        let entries = fs::read_dir(self.state().join("journal")).context("journal")?;
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
        Ok(names
            .filter(|name| Path::new(name).extension().is_some_and(|it| it == "jsonl"))
            .count())
    }
}

/// A running `offwatch enforce --watch`.
pub struct Watcher {
    child: Child,
    lines: Receiver<String>,
    notify: UnixDatagram,
}

impl Watcher {
    /// Starts it inside `ns` and waits until the policy is applied.
    pub fn start(ns: &Netns, home: &Home, args: &[&str]) -> Result<Self> {
        let binary = binary()?;
        let program = binary.to_str().context("a path of plain text")?;
        Self::spawn(ns.command(program), home, args)
    }

    /// The same by a command that ends up being `offwatch`.
    pub fn spawn(mut command: Command, home: &Home, args: &[&str]) -> Result<Self> {
        let socket = home.path("notify");
        // Of a watcher before.
        let _ = fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).context("the socket for systemd")?;
        notify.set_read_timeout(Some(PATIENCE))?;
        fs::set_permissions(&socket, Permissions::from_mode(0o777))?;
        let mut child = command
            .args(["enforce", "--watch", "--policy"])
            .arg(home.policy())
            .arg("--state-dir")
            .arg(home.state())
            .args(args)
            .env("NOTIFY_SOCKET", &socket)
            // Nobody's, unless the arguments name one: VMs are those of processes.
            .env("LIBVIRT_DEFAULT_URI", "test:///nonexistent")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start offwatch")?;
        let stderr = child.stderr.take().context("its stderr is a pipe")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stderr).lines();
            lines.map_while(Result::ok).all(|line| {
                eprintln!("  offwatch: {line}");
                sender.send(line).is_ok()
            })
        });
        let mut watcher = Self {
            child,
            lines,
            notify,
        };
        watcher.wait_notified("READY=1")?;
        Ok(watcher)
    }

    /// Waits until systemd is told something.
    pub fn wait_notified(&mut self, state: &str) -> Result<()> {
        let mut buffer = [0; 4096];
        self.notify.set_read_timeout(Some(Duration::from_secs(1)))?;
        for _ in 0..PATIENCE.as_secs() {
            if let Ok(length) = self.notify.recv(&mut buffer) {
                let told = String::from_utf8_lossy(&buffer[..length]);
                if told.lines().any(|line| line == state) {
                    return Ok(());
                }
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("offwatch ended: {status}");
            }
        }
        bail!("systemd was not told {state}")
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).context("cannot send a signal")
    }

    /// Waits for a line of its log with some words in it, and returns it. Lines
    /// before it are taken as well.
    pub fn wait_line(&self, words: &str) -> Result<String> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!("not logged: {words}"),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended without: {words}"),
            }
        }
    }

    /// Lines of its log that have come since.
    pub fn lines(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("cannot wait for offwatch")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `ethtool -k` prints features as they are named: on or off.
pub fn wait_features(ns: &Netns, device: &str, expected: &[(&str, bool)]) -> Result<()> {
    let mut last = String::new();
    let done = wait_until("ethtool -k to agree", CHANGE, || {
        let features = ethtool::features(ns, device)?;
        let of = |name: &str| features.get(name).map(|state| state.on);
        let found: Vec<_> = expected.iter().map(|(name, _)| (*name, of(name))).collect();
        last = format!("{device}: {found:?}");
        Ok(expected.iter().all(|(name, on)| of(name) == Some(*on)))
    });
    done.context(last)
}

/// Fails unless `ethtool -k` prints them so now.
pub fn check_features(ns: &Netns, device: &str, expected: &[(&str, bool)]) -> Result<()> {
    let features = ethtool::features(ns, device)?;
    for (name, on) in expected {
        let found = features.get(*name).map(|state| state.on);
        ensure!(found == Some(*on), "{device}: {name} is {found:?}");
    }
    Ok(())
}
