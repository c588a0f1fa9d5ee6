//! Doing without capabilities.

use std::io;

use anyhow::{Context, Result};

const VERSION_3: u32 = 0x2008_0522;
const NET_ADMIN: u32 = 12;

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

/// Takes `CAP_NET_ADMIN` from the calling thread, for good.
pub fn drop_net_admin() -> Result<()> {
    let mut header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    call(libc::SYS_capget, &mut header, &mut data).context("capget")?;
    data[0].effective &= !(1 << NET_ADMIN);
    data[0].permitted &= !(1 << NET_ADMIN);
    call(libc::SYS_capset, &mut header, &mut data).context("capset")
}

fn call(number: libc::c_long, header: &mut Header, data: &mut [Data; 2]) -> io::Result<()> {
    // SAFETY: the kernel reads the header and reads or writes two words of data,
    // as version 3 has them; both live across the call.
    let result = unsafe { libc::syscall(number, &raw mut *header, data.as_mut_ptr()) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
