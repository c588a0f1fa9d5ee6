//! Recordings: samples as lines of JSON, after a line that names the schema.
//!
//! A line is written whole with one system call, so a recording that was cut
//! off by a crash is valid up to its last complete line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

use serde::{Deserialize, Serialize};

use crate::sample::Sample;

/// Name of the format.
pub const SCHEMA: &str = "offwatch.recording";
/// Its version; grows when older programs can no longer read it.
pub const VERSION: u32 = 2;
/// The oldest version that can still be read. Version 1 has no offload
/// features, limits, kernel counters and evidence.
const OLDEST_VERSION: u32 = 1;

const LONGEST_HEADER: u64 = 4096;
/// 16,383 interfaces with every counter at its longest need about 60 MB.
const LONGEST_SAMPLE: u64 = 256 << 20;

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
    #[error(
        "{name} is a recording of version {found}; this offwatch reads {OLDEST_VERSION} to {VERSION}"
    )]
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
    /// What is recorded would overwrite what is replayed.
    #[error("{name} is being replayed; record to another file")]
    SameFile {
        /// Which file.
        name: String,
    },
    /// Whoever read the recording does so no more.
    #[error("output is closed")]
    Closed,
    /// A line is longer than any sample.
    #[error("{name}, line {line}: longer than any sample")]
    TooLong {
        /// Which file.
        name: String,
        /// Line number.
        line: usize,
    },
    /// There is nothing to show.
    #[error("{name} holds no sample")]
    Empty {
        /// Which file.
        name: String,
    },
}

/// Writes a recording. Nothing is created or overwritten before the first
/// sample is there.
pub struct Recorder {
    path: PathBuf,
    name: String,
    file: Option<Box<dyn Write>>,
}

impl Recorder {
    /// Checks that the file can be written, or takes stdout if it is `-`.
    /// `replayed` is what is read at the same time.
    pub fn create(path: &Path, replayed: Option<&Path>) -> Result<Self, RecordError> {
        let name = display(path, "stdout");
        if !is_standard_stream(path) {
            writable(path).map_err(|source| RecordError::Io {
                name: name.clone(),
                source,
            })?;
            if replayed.is_some_and(|replayed| is_same_file(path, replayed)) {
                return Err(RecordError::SameFile { name });
            }
        }
        Ok(Self {
            path: path.to_owned(),
            name,
            file: None,
        })
    }

    /// Whether the recording goes to stdout, where nothing else may go then.
    pub fn is_stdout(&self) -> bool {
        is_standard_stream(&self.path)
    }

    /// Appends a sample.
    pub fn write(&mut self, sample: &Sample) -> Result<(), RecordError> {
        if self.file.is_none() {
            self.file = Some(if self.is_stdout() {
                Box::new(io::stdout())
            } else {
                Box::new(File::create(&self.path).map_err(|source| self.error(source))?)
            });
            self.line(&Header {
                schema: SCHEMA.into(),
                version: VERSION,
            })?;
        }
        self.line(sample)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), RecordError> {
        let mut line = serde_json::to_vec(value).map_err(|error| self.error(error.into()))?;
        line.push(b'\n');
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let written = file.write_all(&line).and_then(|()| file.flush());
        written.map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe if self.is_stdout() => RecordError::Closed,
            _ => self.error(source),
        })
    }

    fn error(&self, source: io::Error) -> RecordError {
        RecordError::Io {
            name: self.name.clone(),
            source,
        }
    }
}

/// Fails as creating the file would, without creating or truncating it.
pub(crate) fn writable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let existing = if path.exists() {
        path
    } else {
        match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    };
    access(existing, AccessFlags::W_OK).map_err(io::Error::from)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    identity(one).is_some_and(|identity_of_one| Some(identity_of_one) == identity(other))
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
        let first = match replay.next_line() {
            Err(RecordError::TooLong { name, .. }) => {
                return Err(RecordError::NotARecording { name });
            }
            other => other?,
        };
        let header = first.and_then(|line| serde_json::from_slice::<Header>(&line).ok());
        match header {
            Some(header) if header.schema != SCHEMA => {
                Err(RecordError::NotARecording { name: replay.name })
            }
            Some(header) if !(OLDEST_VERSION..=VERSION).contains(&header.version) => {
                Err(RecordError::Version {
                    name: replay.name,
                    found: header.version,
                })
            }
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
        let longest = if self.line == 0 {
            LONGEST_HEADER
        } else {
            LONGEST_SAMPLE
        };
        let read = self
            .reader
            .by_ref()
            .take(longest)
            .read_until(b'\n', &mut line)
            .map_err(|source| RecordError::Io {
                name: self.name.clone(),
                source,
            })?;
        self.line += 1;
        if read as u64 == longest && line.last() != Some(&b'\n') {
            return Err(RecordError::TooLong {
                name: self.name.clone(),
                line: self.line,
            });
        }
        Ok((read != 0).then_some(line))
    }
}

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
mod tests {
    use super::*;

    fn recording(samples: &[Sample]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut recorder = Recorder::create(file.path(), None).expect("created");
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
    fn a_file_is_not_touched_before_the_first_sample() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "precious").expect("written");
        drop(Recorder::create(file.path(), None).expect("writable"));
        assert_eq!(std::fs::read(file.path()).expect("read"), b"precious");
        let same = Recorder::create(file.path(), Some(file.path()));
        assert!(message(same).contains("another file"));
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        struct Zeroes;
        impl io::Read for Zeroes {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(0);
                Ok(buffer.len())
            }
        }
        let endless = Box::new(BufReader::new(Zeroes));
        assert!(message(Replay::new("test".into(), endless)).contains("not a recording"));
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
        for version in [0, 3, 9] {
            let other = format!(r#"{{"schema":"offwatch.recording","version":{version}}}"#);
            let told = message(replay(other.as_bytes()));
            assert!(told.contains(&format!("version {version}")), "{told}");
        }
    }

    #[test]
    fn recordings_of_older_versions_are_read() {
        let old = include_bytes!("../tests/data/lab.jsonl");
        assert!(old.starts_with(br#"{"schema":"offwatch.recording","version":1}"#));
        let mut replay = replay(old).expect("a recording");
        let sample = replay.next_sample().expect("a sample").expect("the first");
        let offloads = &sample.interfaces[0].offloads;
        assert_eq!(
            offloads.features.reason(),
            Some("the recording does not hold it")
        );
    }

    #[test]
    fn a_damaged_line_is_told() {
        let mut bytes = br#"{"schema":"offwatch.recording","version":1}"#.to_vec();
        bytes.extend(b"\n");
        bytes.extend(b"{\"time_unix_ms\":\"soon\"}\n");
        let mut replay = replay(&bytes).expect("a recording");
        assert!(message(replay.next_sample()).contains("line 2"));
    }
}
