//! One line an event on stderr, for the journal or for a terminal.

use std::{
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
};

use crate::text;

/// How grave it is, by the numbers of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It does not work.
    Error = 3,
    /// It should be looked at.
    Warning = 4,
    /// It is of interest.
    Notice = 5,
    /// It is as usual.
    Info = 6,
}

/// Prints lines.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The reader takes levels off the lines (sd-daemon(3)).
    has_levels: bool,
}

impl Log {
    /// With levels if stderr is the journal's.
    pub fn from_env() -> Self {
        let stream = std::env::var("JOURNAL_STREAM").ok();
        Self {
            has_levels: stream
                .zip(stderr())
                .is_some_and(|(one, other)| one == other),
        }
    }

    /// Prints one. Nothing can be done if stderr is closed.
    pub fn line(self, level: Level, line: &str) {
        let line = text::plain(line);
        let mut stderr = io::stderr().lock();
        let _ = match self.has_levels {
            true => writeln!(stderr, "<{}>{line}", level as u8),
            false => writeln!(stderr, "{line}"),
        };
    }
}

/// Device and inode of stderr as the variable has them.
fn stderr() -> Option<String> {
    let owned = io::stderr().as_fd().try_clone_to_owned().ok()?;
    let of = std::fs::File::from(owned).metadata().ok()?;
    Some(format!("{}:{}", of.dev(), of.ino()))
}
