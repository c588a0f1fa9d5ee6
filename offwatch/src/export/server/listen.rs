//! Sockets to listen on: by address, or passed by systemd.

use std::{
    io,
    net::{self, SocketAddr},
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
};

use nix::sys::socket::{SockType, getsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket};

use super::error::ServerError;

/// Connections that may wait to be accepted; the kernel may have a lower limit.
const BACKLOG: u32 = 1024;

/// Whether those elsewhere can reach an address.
pub(super) fn is_exposed(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// Listens on an address.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listen = || -> io::Result<TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // Connections of the process before this one are no hindrance.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| ServerError::Bind { address, source })
}

/// A listening socket of systemd, not in use yet.
pub(super) struct Passed {
    fd: RawFd,
    listener: net::TcpListener,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

/// All that systemd passed. To be called once.
pub(super) fn passed() -> Result<Vec<Passed>, ServerError> {
    let fds = sd_notify::listen_fds().map_err(|error| ServerError::Passed {
        fd: None,
        reason: error.to_string(),
    })?;
    fds.map(|fd| {
        // SAFETY: systemd passed it for us to own, as LISTEN_PID says, and nothing else
        // in this program takes it.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        take(fd, owned)
    })
    .collect()
}

fn take(fd: RawFd, owned: OwnedFd) -> Result<Passed, ServerError> {
    let refused = |reason: String| ServerError::Passed {
        fd: Some(fd),
        reason,
    };
    let is_listening = getsockopt(&owned, sockopt::AcceptConn).unwrap_or(false);
    let is_stream = getsockopt(&owned, sockopt::SockType) == Ok(SockType::Stream);
    let listener = net::TcpListener::from(owned);
    match listener.local_addr() {
        Ok(address) if is_listening && is_stream => Ok(Passed {
            fd,
            listener,
            address,
        }),
        _ => Err(refused(
            "not a listening TCP socket; the .socket unit needs ListenStream=ADDR:PORT and \
             Accept=no"
                .into(),
        )),
    }
}

impl Passed {
    /// Makes use of it.
    pub(super) fn listener(self) -> Result<TcpListener, ServerError> {
        let Self { fd, listener, .. } = self;
        let usable = || {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        usable().map_err(|error: io::Error| ServerError::Passed {
            fd: Some(fd),
            reason: error.to_string(),
        })
    }
}
