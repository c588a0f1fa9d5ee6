//! Sending frames past the queueing layer, as packet generators do.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;

use crate::{Netns, link};

/// A packet socket whose frames go to the driver of one device directly
/// (`PACKET_QDISC_BYPASS`): the kernel counts them, and no tracepoint tells.
#[derive(Debug)]
pub struct Bypass {
    socket: OwnedFd,
    address: libc::sockaddr_ll,
}

impl Bypass {
    /// Opens one for `device` of `ns`.
    pub fn open(ns: &Netns, device: &str) -> Result<Self> {
        let ifindex = link::ifindex(ns, device)?;
        ns.try_run(|| {
            // SAFETY: plain numbers; the descriptor is checked and owned at once.
            let socket = unsafe {
                let opened = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
                OwnedFd::from_raw_fd(Errno::result(opened).context("a packet socket")?)
            };
            let on: libc::c_int = 1;
            // SAFETY: the kernel reads one integer that lives across the call.
            let set = unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_PACKET,
                    libc::PACKET_QDISC_BYPASS,
                    (&raw const on).cast(),
                    size_of_val(&on) as libc::socklen_t,
                )
            };
            Errno::result(set).context("PACKET_QDISC_BYPASS")?;
            // SAFETY: `sockaddr_ll` is plain data for which all zeroes is valid.
            let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = ifindex.cast_signed();
            Ok(Self { socket, address })
        })
    }

    /// Sends a frame; `false` if the device's ring is full.
    pub fn send(&self, frame: &[u8]) -> Result<bool> {
        // SAFETY: frame and address live across the call.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const self.address).cast(),
                size_of_val(&self.address) as libc::socklen_t,
            )
        };
        match Errno::result(sent) {
            Ok(_) => Ok(true),
            Err(Errno::ENOBUFS | Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno).context("sending a frame"),
        }
    }
}
