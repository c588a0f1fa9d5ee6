//! Limits of this process.

use std::{fs::File, io};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that a run without tc programs needs beyond stdin, stdout and
/// stderr, with some room.
const DESCRIPTORS: usize = 40;

/// Raises the number of open files to what the system allows (tc needs two an
/// interface), and fails if even the least is not to be had.
pub fn raise() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    let opened: io::Result<Vec<File>> = (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect();
    opened
        .map(drop)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::EMFILE) => io::Error::other(format!(
                "{DESCRIPTORS} files cannot be open at a time; raise ulimit -n"
            )),
            _ => error,
        })
}
