//! Small files that an administrator names: secrets, which others must not read, and
//! certificates.

use std::{
    fs::{File, OpenOptions},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use zeroize::Zeroizing;

/// No token and no key is longer.
const MOST_SECRET_BYTES: u64 = 64 * 1024;
/// All certificates of a system are less.
const MOST_BYTES: u64 = 4 << 20;
/// Permissions of those who are neither owner nor in the group.
const OTHERS: u32 = 0o006;

/// Reads one that others must not read, or says why it cannot be used.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = open(path)?;
    let mode = file.metadata().map_err(told)?.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(format!(
            "every user can read or change it (mode {mode:04o}); chmod o= it"
        ));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    fill(file, MOST_SECRET_BYTES, &mut bytes)?;
    Ok(bytes)
}

/// Reads one that everybody may read, or says why it cannot be used.
pub(crate) fn read_public(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    fill(open(path)?, MOST_BYTES, &mut bytes)?;
    Ok(bytes)
}

fn open(path: &Path) -> Result<File, String> {
    // A FIFO without a writer must not keep us waiting.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(told)?;
    match file.metadata().map_err(told)?.is_file() {
        true => Ok(file),
        false => Err("not a regular file".into()),
    }
}

fn fill(file: File, most: u64, bytes: &mut Vec<u8>) -> Result<(), String> {
    file.take(most + 1).read_to_end(bytes).map_err(told)?;
    match bytes.len() as u64 > most {
        true => Err(format!("longer than {most} bytes")),
        false => Ok(()),
    }
}

fn told(error: std::io::Error) -> String {
    error.to_string()
}
