//! What a trial prints.

use std::io::{self, IsTerminal as _, Write as _};

use super::ENDED_BEFORE;
use crate::{enforce::error::EnforceError, error::Error, text::plain, trial::Trial};

/// Prints what is over; the exit code. All is as before: that nobody could be told is
/// an ordinary failure only if nothing was changed, which one looks for in the log then.
pub(super) fn end<'t>(
    text: &str,
    trials: impl IntoIterator<Item = &'t Trial>,
) -> Result<u8, Error> {
    let (mut is_well, mut is_changed) = (true, false);
    for trial in trials {
        is_well &= trial.is_well();
        is_changed |= trial.change.is_some();
    }
    let mut out = io::stdout().lock();
    let printed = out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout);
    match printed {
        Ok(()) | Err(Error::Closed) => {}
        Err(Error::Io { what, source }) if is_changed => {
            return Err(EnforceError::Untold { what, source }.into());
        }
        Err(error) => return Err(error),
    }
    Ok(match is_well {
        true => 0,
        false => ENDED_BEFORE,
    })
}

/// Names of interfaces and VMs may hold anything.
pub(super) fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// A line beside the result. Nothing can be done if nobody reads it.
pub(super) fn aside(text: &str) {
    let _ = writeln!(io::stderr(), "offwatch: {}", plain(text));
}

/// The line that tells how far it is, where somebody watches.
pub(super) struct Progress {
    is_watched: bool,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_watched: io::stderr().is_terminal(),
            is_shown: false,
        }
    }

    pub(super) fn show(&mut self, line: &str) {
        if self.is_watched {
            self.is_shown = true;
            let _ = write!(io::stderr(), "\r{}\x1b[K", plain(line));
            let _ = io::stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
