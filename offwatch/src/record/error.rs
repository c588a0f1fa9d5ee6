//! What can go wrong with a recording.

use std::io;

use super::{SCHEMA, VERSION};

/// Why a recording cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be opened, read or written.
    #[error("{name}: {source}")]
    Io {
        /// Which file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no recording.
    #[error("{name} is not a recording of offwatch: it does not begin with {SCHEMA}")]
    NotARecording {
        /// Which file.
        name: String,
    },
    /// The file was written by another version.
    #[error("{name} is a recording of version {found}; this offwatch reads version {VERSION}")]
    Version {
        /// Which file.
        name: String,
        /// Its version.
        found: u32,
    },
    /// The last record is not complete.
    #[error("{name} is truncated: {position} ends in the middle of a sample")]
    Truncated {
        /// Which file.
        name: String,
        /// `line 3` or `record 3`.
        position: String,
    },
    /// A record is not a sample.
    #[error("{name}, {position}: not a sample: {reason}")]
    BadSample {
        /// Which file.
        name: String,
        /// `line 3` or `record 3`.
        position: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What is recorded would overwrite what is replayed.
    #[error("{name} is being replayed; record to another file")]
    SameFile {
        /// Which file.
        name: String,
    },
    /// Two processes cannot append to one recording.
    #[error("{name} is being recorded to by another offwatch; record to another file")]
    InUse {
        /// Which file.
        name: String,
    },
    /// There is a file that is not appended to.
    #[error("{name} exists and {what}; record to another file")]
    NotAppended {
        /// Which file.
        name: String,
        /// What it is.
        what: String,
    },
    /// What was read from a pipe is gone.
    #[error("the recording comes from a pipe: it can only go on")]
    Pipe,
    /// Whoever read the recording does so no more.
    #[error("output is closed")]
    Closed,
    /// A record is longer than any sample.
    #[error("{name}, {position}: longer than any sample")]
    TooLong {
        /// Which file.
        name: String,
        /// `line 3` or `record 3`.
        position: String,
    },
    /// There is no time between two samples.
    #[error(
        "the last run in {name} has fewer than two samples with time between them: no window to evaluate"
    )]
    NoInterval {
        /// Which file.
        name: String,
    },
    /// There is nothing to show.
    #[error("{name} holds no sample")]
    Empty {
        /// Which file.
        name: String,
    },
}
