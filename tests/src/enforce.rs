//! A host on which features are changed: taps of guests and a veth on a bridge, a
//! policy, and a state directory of its own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch::{
    enforce::journal::{Journalled, Store},
    inventory::features::{Family, FeatureSocket},
    sample::offloads::{FeatureSet, Features},
};
use tempfile::TempDir;

use crate::{Netns, Offloads, command, link, observer, quiet::wait_until, tap::Tap};

/// The bridge.
pub const BRIDGE: &str = "br0";
/// The veth on it.
pub const VETH: &str = "veth0";
const PEER: &str = "veth1";
/// Longer than any deadline of a test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host.
pub struct Bed {
    ns: Netns,
    taps: Vec<Tap>,
    directory: TempDir,
}

/// What an interface is asked for and has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Asked for.
    pub wanted: FeatureSet,
    /// On.
    pub active: FeatureSet,
}

impl Bed {
    /// With so many taps, whose guests accept everything.
    pub fn new(taps: usize) -> Result<Self> {
        let ns = Netns::new()?;
        link::add_bridge(&ns, BRIDGE)?;
        command::run(
            &ns,
            &["ip", "link", "add", VETH, "type", "veth", "peer", PEER],
        )?;
        link::enslave(&ns, VETH, BRIDGE)?;
        let mut bed = Self {
            ns,
            taps: Vec::new(),
            directory: TempDir::new()?,
        };
        for number in 0..taps {
            let tap = Tap::create(&bed.ns, &tap(number), 1)?;
            tap.set_offloads(Offloads::ALL)?;
            link::enslave(&bed.ns, tap.name(), BRIDGE)?;
            bed.taps.push(tap);
        }
        Ok(bed)
    }

    /// Its namespace.
    pub fn ns(&self) -> &Netns {
        &self.ns
    }

    /// Its taps.
    pub fn taps(&mut self) -> &mut Vec<Tap> {
        &mut self.taps
    }

    /// A place for files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where the journal is.
    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes a policy that wants these features of these interfaces.
    pub fn policy(&self, rules: &[(&str, &[(&str, bool)])]) -> Result<PathBuf> {
        let mut text = "version = 1\n".to_owned();
        for (device, features) in rules {
            let features = features
                .iter()
                .map(|(name, on)| format!("\"{name}\" = {on}"));
            let features = features.collect::<Vec<_>>().join(", ");
            text += &format!(
                "[[rule]]\nmatch = {{ device = \"{device}\" }}\nfeatures = {{ {features} }}\n\
                 reason = \"a test\"\n"
            );
        }
        let path = self.path("policy.toml");
        fs::write(&path, text)?;
        Ok(path)
    }

    /// `offwatch enforce` with arguments and with its state directory.
    pub fn enforce(&self, args: &[&str]) -> Result<Command> {
        let mut command = observer::offwatch(&self.ns, &["enforce"])?;
        // It must not end where the state directory is mounted.
        command.args(args).arg("--state-dir").arg(self.state_dir());
        Ok(command)
    }

    /// The same with `--apply` and a policy.
    pub fn apply(&self, policy: &Path, args: &[&str]) -> Result<Command> {
        let mut command = self.enforce(&["--apply"])?;
        command.arg("--policy").arg(policy).args(args);
        Ok(command)
    }

    /// What all interfaces are asked for and have, by ifindex.
    pub fn features(&self) -> Result<BTreeMap<u32, State>> {
        let listed = self
            .ns
            .try_run(|| Ok(FeatureSocket::open(Family::resolve()?)?.list()?))?;
        let state =
            |(ifindex, Features { wanted, active, .. })| (ifindex, State { wanted, active });
        Ok(listed.into_iter().map(state).collect())
    }

    /// What `ethtool -k` prints of all of them.
    pub fn ethtool(&self) -> Result<String> {
        let mut text = String::new();
        let taps = self.taps.iter().map(Tap::name);
        for device in taps.chain([BRIDGE, VETH, PEER]) {
            text += &link::features(&self.ns, device)?;
        }
        Ok(text)
    }

    /// The last commit.
    pub fn last(&self) -> Result<Option<Journalled>> {
        let store = Store::open(&self.state_dir());
        let Some(last) = store.numbers()?.pop() else {
            return Ok(None);
        };
        Ok(Some(store.get(last)?))
    }

    /// Processes of offwatch that work with its state directory.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let state_dir = self.state_dir();
        let needle = state_dir.to_str().context("a path of plain text")?;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse().ok()) else {
                continue;
            };
            // Of one that has ended there is none.
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(needle) {
                found.push(pid);
            }
        }
        Ok(found)
    }

    /// Waits until there is none.
    pub fn wait_until_all_ended(&self) -> Result<()> {
        wait_until("offwatch to end", PATIENCE, || {
            Ok(self.processes()?.is_empty() && !is_any_ending()?)
        })
    }

    /// Runs a command of `enforce`, which must end with this code; what it prints.
    pub fn ends_with(&self, code: i32, mut command: Command) -> Result<(String, String)> {
        let output = command.stdin(Stdio::null()).output()?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(code),
            "{:?} of {command:?}, not {code}: {told}{error}",
            output.status
        );
        ensure!(error.lines().count() <= 1, "more than a line: {error}");
        ensure!((code == 0) == error.is_empty() || code == 4, "{error}");
        Ok((told, error))
    }
}

/// The name of a tap.
pub fn tap(number: usize) -> String {
    format!("tap{number}")
}

/// Whether an offwatch is about to end: its command line is gone before its files are
/// closed, and with them its locks.
fn is_any_ending() -> Result<bool> {
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        let read = |name| fs::read_to_string(process.join(name)).unwrap_or_default();
        if read("comm") == "offwatch\n" && read("cmdline").is_empty() {
            let stat = read("stat");
            let state = stat.rsplit_once(") ").map_or("", |(_, state)| state);
            // One that waits for its parent has closed them.
            if !state.is_empty() && !state.starts_with(['Z', 'X']) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// As `kill -9`; that it has ended already is as good.
pub fn kill_hard(pid: u32) -> Result<()> {
    let _ = kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL);
    Ok(())
}
