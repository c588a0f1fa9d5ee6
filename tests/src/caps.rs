//! Doing without capabilities.

use std::io;

use anyhow::{Context, Result};

const VERSION_3: u32 = 0x2008_0522;
const NET_ADMIN: u32 = 12;
/// More than there are.
const COUNT: u32 = 64;

/// Those that tests give by name.
const NAMES: [(&str, u32); 5] = [
    ("CAP_DAC_READ_SEARCH", 2),
    ("CAP_SYS_PTRACE", 19),
    ("CAP_SYSLOG", 34),
    ("CAP_PERFMON", 38),
    ("CAP_BPF", 39),
];

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const OWN: Header = Header {
    version: VERSION_3,
    pid: 0,
};

/// The number of a capability, if it is one that tests name.
pub fn number(name: &str) -> Option<u32> {
    let found = NAMES.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number)
}

/// Takes `CAP_NET_ADMIN` from the calling thread, for good.
pub fn drop_net_admin() -> Result<()> {
    let mut data = [Data::default(); 2];
    call(libc::SYS_capget, &mut data).context("capget")?;
    data[0].effective &= !(1 << NET_ADMIN);
    data[0].permitted &= !(1 << NET_ADMIN);
    call(libc::SYS_capset, &mut data).context("capset")
}

/// Takes all others from the bounding set of the calling thread.
pub(crate) fn bound(mask: u64) -> io::Result<()> {
    for number in (0..COUNT).filter(|number| mask & (1 << number) == 0) {
        // SAFETY: it takes numbers.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        let error = io::Error::last_os_error();
        if result != 0 && error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    Ok(())
}

/// Gives the calling thread these, none besides, and what it executes as well.
pub(crate) fn only(mask: u64) -> io::Result<()> {
    let part = |bits: u64| Data {
        effective: bits as u32,
        permitted: bits as u32,
        inheritable: bits as u32,
    };
    call(libc::SYS_capset, &mut [part(mask), part(mask >> 32)])?;
    for number in (0..COUNT).filter(|number| mask & (1 << number) != 0) {
        let raise = libc::PR_CAP_AMBIENT_RAISE;
        // SAFETY: it takes numbers.
        if unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, number, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn call(number: libc::c_long, data: &mut [Data; 2]) -> io::Result<()> {
    let mut header = OWN;
    // SAFETY: the kernel reads the header and reads or writes two words of data,
    // as version 3 has them; both live across the call.
    let result = unsafe { libc::syscall(number, &raw mut header, data.as_mut_ptr()) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
