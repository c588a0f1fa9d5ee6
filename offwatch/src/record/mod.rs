//! Recordings: samples as lines of JSON, each run of offwatch after a line that
//! names the schema.
//!
//! A file holds each line compressed by itself ([`frame`]) and is appended to;
//! stdout gets plain lines. A record is written whole with one system call, so
//! a recording that was cut off by a crash is valid up to its last complete
//! record. Both forms are read.

mod error;
mod frame;
mod index;
mod read;
mod write;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use self::write::writable;
pub use self::{
    error::RecordError,
    index::Recording,
    read::{Replay, Replayed},
    write::Recorder,
};
use crate::sample::Sample;

/// Name of the format.
pub const SCHEMA: &str = "offwatch.recording";
/// Its version; grows when older programs can no longer read it, or this one
/// no longer what they wrote: since version 3 counters have other buckets, and
/// samples may hold facts.
pub const VERSION: u32 = 3;

const LONGEST_HEADER: usize = 4096;
/// 16,383 interfaces with every counter at its longest need about 60 MB.
const LONGEST_SAMPLE: usize = 256 << 20;

/// The first line of a run.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    schema: String,
    version: u32,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            schema: SCHEMA.into(),
            version: VERSION,
        }
    }
}

impl Header {
    fn check(&self, name: &str) -> Result<(), RecordError> {
        let name = name.to_owned();
        if self.schema != SCHEMA {
            return Err(RecordError::NotARecording { name });
        }
        if self.version != VERSION {
            let found = self.version;
            return Err(RecordError::Version { name, found });
        }
        Ok(())
    }
}

/// How lines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As they are.
    Lines,
    /// Each as a frame of zstd.
    Compressed,
}

impl Form {
    /// How a record is named to people, counted from 1.
    fn position(self, record: usize) -> String {
        match self {
            Self::Lines => format!("line {record}"),
            Self::Compressed => format!("record {record}"),
        }
    }
}

/// What a line holds.
enum Content {
    Start(Header),
    Sample(Box<Sample>),
}

fn parse(line: &[u8]) -> Result<Content, String> {
    if line.starts_with(br#"{"schema":"#) {
        let header = serde_json::from_slice(line).map(Content::Start);
        return header.map_err(|error| error.to_string());
    }
    let sample = serde_json::from_slice(line).map(Content::Sample);
    sample.map_err(|error| error.to_string())
}

/// Whether a path means stdin or stdout.
pub(crate) fn is_standard_stream(path: &Path) -> bool {
    path == Path::new("-")
}

fn display(path: &Path, standard: &str) -> String {
    if is_standard_stream(path) {
        standard.into()
    } else {
        PathBuf::from(path).display().to_string()
    }
}

#[cfg(test)]
mod tests;
