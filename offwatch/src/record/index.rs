//! A recording in a file, with its samples in any order.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::Path,
};

use serde::Deserialize;

use super::{
    Content, Form, LONGEST_SAMPLE, RecordError, Replay, display,
    frame::{self, HEAD_BYTES, Head},
    parse,
};
use crate::sample::Sample;

/// A recording whose samples are found by number and by time. Only what comes
/// before each sample is read to find them.
pub struct Recording {
    name: String,
    file: File,
    form: Form,
    entries: Vec<Entry>,
    runs: u32,
    /// Complete records, starts of runs included.
    records: usize,
    /// Where the last complete record ends.
    end: u64,
    broken: Option<RecordError>,
}

/// Where a sample is.
#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: u64,
    bytes: usize,
    time_unix_ms: u64,
    run: u32,
    record: usize,
}

impl Recording {
    /// Opens a file, checks that it is a recording and finds its samples.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        // Tells what is wrong with a file that is no recording.
        let form = Replay::open(path)?.form();
        let name = display(path, "stdin");
        let opened = File::open(path);
        let file = opened.map_err(|source| RecordError::Io {
            name: name.clone(),
            source,
        })?;
        let mut recording = Self {
            name,
            file,
            form,
            entries: Vec::new(),
            runs: 0,
            records: 0,
            end: 0,
            broken: None,
        };
        recording.extend()?;
        Ok(recording)
    }

    /// Finds what was appended since; whether there was something.
    pub fn extend(&mut self) -> Result<bool, RecordError> {
        let before = self.entries.len();
        self.broken = None;
        let found = match self.form {
            Form::Compressed => self.find_frames(),
            Form::Lines => self.find_lines(),
        };
        found.map_err(|source| RecordError::Io {
            name: self.name.clone(),
            source,
        })?;
        Ok(self.entries.len() > before)
    }

    /// The file's name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many samples are complete.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Why there is nothing after the last sample, if the file does not end there.
    pub fn broken(&self) -> Option<&RecordError> {
        self.broken.as_ref()
    }

    /// The same, for an error.
    pub fn into_broken(self) -> Option<RecordError> {
        self.broken
    }

    /// Bytes of the complete records.
    pub(super) fn complete_bytes(&self) -> u64 {
        self.end
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.form == Form::Compressed
    }

    /// Time of a sample, milliseconds since the Unix epoch.
    pub fn time_unix_ms(&self, number: usize) -> Option<u64> {
        Some(self.entries.get(number)?.time_unix_ms)
    }

    /// The first sample that is not older than a time, or else the last one.
    pub fn at_time(&self, unix_ms: u64) -> usize {
        let later = |entry: &Entry| entry.time_unix_ms >= unix_ms;
        self.entries
            .iter()
            .position(later)
            .unwrap_or(self.entries.len().saturating_sub(1))
    }

    /// A sample, counted from 0.
    pub fn sample(&self, number: usize) -> Result<Sample, RecordError> {
        let Some(entry) = self.entries.get(number) else {
            return Err(RecordError::Empty {
                name: self.name.clone(),
            });
        };
        self.read(entry).map_err(|reason| RecordError::BadSample {
            name: self.name.clone(),
            position: self.form.position(entry.record),
            reason,
        })
    }

    /// Whether a sample is of the same run as the one before it, so that the
    /// two make an interval.
    pub fn continues_run(&self, number: usize) -> bool {
        let run = |number: usize| self.entries.get(number).map(|entry| entry.run);
        number > 0 && run(number).is_some() && run(number - 1) == run(number)
    }

    fn read(&self, entry: &Entry) -> Result<Sample, String> {
        let mut data = vec![0; entry.bytes];
        let read = self.file.read_exact_at(&mut data, entry.offset);
        read.map_err(|error| error.to_string())?;
        let line = match self.form {
            Form::Lines => data,
            Form::Compressed => {
                frame::decode(&data, LONGEST_SAMPLE).map_err(|error| format!("damaged: {error}"))?
            }
        };
        match parse(&line)? {
            Content::Sample(sample) => Ok(*sample),
            Content::Start(_) => Err("it starts a run".into()),
        }
    }

    fn find_frames(&mut self) -> io::Result<()> {
        let file_bytes = self.file.metadata()?.len();
        while self.end < file_bytes {
            let mut head = [0; HEAD_BYTES];
            let data_offset = self.end + HEAD_BYTES as u64;
            if data_offset > file_bytes {
                return self.truncated();
            }
            self.file.read_exact_at(&mut head, self.end)?;
            let Some(head) = Head::parse(&head) else {
                return self.bad("damaged");
            };
            let end = data_offset + u64::from(head.data_bytes);
            if end > file_bytes {
                return self.truncated();
            }
            self.add(head.time_unix_ms, data_offset, end);
        }
        Ok(())
    }

    fn find_lines(&mut self) -> io::Result<()> {
        /// What is needed of a line; the rest is skipped.
        #[derive(Deserialize)]
        struct Time {
            time_unix_ms: Option<u64>,
        }

        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(self.end))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        let mut next = |line: &mut Vec<u8>| {
            line.clear();
            let limited = lines.by_ref().take(LONGEST_SAMPLE as u64);
            { limited }.read_until(b'\n', line)
        };
        while next(&mut line)? != 0 {
            if line.last() != Some(&b'\n') {
                return self.truncated();
            }
            let Ok(time) = serde_json::from_slice::<Time>(&line) else {
                return self.bad("no JSON object");
            };
            self.add(time.time_unix_ms, self.end, self.end + line.len() as u64);
        }
        Ok(())
    }

    fn add(&mut self, time_unix_ms: Option<u64>, offset: u64, end: u64) {
        self.records += 1;
        self.end = end;
        match time_unix_ms {
            None => self.runs += 1,
            Some(time_unix_ms) => self.entries.push(Entry {
                offset,
                bytes: usize::try_from(end - offset).unwrap_or(usize::MAX),
                time_unix_ms,
                run: self.runs,
                record: self.records,
            }),
        }
    }

    fn truncated(&mut self) -> io::Result<()> {
        self.broken = Some(RecordError::Truncated {
            name: self.name.clone(),
            position: self.form.position(self.records + 1),
        });
        Ok(())
    }

    fn bad(&mut self, reason: &str) -> io::Result<()> {
        self.broken = Some(RecordError::BadSample {
            name: self.name.clone(),
            position: self.form.position(self.records + 1),
            reason: reason.into(),
        });
        Ok(())
    }
}
