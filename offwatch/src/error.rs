//! What can go wrong, each in one line a user can act on.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    enforce::{error::EnforceError, gather::GatherError, input::InputError},
    export::server::ServerError,
    fleet::FleetError,
    inventory::link::LinkError,
    probe::ProbeError,
    record::RecordError,
    trial::{error::TrialError, load::LoadError, login::LoginError, read::ReadError},
};

/// An error that ends offwatch. Its exit code is 1; wrong usage (2) is told by
/// the command line parser.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Packets cannot be counted.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Interfaces cannot be listed.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// Nothing, or not all, could be changed.
    #[error(transparent)]
    Enforce(#[from] EnforceError),
    /// What is to be changed is not known.
    #[error(transparent)]
    EnforceInput(#[from] InputError),
    /// A trial that is given as evidence is none.
    #[error("{}: {source}", path.display())]
    TrialFile {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
    /// A trial would reach the session of the user who asks for it.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A trial cannot make a load of its own.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is no trial.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// Metrics cannot be served.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A recording cannot be read or written.
    #[error(transparent)]
    Record(RecordError),
    /// The libvirt that the user named cannot be used.
    #[error("{0}")]
    Libvirt(String),
    /// A line of the init file has a bad value.
    #[error("{line}: {reason}")]
    InitFile {
        /// File, number, key and value of the line.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The time of `--end-time` cannot be told.
    #[error("end time: {0}")]
    EndTime(String),
    /// Two options have one file.
    #[error("--{one} and --{other} name the same file: {path}")]
    SameFile {
        /// An option.
        one: &'static str,
        /// Another one.
        other: &'static str,
        /// Their file, or `stdout`.
        path: String,
    },
    /// A pattern is not one.
    #[error("--{option} '{pattern}' is not a valid pattern: {reason}")]
    Pattern {
        /// Which option.
        option: &'static str,
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern matches nothing.
    #[error(
        "--{option} '{pattern}' matches no {what}; there {}",
        known(known_names)
    )]
    NoMatch {
        /// Which option.
        option: &'static str,
        /// What was given.
        pattern: String,
        /// `VM` or `interface`.
        what: &'static str,
        /// What there is instead.
        known_names: Vec<String>,
    },
    /// A name of interfaces or VMs is not a pattern.
    #[error("'{name}' is not a valid pattern: {reason}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name is of no interface.
    #[error(
        "'{name}' is no interface here and no VM with one; interfaces {}, VMs {}",
        known(devs),
        vms_known(vms, vms_unknown.as_deref())
    )]
    NoSuchInterface {
        /// What was given.
        name: String,
        /// Interfaces that there are.
        devs: Vec<String>,
        /// VMs with interfaces here.
        vms: Vec<String>,
        /// Why VMs are not, or not all, known, if so.
        vms_unknown: Option<String>,
    },
    /// The interfaces and their features cannot be read.
    #[error(transparent)]
    Gather(Box<GatherError>),
    /// Prometheus gives no answer.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// BPF programs are not timed.
    #[error("--bpf-stats: the kernel does not time BPF programs: {0}")]
    NoBpfStatistics(String),
    /// Input or output of a file, a socket or the terminal failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, on what.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever read our output does so no more.
    #[error("output is closed")]
    Closed,
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Closed => Self::Closed,
            other => Self::Record(other),
        }
    }
}

impl Error {
    /// The exit code.
    pub fn code(&self) -> u8 {
        const FAILURE: u8 = 1;
        match self {
            Self::Enforce(error) => error.code(),
            Self::Server(error) => error.code(),
            Self::Fleet(error) => error.code(),
            _ => FAILURE,
        }
    }

    /// For `map_err`: names the file with which something failed.
    pub fn file(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{what} {}", path.display());
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: a write to stdout failed.
    pub fn stdout(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io {
                what: "cannot write to stdout".into(),
                source,
            },
        }
    }
}

fn vms_known(names: &[String], unknown: Option<&str>) -> String {
    match unknown {
        Some(reason) if names.is_empty() => format!("are not known ({reason})"),
        Some(reason) => format!("{} (not all are known: {reason})", known(names)),
        None => known(names),
    }
}

fn known(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names.len() {
        0 => "are none".into(),
        1..=SHOWN => format!("are {}", names.join(", ")),
        more => format!(
            "are {} and {} more",
            names[..SHOWN].join(", "),
            more - SHOWN
        ),
    }
}
