//! What clients may take of the server.

use std::time::Duration;

/// Bytes of a request with all its headers.
pub(super) const HEAD_BYTES: usize = 8 * 1024;
/// Bytes of what is asked for.
pub(super) const URI_BYTES: usize = 2 * 1024;
/// Bytes of an answer that the kernel may keep before it has sent them.
pub(super) const UNSENT_BYTES: u32 = 128 * 1024;

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many at once; further ones wait in the kernel's queue.
    pub connections: u16,
    /// Time for a request with all its headers, of a new connection with its TLS
    /// handshake.
    pub head: Duration,
    /// Time from a request to the end of its answer, however slowly it is read.
    pub answer: Duration,
    /// Time between two requests.
    pub idle: Duration,
    /// Time for the client to end a connection that is closed.
    pub closing: Duration,
    /// Time for answers that are under way when the server is ended.
    pub end: Duration,
}

impl Limits {
    /// As documented, for so many connections.
    pub fn new(connections: u16) -> Self {
        Self {
            connections,
            head: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(120),
            closing: Duration::from_secs(1),
            end: Duration::from_secs(2),
        }
    }
}
