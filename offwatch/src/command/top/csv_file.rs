//! The file of `--csv`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{
    error::Error,
    model::overview::Overview,
    output::virt_top::CsvFormat,
    record::{is_standard_stream, writable},
};

/// Writes a row a tick, each at once. Nothing is created before the first one,
/// so a run that fails before leaves no empty file.
pub(super) struct CsvFile {
    path: PathBuf,
    format: CsvFormat,
    file: Option<Box<dyn Write + Send>>,
}

impl CsvFile {
    /// Checks that the file can be written, or takes stdout if it is `-`.
    pub(super) fn create(path: &Path, format: CsvFormat) -> Result<Self, Error> {
        if !is_standard_stream(path) {
            writable(path).map_err(Error::file("cannot write", path))?;
        }
        Ok(Self {
            path: path.to_owned(),
            format,
            file: None,
        })
    }

    /// Whether rows go to stdout, where nothing else may go then.
    pub(super) fn is_stdout(&self) -> bool {
        is_standard_stream(&self.path)
    }

    /// Adds a row.
    pub(super) fn append(&mut self, overview: &Overview<'_>) -> Result<(), Error> {
        let mut text = String::new();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                text = self.format.header();
                let file: Box<dyn Write + Send> = match is_standard_stream(&self.path) {
                    true => Box::new(io::stdout()),
                    false => {
                        let created = File::create(&self.path);
                        Box::new(created.map_err(Error::file("cannot write", &self.path))?)
                    }
                };
                self.file.insert(file)
            }
        };
        text.push_str(&self.format.row(overview));
        let written = file.write_all(text.as_bytes()).and_then(|()| file.flush());
        written.map_err(|error| match is_standard_stream(&self.path) {
            true => Error::stdout(error),
            false => Error::file("cannot write", &self.path)(error),
        })
    }
}
