//! Drivers, by the ethtool ioctl: netlink does not tell their names.

use std::{
    ffi::c_char,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::{facts::hardware::Driver, inventory::nic::printable};

const ETHTOOL_GDRVINFO: u32 = 3;

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DrvInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    erom: [u8; 32],
    reserved: [u8; 12],
    counts: [u32; 5],
}

/// Asks for drivers.
pub struct Drivers(OwnedFd);

impl Drivers {
    /// For the network namespace of this thread.
    pub fn open() -> io::Result<Self> {
        let datagram = SockType::Datagram;
        let socket = socket(AddressFamily::Inet, datagram, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(Self(socket))
    }

    /// The driver of an interface. Needs no privilege.
    pub fn of(&self, dev: &str) -> io::Result<Driver> {
        let mut info = DrvInfo {
            command: ETHTOOL_GDRVINFO,
            driver: [0; 32],
            version: [0; 32],
            firmware: [0; 32],
            bus: [0; 32],
            erom: [0; 32],
            reserved: [0; 12],
            counts: [0; 5],
        };
        // SAFETY: all fields are numbers, and a union of them.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // One less: the name ends with a zero.
        let name_bytes = request.ifr_name.len() - 1;
        if dev.len() > name_bytes {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in request.ifr_name.iter_mut().zip(dev.bytes()) {
            *to = from as c_char;
        }
        request.ifr_ifru.ifru_data = (&raw mut info).cast();
        // SAFETY: the kernel reads the name and writes to `info`, which has
        // the size that the command stands for; both live across the call.
        let result =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(driver(&info))
    }
}

fn driver(info: &DrvInfo) -> Driver {
    Driver {
        name: text(&info.driver).unwrap_or_default(),
        version: text(&info.version),
        firmware: text(&info.firmware),
        bus: text(&info.bus),
    }
}

/// What is told in a field; drivers write N/A where they have nothing to tell.
fn text(field: &[u8]) -> Option<String> {
    let end = field.iter().position(|byte| *byte == 0);
    let text = String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]);
    let text = text.trim();
    (!text.is_empty() && text != "N/A").then(|| printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_driver_does_not_tell_is_none() {
        let mut field = [0; 32];
        assert_eq!(text(&field), None);
        field[..3].copy_from_slice(b"N/A");
        assert_eq!(text(&field), None);
        field[..5].copy_from_slice(b"5.1 \x1b");
        assert_eq!(text(&field).as_deref(), Some("5.1 ?"));
        assert_eq!(text(&[b'x'; 32]).map(|text| text.len()), Some(32));
        assert_eq!(size_of::<DrvInfo>(), 196);
    }
}
