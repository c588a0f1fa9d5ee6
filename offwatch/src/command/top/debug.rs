//! `--debug`: errors, and what libvirt says, in a file instead of on stderr.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::error::Error;

/// Creates the file and sends all of stderr there, that of libraries, too.
pub(super) fn to_file(path: &Path) -> Result<(), Error> {
    let create = || -> std::io::Result<()> {
        let file = File::create(path)?;
        nix::unistd::dup2_stderr(file).map_err(std::io::Error::from)
    };
    create().map_err(Error::file("cannot write", path))?;
    // A second logger in a process is refused, and the first one stays.
    if log::set_logger(&ToStderr).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
    Ok(())
}

struct ToStderr;

impl log::Log for ToStderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // Nothing can be done if the file system is full.
        let _ = writeln!(std::io::stderr(), "{}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}
