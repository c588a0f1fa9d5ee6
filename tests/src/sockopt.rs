//! Socket options that std does not offer.

use std::ffi::c_int;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

/// Limits how long `accept` and reads may block.
pub fn receive_timeout(socket: &impl AsFd, timeout: std::time::Duration) -> Result<()> {
    let timeout = TimeVal::new(
        timeout.as_secs().try_into().context("timeout")?,
        timeout.subsec_micros().into(),
    );
    setsockopt(socket, sockopt::ReceiveTimeout, &timeout).context("SO_RCVTIMEO")
}

/// Makes the receive buffer larger than the system's limit allows others.
pub fn receive_buffer(socket: &impl AsFd, bytes: usize) -> Result<()> {
    setsockopt(socket, sockopt::RcvBufForce, &bytes).context("SO_RCVBUFFORCE")
}

/// Limits the segment size that a listener announces (`TCP_MAXSEG`).
pub fn max_segment(socket: &impl AsFd, bytes: u16) -> Result<()> {
    setsockopt(socket, sockopt::TcpMaxSeg, &bytes.into()).context("TCP_MAXSEG")
}

/// Lets the kernel cut each write into datagrams of `bytes` (`UDP_SEGMENT`).
pub fn udp_segment(socket: &impl AsFd, bytes: u16) -> Result<()> {
    use std::os::fd::AsRawFd;
    let value = c_int::from(bytes);
    // SAFETY: the option takes an int, which lives across the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop).context("UDP_SEGMENT")
}

/// Has a reset sent where the socket is closed (`SO_LINGER` of no time).
pub fn reset_on_close(socket: &impl AsFd) -> Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(socket, sockopt::Linger, &linger).context("SO_LINGER")
}

/// Has little kept for a reader (`SO_RCVBUF`); to be asked for before it connects.
pub fn small_receive_buffer(socket: &impl AsFd) -> Result<()> {
    setsockopt(socket, sockopt::RcvBuf, &4096).context("SO_RCVBUF")
}
