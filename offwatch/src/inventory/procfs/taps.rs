//! The taps that a process has open.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::inventory::nic::printable;

/// An interface behind a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tap {
    Name(String),
    Macvtap(u32),
}

/// The taps of a process, by descriptor.
pub(super) enum Taps {
    Known(BTreeMap<u32, Tap>),
    Unreadable,
}

/// Reads the taps of a process. Where the descriptors may not be listed but
/// their details may (CAP_SYS_PTRACE without CAP_DAC_READ_SEARCH), the details
/// of all are read if `thorough`.
pub(super) fn read_taps(directory: &Path, thorough: bool) -> Taps {
    let mut taps = BTreeMap::new();
    let mut is_refused = false;
    match fs::read_dir(directory.join("fd")) {
        Ok(entries) => {
            for entry in entries.flatten() {
                match fs::read_link(entry.path()) {
                    Ok(target) => {
                        let fd = number(&entry.file_name());
                        let tap = fd.and_then(|fd| tap_of(directory, fd, &target));
                        taps.extend(fd.zip(tap));
                    }
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        is_refused = true;
                        break;
                    }
                    // Closed in between.
                    Err(_) => {}
                }
            }
        }
        Err(error) => is_refused = error.kind() == io::ErrorKind::PermissionDenied,
    }
    if !is_refused {
        return Taps::Known(taps);
    }
    if !thorough {
        return Taps::Unreadable;
    }
    let Ok(entries) = fs::read_dir(directory.join("fdinfo")) else {
        return Taps::Unreadable;
    };
    for entry in entries.flatten() {
        match fs::read(entry.path()) {
            Ok(text) => {
                let tap = interface_of(&text).map(Tap::Name);
                taps.extend(number(&entry.file_name()).zip(tap));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Taps::Unreadable;
            }
            Err(_) => {}
        }
    }
    Taps::Known(taps)
}

/// The tap behind a descriptor, by where its link points.
fn tap_of(directory: &Path, fd: u32, target: &Path) -> Option<Tap> {
    let target = target.as_os_str().as_bytes();
    if target.ends_with(b"/net/tun") {
        let text = fs::read(directory.join("fdinfo").join(fd.to_string())).ok()?;
        return interface_of(&text).map(Tap::Name);
    }
    let ifindex = target.strip_prefix(b"/dev/tap")?;
    Some(Tap::Macvtap(number(OsStr::from_bytes(ifindex))?))
}

/// The interface that a tun descriptor's details name.
fn interface_of(fdinfo: &[u8]) -> Option<String> {
    let line = fdinfo
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"iff:"))?;
    let name = String::from_utf8_lossy(line);
    // Empty for a descriptor that no interface is attached to.
    Some(name.trim())
        .filter(|name| !name.is_empty())
        .map(printable)
}

fn number(text: &OsStr) -> Option<u32> {
    text.to_str()?.parse().ok()
}
