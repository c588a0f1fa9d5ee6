//! Writes recordings.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{Flock, FlockArg},
    unistd::{AccessFlags, access},
};

use super::{Header, RecordError, Recording, display, frame::Encoder, is_standard_stream};
use crate::sample::Sample;

/// Writes a recording, or appends to one. Nothing is created or changed before
/// the first sample is there.
pub struct Recorder {
    path: PathBuf,
    name: String,
    sink: Option<Sink>,
}

enum Sink {
    /// For programs: lines of JSON.
    Lines(io::Stdout),
    Frames {
        file: Flock<File>,
        encoder: Box<Encoder>,
    },
}

impl Recorder {
    /// Checks that the file can be written or appended to, or takes stdout if
    /// it is `-`. `replayed` is what is read at the same time.
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
            complete_bytes(path, &name)?;
        }
        Ok(Self {
            path: path.to_owned(),
            name,
            sink: None,
        })
    }

    /// Whether the recording goes to stdout, where nothing else may go then.
    pub fn is_stdout(&self) -> bool {
        is_standard_stream(&self.path)
    }

    /// Appends a sample. `starts_run` says that it has nothing to do with the
    /// one before; the first one never has.
    pub fn write(&mut self, sample: &Sample, starts_run: bool) -> Result<(), RecordError> {
        let is_first = self.sink.is_none();
        if is_first {
            self.sink = Some(self.open()?);
        }
        if is_first || starts_run {
            self.line(None, &Header::default())?;
        }
        self.line(Some(sample.time_unix_ms), sample)
    }

    fn open(&self) -> Result<Sink, RecordError> {
        if self.is_stdout() {
            return Ok(Sink::Lines(io::stdout()));
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(|source| self.error(source))?;
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, nix::Error::EWOULDBLOCK)) => {
                return Err(RecordError::InUse {
                    name: self.name.clone(),
                });
            }
            Err((_, error)) => return Err(self.error(error.into())),
        };
        // What a crash left of a record would hide what is appended.
        if let Some(complete) = complete_bytes(&self.path, &self.name)? {
            file.set_len(complete)
                .map_err(|source| self.error(source))?;
        }
        let encoder = Encoder::new().map_err(|source| self.error(source))?;
        Ok(Sink::Frames {
            file,
            encoder: Box::new(encoder),
        })
    }

    fn line(
        &mut self,
        time_unix_ms: Option<u64>,
        value: &impl serde::Serialize,
    ) -> Result<(), RecordError> {
        let mut line = serde_json::to_vec(value).map_err(|error| self.error(error.into()))?;
        line.push(b'\n');
        let written = match &mut self.sink {
            None => Ok(()),
            Some(Sink::Lines(stdout)) => stdout.write_all(&line).and_then(|()| stdout.flush()),
            // In one write: whatever ends offwatch leaves complete records.
            Some(Sink::Frames { file, encoder }) => encoder
                .record(time_unix_ms, &line)
                .and_then(|record| file.write_all(&record)),
        };
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

/// How much of the file at `path` is complete records; `None` if there is no
/// file, or one that has no content of its own, as a pipe. Anything but a
/// compressed recording is not to be touched.
fn complete_bytes(path: &Path, name: &str) -> Result<Option<u64>, RecordError> {
    let metadata = std::fs::metadata(path);
    if !metadata.is_ok_and(|file| file.is_file() && file.len() > 0) {
        return Ok(None);
    }
    let refused = |what: &str| RecordError::NotAppended {
        name: name.to_owned(),
        what: what.to_owned(),
    };
    match Recording::open(path) {
        Ok(recording) if recording.is_compressed() => match recording.broken() {
            None | Some(RecordError::Truncated { .. }) => Ok(Some(recording.complete_bytes())),
            Some(_) => Err(refused("is damaged")),
        },
        Ok(_) => Err(refused("is an uncompressed recording")),
        Err(RecordError::NotARecording { .. }) => Err(refused("is not a recording of offwatch")),
        Err(error) => Err(error),
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
