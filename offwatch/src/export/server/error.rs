//! Why there is no server: one line each.

use std::{io, net::SocketAddr, path::PathBuf};

/// An error of the server's setup.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Others could scrape without being known, or could listen.
    #[error(
        "{address} can be reached by others: give {lacking}, or --insecure, or listen on 127.0.0.1"
    )]
    Exposed {
        /// Where it would listen.
        address: SocketAddr,
        /// Options that are not given.
        lacking: &'static str,
    },
    /// An address cannot be had.
    #[error("cannot listen on {address}: {source}{}", hint(.source))]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// What systemd passed cannot be used.
    #[error("socket from systemd{}: {reason}", descriptor(*.fd))]
    Passed {
        /// Its file descriptor, if known.
        fd: Option<i32>,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot be used.
    #[error("token file {path}: {reason}", path = .path.display())]
    Token {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate or its key cannot be used.
    #[error("{what} {path}: {reason}", path = .path.display())]
    Tls {
        /// Which of both.
        what: &'static str,
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl ServerError {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Exposed { .. } => 2,
            _ => 1,
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has it, choose another one with --listen",
        io::ErrorKind::AddrNotAvailable => "; no interface here has this address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

fn descriptor(fd: Option<i32>) -> String {
    fd.map_or_else(String::new, |fd| format!(" (file descriptor {fd})"))
}
