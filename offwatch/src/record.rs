//! Recordings: samples as lines of JSON, after a line that names the schema.
//!
//! A line is written whole with one system call, so a recording that was cut
//! off by a crash is valid up to its last complete line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::sample::Sample;

/// Name of the format.
pub const SCHEMA: &str = "offwatch.recording";
/// Its version; grows when older programs can no longer read it.
pub const VERSION: u32 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    schema: String,
    version: u32,
}

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
    #[error("{name} is not a recording of offwatch: its first line does not name {SCHEMA}")]
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
    /// The last line is not complete.
    #[error("{name} is truncated: line {line} ends in the middle of a sample")]
    Truncated {
        /// Which file.
        name: String,
        /// Line number.
        line: usize,
    },
    /// A line is not a sample.
    #[error("{name}, line {line}: not a sample: {reason}")]
    BadSample {
        /// Which file.
        name: String,
        /// Line number.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// There is nothing to show.
    #[error("{name} holds no sample")]
    Empty {
        /// Which file.
        name: String,
    },
}

/// Writes a recording.
pub struct Recorder {
    name: String,
    file: Box<dyn Write>,
}

impl Recorder {
    /// Creates the file, or writes to stdout if it is `-`.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let name = display(path, "stdout");
        let file: Box<dyn Write> = if is_standard_stream(path) {
            Box::new(io::stdout())
        } else {
            let opened = File::create(path);
            Box::new(opened.map_err(|source| RecordError::Io {
                name: name.clone(),
                source,
            })?)
        };
        let mut recorder = Self { name, file };
        recorder.line(&Header {
            schema: SCHEMA.into(),
            version: VERSION,
        })?;
        Ok(recorder)
    }

    /// Appends a sample.
    pub fn write(&mut self, sample: &Sample) -> Result<(), RecordError> {
        self.line(sample)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), RecordError> {
        let mut line = serde_json::to_vec(value).map_err(|error| RecordError::Io {
            name: self.name.clone(),
            source: error.into(),
        })?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .and_then(|()| self.file.flush())
            .map_err(|source| RecordError::Io {
                name: self.name.clone(),
                source,
            })
    }
}

/// Reads a recording.
pub struct Replay {
    name: String,
    reader: Box<dyn BufRead>,
    line: usize,
}

impl Replay {
    /// Opens the file, or stdin if it is `-`, and checks that it is a recording.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let name = display(path, "stdin");
        let reader: Box<dyn BufRead> = if is_standard_stream(path) {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let opened = File::open(path);
            let file = opened.map_err(|source| RecordError::Io {
                name: name.clone(),
                source,
            })?;
            Box::new(BufReader::new(file))
        };
        Self::new(name, reader)
    }

    fn new(name: String, reader: Box<dyn BufRead>) -> Result<Self, RecordError> {
        let mut replay = Self {
            name,
            reader,
            line: 0,
        };
        let first = replay.next_line()?;
        let header = first.and_then(|line| serde_json::from_slice::<Header>(&line).ok());
        match header {
            Some(header) if header.schema != SCHEMA => {
                Err(RecordError::NotARecording { name: replay.name })
            }
            Some(header) if header.version != VERSION => Err(RecordError::Version {
                name: replay.name,
                found: header.version,
            }),
            Some(_) => Ok(replay),
            None => Err(RecordError::NotARecording { name: replay.name }),
        }
    }

    /// The file's name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next sample, or `None` at the end.
    pub fn next_sample(&mut self) -> Result<Option<Sample>, RecordError> {
        let Some(line) = self.next_line()? else {
            return Ok(None);
        };
        if line.last() != Some(&b'\n') {
            return Err(RecordError::Truncated {
                name: self.name.clone(),
                line: self.line,
            });
        }
        serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| RecordError::BadSample {
                name: self.name.clone(),
                line: self.line,
                reason: error.to_string(),
            })
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        let mut line = Vec::new();
        let read = self
            .reader
            .read_until(b'\n', &mut line)
            .map_err(|source| RecordError::Io {
                name: self.name.clone(),
                source,
            })?;
        self.line += 1;
        Ok((read != 0).then_some(line))
    }
}

fn is_standard_stream(path: &Path) -> bool {
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
mod tests {
    use super::*;

    fn recording(samples: &[Sample]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut recorder = Recorder::create(file.path()).expect("created");
        for sample in samples {
            recorder.write(sample).expect("written");
        }
        std::fs::read(file.path()).expect("read back")
    }

    fn replay(bytes: &[u8]) -> Result<Replay, RecordError> {
        Replay::new("test".into(), Box::new(io::Cursor::new(bytes.to_vec())))
    }

    fn message<T>(result: Result<T, RecordError>) -> String {
        result.map(|_| ()).expect_err("an error").to_string()
    }

    #[test]
    fn what_is_recorded_is_replayed() {
        let interface = crate::sample::Interface {
            kind: crate::sample::Kind::Other("veth".into()),
            ..Default::default()
        };
        let samples = [
            Sample {
                monotonic_ns: 1,
                interfaces: vec![interface],
                ..Sample::default()
            },
            Sample {
                monotonic_ns: 2,
                ..Sample::default()
            },
        ];
        let mut replay = replay(&recording(&samples)).expect("a recording");
        assert_eq!(
            replay.next_sample().expect("first").as_ref(),
            Some(&samples[0])
        );
        assert_eq!(
            replay.next_sample().expect("second").as_ref(),
            Some(&samples[1])
        );
        assert_eq!(replay.next_sample().expect("end"), None);
    }

    #[test]
    fn a_truncated_recording_is_told_by_line() {
        let whole = recording(&[Sample::default(), Sample::default()]);
        let mut replay = replay(&whole[..whole.len() - 10]).expect("its header is whole");
        assert!(replay.next_sample().expect("the first is whole").is_some());
        assert!(message(replay.next_sample()).contains("truncated: line 3"));
    }

    #[test]
    fn other_files_are_refused() {
        for other in [
            &b""[..],
            b"{}\n",
            b"PNG\x00\xff\n",
            br#"{"schema":"x","version":1}"#,
        ] {
            assert!(
                message(replay(other)).contains("not a recording"),
                "{other:?}"
            );
        }
        let newer = br#"{"schema":"offwatch.recording","version":9}"#;
        assert!(message(replay(newer)).contains("version 9"));
    }

    #[test]
    fn a_damaged_line_is_told() {
        let mut bytes = recording(&[]);
        bytes.extend(b"{\"time_unix_ms\":\"soon\"}\n");
        let mut replay = replay(&bytes).expect("a recording");
        assert!(message(replay.next_sample()).contains("line 2"));
    }
}
