//! Files that decide what is changed: only root may have written them.
//!
//! What is checked is the open file itself, not its name. A link is followed, as
//! configuration is often linked to where it is made: what it leads to must be
//! root's, too. Who may write to the directory can put another file in its place,
//! but none of their own.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{Policy, PolicyError};

/// Bytes of the largest policy.
pub const LARGEST_POLICY: u64 = 1 << 20;
/// Bytes of the largest advice: some kilobytes a VM, of thousands of VMs.
pub const LARGEST_ADVICE: u64 = 64 << 20;

const ROOT: u32 = 0;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Its path, or `stdin`.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("{}: not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// Its owner is another user.
    #[error(
        "{}: it belongs to user {uid}; what is changed is decided by root alone \
         (chown root)",
        path.display()
    )]
    Owner {
        /// Its path.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others may write to it.
    #[error(
        "{}: others than root may write to it (mode {mode:04o}); chmod go-w",
        path.display()
    )]
    Writable {
        /// Its path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is larger than any of its kind.
    #[error("{}: larger than {largest} bytes", path.display())]
    TooLarge {
        /// Its path, or `stdin`.
        path: PathBuf,
        /// The bound.
        largest: u64,
    },
    /// It is not a policy.
    #[error("{}:{error}", path.display())]
    Policy {
        /// Its path.
        path: PathBuf,
        /// What is wrong, and in which line.
        error: PolicyError,
    },
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Reads a policy that only root can have written, and the SHA-256 of the file.
pub fn policy(path: &Path) -> Result<(Policy, String), FileError> {
    let found = trusted(path, LARGEST_POLICY)?;
    let policy = Policy::parse(&found.bytes).map_err(|error| FileError::Policy {
        path: path.to_owned(),
        error,
    })?;
    Ok((policy, found.sha256))
}

/// Reads a file that only root can have written.
pub fn trusted(path: &Path, largest: u64) -> Result<Contents, FileError> {
    let failed = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    // The opening of a pipe would wait for who writes to it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    check(&file, path)?;
    bounded(file, path, largest)
}

/// Reads a stream that whoever runs this has chosen, such as stdin.
pub fn bounded(from: impl Read, path: &Path, largest: u64) -> Result<Contents, FileError> {
    let mut bytes = Vec::new();
    let read = from.take(largest + 1).read_to_end(&mut bytes);
    read.map_err(|source| FileError::Io {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > largest {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            largest,
        });
    }
    let sha256 = format!("{:x}", Sha256::digest(&bytes));
    Ok(Contents { bytes, sha256 })
}

/// A group or another user that an ACL lets write shows in the mode as well.
fn check(file: &File, path: &Path) -> Result<(), FileError> {
    let path = || path.to_owned();
    let found = file.metadata().map_err(|source| FileError::Io {
        path: path(),
        source,
    })?;
    let mode = found.mode() & 0o7777;
    match (found.is_file(), found.uid()) {
        (false, _) => Err(FileError::NotRegular(path())),
        (true, ROOT) if mode & WRITABLE_BY_OTHERS != 0 => {
            Err(FileError::Writable { path: path(), mode })
        }
        (true, ROOT) => Ok(()),
        (true, uid) => Err(FileError::Owner { path: path(), uid }),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs as unix};

    use nix::{
        sys::stat::Mode,
        unistd::{Uid, mkfifo},
    };

    use super::*;

    /// A file with these permissions, and what is said of it.
    fn said(mode: u32, prepare: impl Fn(&Path)) -> String {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("policy.toml");
        fs::write(&path, "version = 1\nwatch.burts = 1\n").expect("written");
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&path, permissions).expect("its permissions");
        prepare(&path);
        let error = policy(&path).expect_err("an error").to_string();
        error.replace(&format!("{}/", directory.path().display()), "")
    }

    #[test]
    fn only_root_decides() {
        if !Uid::effective().is_root() {
            let error = said(0o644, |_| {});
            assert!(error.contains("it belongs to user"), "{error}");
            return;
        }
        let wrong = "policy.toml:2: unknown key 'burts'; did you mean 'burst'?";
        assert_eq!(said(0o644, |_| {}), wrong);
        for (mode, told) in [(0o664, "0664"), (0o646, "0646")] {
            assert_eq!(
                said(mode, |_| {}),
                format!("policy.toml: others than root may write to it (mode {told}); chmod go-w")
            );
        }
        let foreign = |path: &Path| unix::chown(path, Some(65534), None).expect("chown");
        assert!(said(0o600, foreign).starts_with("policy.toml: it belongs to user 65534;"));
        // What a link leads to counts.
        let linked = |path: &Path| {
            let target = path.with_extension("real");
            fs::rename(path, &target).expect("renamed");
            unix::symlink(&target, path).expect("linked");
        };
        assert_eq!(said(0o644, linked), wrong);
        assert!(said(0o666, linked).contains("mode 0666"));
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let replaced = |make: &dyn Fn(&Path)| {
            said(0o644, |path| {
                fs::remove_file(path).expect("removed");
                make(path);
            })
        };
        let directory = replaced(&|path| fs::create_dir(path).expect("made"));
        assert_eq!(directory, "policy.toml: not a regular file");
        // Nobody writes to it: it is not waited for.
        let pipe = replaced(&|path| mkfifo(path, Mode::S_IRUSR).expect("made"));
        assert_eq!(pipe, "policy.toml: not a regular file");
        assert!(replaced(&|_| {}).contains("No such file"));
    }

    #[test]
    fn what_is_too_large_is_not_read_on() {
        let path = Path::new("stdin");
        let error = bounded(io::repeat(0), path, 1000).expect_err("endless");
        assert_eq!(error.to_string(), "stdin: larger than 1000 bytes");
        let found = bounded(&b"abc"[..], path, 3).expect("as large as it may be");
        assert_eq!(
            found.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
