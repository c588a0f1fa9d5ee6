//! Notifications of the kernel over netlink, for as long as they are wanted.

use std::{future::poll_fn, io, marker::PhantomData};

use netlink_packet_core::{NetlinkDeserializable, NetlinkMessage, NetlinkPayload};
use netlink_sys::{AsyncSocket as _, SocketAddr, TokioSocket};

/// What the kernel keeps for us until we read it: about 10,000 notifications,
/// with its own overhead.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Each datagram is one notification.
const DATAGRAM_BYTES: usize = 32 << 10;

/// Receives the notifications of one group. Must live on a tokio runtime.
pub struct Notifications<M> {
    socket: TokioSocket,
    buffer: Vec<u8>,
    messages: PhantomData<fn() -> M>,
}

/// The kernel dropped notifications, or none will come any more: subscribe
/// anew, then ask for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl<M: NetlinkDeserializable> Notifications<M> {
    /// Subscribes. What is notified from now on is not missed.
    pub fn open(protocol: isize, group: u32) -> io::Result<Self> {
        let mut socket = TokioSocket::new(protocol)?;
        let inner = socket.socket_mut();
        inner.bind(&SocketAddr::new(0, 0))?;
        // Clamped to net.core.rmem_max; an overrun is handled anyway.
        let _ = inner.set_rx_buf_sz(RECEIVE_BUFFER_BYTES);
        inner.add_membership(group)?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM_BYTES),
            messages: PhantomData,
        })
    }

    /// Waits for the next one. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<M, Lost> {
        loop {
            self.buffer.clear();
            let received = poll_fn(|context| self.socket.poll_recv(context, &mut self.buffer));
            received.await.map_err(|_| Lost)?;
            if let Some(message) = self.message() {
                return Ok(message);
            }
        }
    }

    /// The next one that is there; none if the kernel has sent no other by now.
    /// The runtime learns a little later that there is one.
    pub fn waiting(&mut self) -> Option<Result<M, Lost>> {
        loop {
            self.buffer.clear();
            let socket = self.socket.socket_mut();
            match socket.recv(&mut self.buffer, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Some(Err(Lost)),
            }
            if let Some(message) = self.message() {
                return Some(Ok(message));
            }
        }
    }

    fn message(&self) -> Option<M> {
        match NetlinkMessage::<M>::deserialize(&self.buffer).ok()?.payload {
            NetlinkPayload::InnerMessage(message) => Some(message),
            _ => None,
        }
    }
}
