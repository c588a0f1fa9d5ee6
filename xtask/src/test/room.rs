//! Room on the disk. Where it ends, compilers and guests fail in words of their own.

use std::env;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::workspace::Workspace;

/// Less than this is no room: a link of one test program takes more.
const LEAST_BYTES: u64 = 512 << 20;

/// Tells after a failure if there is no room any more.
pub(super) fn tell_if_none(workspace: &Workspace) {
    for place in [workspace.target.clone(), env::temp_dir()] {
        if let Some(free) = free_bytes(&place).filter(|free| *free < LEAST_BYTES) {
            eprintln!(
                "xtask: only {} MiB are free in {}, which may be why",
                free >> 20,
                place.display()
            );
        }
    }
}

/// What users may still write to the file system of `path`.
fn free_bytes(path: &Path) -> Option<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut told = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends with a zero, and `told` is what statvfs writes.
    if unsafe { libc::statvfs(path.as_ptr(), told.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: statvfs has succeeded, so all of it is written.
    let told = unsafe { told.assume_init() };
    Some(told.f_bavail * told.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_bytes_are_those_of_the_file_system() {
        // Has none at all.
        assert_eq!(free_bytes(Path::new("/proc")), Some(0));
        assert!(free_bytes(Path::new("/")).is_some_and(|bytes| bytes > 0));
        assert_eq!(free_bytes(Path::new("/nonexistent")), None);
    }
}
