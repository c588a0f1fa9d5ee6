//! The audit log: what was done, by whom, why, and what the kernel said. Lines of
//! JSON that are only ever added.

use std::{
    collections::BTreeMap,
    env,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::getuid;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    error::EnforceError,
    here::Here,
    kernel::{Refusal, Reply, Request},
    plan::Why,
    state_dir,
    target::{Id, Owner},
};
use crate::{
    clock,
    probe::OBJECT,
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

const FILE: &str = "audit.jsonl";
const MODE: u32 = 0o600;

/// Who does it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Who {
    /// Their user.
    pub uid: u32,
    /// The one who called sudo, if so.
    pub sudo_uid: Option<u32>,
    /// The process.
    pub pid: u32,
}

impl Who {
    /// This process.
    pub fn this() -> Self {
        let sudo_uid = env::var("SUDO_UID").ok();
        Self {
            uid: getuid().as_raw(),
            sudo_uid: sudo_uid.and_then(|uid| uid.parse().ok()),
            pid: std::process::id(),
        }
    }
}

/// What is done to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is as asked for, for the first time.
    Apply,
    /// It is so again, after somebody changed it.
    Reapply,
    /// What was done is taken back for now.
    Suspend,
    /// What was done is taken back.
    RollBack,
    /// What was confirmed is taken back.
    Undo,
}

/// What was asked of the kernel for an interface, and what came of it.
pub struct Deed<'a> {
    /// What.
    pub action: Action,
    /// The interface.
    pub id: &'a Id,
    /// Whose it is.
    pub owner: Option<&'a Owner>,
    /// Why.
    pub why: &'a Why,
    /// Its features before.
    pub before: &'a Features,
    /// The same afterwards; `None`: they could not be read.
    pub after: Option<&'a Features>,
    /// What was asked.
    pub sent: &'a Request,
    /// What the kernel answered.
    pub reply: Result<&'a Reply, &'a Refusal>,
}

/// The log. Lines reach the disk with [`Audit::sync`].
pub struct Audit {
    path: PathBuf,
    file: File,
    boot_id: String,
    who: Who,
}

#[derive(Serialize)]
struct Line<'a, Body> {
    time_unix_ms: u64,
    boot_id: &'a str,
    who: Who,
    commit: Option<u64>,
    #[serde(flatten)]
    body: Body,
}

#[derive(Serialize)]
struct Run<'a> {
    action: &'static str,
    version: &'static str,
    bpf_object_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_sha256: Option<&'a str>,
}

#[derive(Serialize)]
struct Told<'a, Body> {
    action: &'static str,
    #[serde(flatten)]
    body: &'a Body,
}

#[derive(Serialize)]
struct DeedLine<'a> {
    action: Action,
    id: &'a Id,
    owner: Option<&'a Owner>,
    why: &'a Why,
    before: BTreeMap<&'a str, Switch>,
    after: Option<BTreeMap<&'a str, Switch>>,
    sent: BTreeMap<&'a str, bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unmet: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// How a feature stands.
#[derive(Serialize)]
struct Switch {
    wanted: bool,
    active: bool,
}

impl Audit {
    /// Opens it to add lines.
    pub fn open(state_dir: &Path, here: &Here) -> Result<Self, EnforceError> {
        state_dir::check(state_dir, None)?;
        let path = state_dir.join(FILE);
        let mut options = OpenOptions::new();
        let options = options.append(true).create(true).mode(MODE);
        let file = options.custom_flags(libc::O_NOFOLLOW).open(&path);
        let file = file.map_err(|source| EnforceError::NoJournal {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            path,
            file,
            boot_id: here.boot_id.clone(),
            who: Who::this(),
        })
    }

    /// That this program begins a commit.
    pub fn begins(&mut self, commit: u64, policy_sha256: Option<&str>) -> Result<(), EnforceError> {
        self.line(
            Some(commit),
            Run {
                action: "begin",
                version: env!("CARGO_PKG_VERSION"),
                bpf_object_sha256: sha256(OBJECT),
                policy_sha256,
            },
        )
    }

    /// That a commit stands anew.
    pub fn stands(&mut self, commit: u64, state: &impl Serialize) -> Result<(), EnforceError> {
        self.tell(Some(commit), "state", state)
    }

    /// Anything else.
    pub fn tell(
        &mut self,
        commit: Option<u64>,
        action: &'static str,
        body: &impl Serialize,
    ) -> Result<(), EnforceError> {
        self.line(commit, Told { action, body })
    }

    /// What was done to an interface.
    pub fn did(
        &mut self,
        commit: u64,
        names: &FeatureNames,
        deed: &Deed<'_>,
    ) -> Result<(), EnforceError> {
        let reply = deed.reply.ok();
        let changed = reply.map(|reply| reply.changed).unwrap_or_default();
        let told = deed.after.map(|after| after.active ^ deed.before.active);
        let touched = deed.sent.mask | changed | told.unwrap_or_default();
        let sent = deed.sent.mask.iter().filter_map(|bit| {
            let name = names.name(bit)?;
            Some((name, deed.sent.on.contains(bit)))
        });
        let body = DeedLine {
            action: deed.action,
            id: deed.id,
            owner: deed.owner,
            why: deed.why,
            before: switches(names, touched, deed.before),
            after: deed.after.map(|after| switches(names, touched, after)),
            sent: sent.collect(),
            unmet: reply.map(|reply| names.of(reply.unmet)),
            changed: reply.map(|reply| names.of(reply.changed)),
            refused: deed.reply.err().map(ToString::to_string),
        };
        self.line(Some(commit), body)
    }

    /// Waits until it is on the disk.
    pub fn sync(&self) -> Result<(), EnforceError> {
        self.file.sync_data().map_err(|source| self.failed(source))
    }

    fn line(&mut self, commit: Option<u64>, body: impl Serialize) -> Result<(), EnforceError> {
        let line = Line {
            time_unix_ms: clock::wall_clock_ms(),
            boot_id: &self.boot_id,
            who: self.who,
            commit,
            body,
        };
        // In one write: those of several processes do not mix.
        let written = serde_json::to_vec(&line)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)
            });
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> EnforceError {
        EnforceError::State {
            what: "cannot write the audit log",
            path: self.path.clone(),
            source,
        }
    }
}

fn switches<'a>(
    names: &'a FeatureNames,
    of: FeatureSet,
    features: &Features,
) -> BTreeMap<&'a str, Switch> {
    let named = of.iter().filter_map(|bit| {
        let switch = Switch {
            wanted: features.wanted.contains(bit),
            active: features.active.contains(bit),
        };
        Some((names.name(bit)?, switch))
    });
    named.collect()
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
