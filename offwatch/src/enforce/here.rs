//! Which boot and which network namespace this is.

use std::{fs, io, os::unix::fs::MetadataExt as _};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{error::EnforceError, journal::Commit};
use crate::clock;

/// Where this process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Inode number of the network namespace.
    pub netns: u64,
    /// Its number that no other namespace of this boot gets (`SO_NETNS_COOKIE`,
    /// Linux 5.14): an inode number may be given again.
    pub netns_cookie: Option<u64>,
}

/// What a commit has to do with where we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Its interfaces are those we see.
    Ours,
    /// Its interfaces are gone with the boot.
    OtherBoot,
    /// Its interfaces are others than those we see.
    OtherNamespace,
}

impl Here {
    /// Asks the kernel.
    pub fn now() -> Result<Self, EnforceError> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let netns = fs::metadata("/proc/thread-self/ns/net");
        Ok(Self {
            boot_id: boot_id.map_err(EnforceError::Nowhere)?.trim().to_owned(),
            netns: netns.map_err(EnforceError::Nowhere)?.ino(),
            netns_cookie: netns_cookie().ok(),
        })
    }

    /// Whose interfaces a commit changed.
    pub fn whose(&self, commit: &Commit) -> Whose {
        // Definitions outlive a boot, and are those of the whole host.
        if commit.definitions.is_some() {
            return Whose::Ours;
        }
        if commit.boot_id != self.boot_id {
            return Whose::OtherBoot;
        }
        let inode = commit
            .entries
            .iter()
            .all(|entry| entry.id.netns == self.netns);
        let cookie = match (commit.netns_cookie, self.netns_cookie) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        match inode && cookie {
            true => Whose::Ours,
            false => Whose::OtherNamespace,
        }
    }
}

fn netns_cookie() -> io::Result<u64> {
    use std::os::fd::AsRawFd as _;
    let socket = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the integer, and both
    // live across the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    match result {
        0 => Ok(cookie),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How long it is until a moment of [`clock::boottime_ns`], in whole seconds.
pub fn seconds_until(boottime_ns: u64) -> u64 {
    boottime_ns
        .saturating_sub(clock::boottime_ns())
        .div_ceil(1_000_000_000)
}
