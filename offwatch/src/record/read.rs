//! Reads a recording from its beginning, from a file or a pipe.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use super::{
    Content, Form, LONGEST_HEADER, LONGEST_SAMPLE, RecordError, display,
    frame::{FIRST_BYTE, HEAD_BYTES, Head},
    is_standard_stream, parse,
};
use crate::sample::Sample;

/// Reads a recording one sample after the other.
pub struct Replay {
    name: String,
    reader: Box<dyn BufRead + Send>,
    form: Form,
    records: usize,
    starts_run: bool,
}

/// A sample of a recording.
#[derive(Debug, PartialEq)]
pub struct Replayed {
    /// The sample.
    pub sample: Sample,
    /// It is the first of a run: its counters have nothing to do with those of
    /// the sample before.
    pub starts_run: bool,
}

impl Replay {
    /// Opens the file, or stdin if it is `-`, and checks that it is a recording.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let name = display(path, "stdin");
        let reader: Box<dyn BufRead + Send> = if is_standard_stream(path) {
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

    pub(super) fn new(
        name: String,
        mut reader: Box<dyn BufRead + Send>,
    ) -> Result<Self, RecordError> {
        let first = reader.fill_buf().map_err(|source| RecordError::Io {
            name: name.clone(),
            source,
        })?;
        let form = match first.first() {
            Some(&FIRST_BYTE) => Form::Compressed,
            _ => Form::Lines,
        };
        let mut replay = Self {
            name,
            reader,
            form,
            records: 0,
            starts_run: false,
        };
        let first = match replay.next_line() {
            Err(RecordError::Io { name, source }) => return Err(RecordError::Io { name, source }),
            Ok(Some(line)) => parse(&line),
            Ok(None) | Err(_) => Err(String::new()),
        };
        match first {
            Ok(Content::Start(header)) => header.check(&replay.name)?,
            Ok(Content::Sample(_)) | Err(_) => {
                return Err(RecordError::NotARecording { name: replay.name });
            }
        }
        replay.starts_run = true;
        Ok(replay)
    }

    /// The file's name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// The next sample, or `None` at the end.
    pub fn next_sample(&mut self) -> Result<Option<Replayed>, RecordError> {
        while let Some(line) = self.next_line()? {
            match parse(&line) {
                Ok(Content::Sample(sample)) => {
                    return Ok(Some(Replayed {
                        sample: *sample,
                        starts_run: std::mem::take(&mut self.starts_run),
                    }));
                }
                Ok(Content::Start(header)) => {
                    header.check(&self.name)?;
                    self.starts_run = true;
                }
                Err(reason) => return Err(self.bad(reason)),
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        self.records += 1;
        match self.form {
            Form::Lines => self.plain_line(),
            Form::Compressed => self.compressed_line(),
        }
    }

    fn plain_line(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        let mut line = Vec::new();
        let longest = if self.records == 1 {
            LONGEST_HEADER
        } else {
            LONGEST_SAMPLE
        };
        let read = self
            .reader
            .by_ref()
            .take(longest as u64)
            .read_until(b'\n', &mut line);
        match read.map_err(|source| self.io(source))? {
            0 => Ok(None),
            _ if line.last() == Some(&b'\n') => Ok(Some(line)),
            read if read == longest => Err(RecordError::TooLong {
                name: self.name.clone(),
                position: self.position(),
            }),
            _ => Err(self.truncated()),
        }
    }

    fn compressed_line(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        let head = self.read_up_to(HEAD_BYTES)?;
        if head.is_empty() {
            return Ok(None);
        }
        let Ok(head) = <[u8; HEAD_BYTES]>::try_from(head) else {
            return Err(self.truncated());
        };
        let Some(head) = Head::parse(&head) else {
            return Err(self.bad("damaged".into()));
        };
        let data = self.read_up_to(head.data_bytes as usize)?;
        if data.len() < head.data_bytes as usize {
            return Err(self.truncated());
        }
        match super::frame::decode(&data, LONGEST_SAMPLE) {
            Ok(line) => Ok(Some(line)),
            Err(error) => Err(self.bad(format!("damaged: {error}"))),
        }
    }

    /// Reads `bytes`, or less where the file ends.
    fn read_up_to(&mut self, bytes: usize) -> Result<Vec<u8>, RecordError> {
        let mut data = Vec::new();
        let limited = self.reader.by_ref().take(bytes as u64);
        match { limited }.read_to_end(&mut data) {
            Ok(_) => Ok(data),
            Err(source) => Err(self.io(source)),
        }
    }

    fn position(&self) -> String {
        self.form.position(self.records)
    }

    fn truncated(&self) -> RecordError {
        RecordError::Truncated {
            name: self.name.clone(),
            position: self.position(),
        }
    }

    fn bad(&self, reason: String) -> RecordError {
        RecordError::BadSample {
            name: self.name.clone(),
            position: self.position(),
            reason,
        }
    }

    fn io(&self, source: io::Error) -> RecordError {
        RecordError::Io {
            name: self.name.clone(),
            source,
        }
    }
}
