//! sysfs of the network namespace that is observed.
//!
//! `/sys/class/net` shows the namespace of whoever mounted it, which after
//! `nsenter` is another one, where the same names may stand for other devices.
//! So sysfs is opened as a mount that is attached nowhere: nobody else sees it,
//! and it is gone with its descriptor.

use std::{
    ffi::{CStr, c_int, c_uint, c_void},
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr::null,
};

use nix::{
    fcntl::{OFlag, openat},
    sys::stat::Mode,
};

/// Without it the tun driver hands frames on as they come.
const IFF_NAPI: u32 = 0x10;

/// sysfs of the namespace of the thread that opened it.
pub struct Sysfs {
    root: OwnedFd,
}

impl Sysfs {
    /// Opens it; needs `CAP_SYS_ADMIN`.
    pub fn open() -> io::Result<Self> {
        const FSOPEN_CLOEXEC: c_uint = 1;
        const FSCONFIG_CMD_CREATE: c_uint = 6;
        const FSMOUNT_CLOEXEC: c_uint = 1;
        const MOUNT_ATTR_RDONLY: c_uint = 1;
        let name: &CStr = c"sysfs";
        // SAFETY: the name is a string that lives across the call.
        let context =
            descriptor(unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), FSOPEN_CLOEXEC) })?;
        let nothing = null::<c_void>();
        // SAFETY: this command takes neither key nor value.
        let created = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                FSCONFIG_CMD_CREATE,
                nothing,
                nothing,
                0,
            )
        };
        if created != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: all arguments are numbers.
        let root = descriptor(unsafe {
            libc::syscall(
                libc::SYS_fsmount,
                context.as_raw_fd(),
                FSMOUNT_CLOEXEC,
                MOUNT_ATTR_RDONLY,
            )
        })?;
        Ok(Self { root })
    }

    /// Why it cannot be opened or read.
    pub fn reason(error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "CAP_SYS_ADMIN missing, for sysfs of this network namespace".into()
            }
            _ => format!("sysfs: {error}"),
        }
    }

    /// Whether a tap does GRO on what its guest sends (`IFF_NAPI`).
    pub fn tap_has_napi(&self, dev: &str) -> io::Result<bool> {
        let text = self.read(dev, "tun_flags")?;
        let flags = text
            .strip_prefix("0x")
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let flags = flags.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(flags & IFF_NAPI != 0)
    }

    /// How often the kernel found a transmit queue of the interface stuck.
    pub fn tx_timeouts(&self, dev: &str) -> io::Result<u64> {
        let mut timeouts = 0;
        for queue in 0.. {
            match self.read(dev, &format!("queues/tx-{queue}/tx_timeout")) {
                Err(error) if queue > 0 && error.kind() == io::ErrorKind::NotFound => break,
                text => {
                    let count = text?.parse::<u64>();
                    timeouts += count.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                }
            }
        }
        Ok(timeouts)
    }

    fn read(&self, dev: &str, file: &str) -> io::Result<String> {
        let path = format!("class/net/{dev}/{file}");
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let opened = openat(self.root.as_fd(), path.as_str(), flags, Mode::empty())?;
        let mut text = String::new();
        File::from(opened).read_to_string(&mut text)?;
        Ok(text.trim_end().to_owned())
    }
}

fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    let descriptor = c_int::try_from(result).unwrap_or(-1);
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
