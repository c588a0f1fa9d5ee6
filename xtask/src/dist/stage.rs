//! A directory with the files of a package, the same wherever and whenever it is made.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::layout::{Content, Entry};
use crate::run;

/// Writes the files below `directory`, which must not be there yet.
pub(super) fn write(entries: &[Entry], directory: &Path) -> Result<()> {
    for entry in entries {
        let path = directory.join(&entry.to);
        put(entry, &path).with_context(|| format!("cannot write {}", path.display()))?;
        if entry.compressed {
            run::run(Command::new("gzip").args(["-9", "--no-name"]).arg(&path))?;
        }
    }
    Ok(())
}

fn put(entry: &Entry, path: &Path) -> Result<()> {
    fs::create_dir_all(path.parent().context("no directory")?)?;
    match &entry.content {
        Content::File(from) => {
            fs::copy(from, path).with_context(|| format!("{}", from.display()))?;
        }
        Content::Text(text) => fs::write(path, text)?,
    }
    let mode = if entry.program { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}

/// Sets the modes of directories, which the umask may have changed, and all times.
/// Returns the sum of the sizes of the files, each rounded up to KiB.
pub(super) fn settle(path: &Path, epoch: u64) -> Result<u64> {
    let mut kib = 0;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            kib += settle(&entry?.path(), epoch)?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
    } else {
        kib = fs::metadata(path)?.len().div_ceil(1024);
    }
    let time = UNIX_EPOCH + Duration::from_secs(epoch);
    File::open(path)?
        .set_modified(time)
        .with_context(|| format!("cannot set the time of {}", path.display()))?;
    Ok(kib)
}
