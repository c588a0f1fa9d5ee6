//! Notifications of the kernel over netlink, for as long as they are wanted.

use std::{future::poll_fn, io, marker::PhantomData, os::fd::AsRawFd as _};

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
        let notifications = Self::unsubscribed(protocol)?;
        notifications.subscribe(group)?;
        Ok(notifications)
    }

    /// As [`Self::open`], for messages of these types only: others are not even
    /// kept for us.
    pub fn of_types(protocol: isize, group: u32, types: &[u16]) -> io::Result<Self> {
        let notifications = Self::unsubscribed(protocol)?;
        attach_filter(&notifications.socket, types)?;
        notifications.subscribe(group)?;
        Ok(notifications)
    }

    fn unsubscribed(protocol: isize) -> io::Result<Self> {
        let mut socket = TokioSocket::new(protocol)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        // Clamped to net.core.rmem_max; an overrun is handled anyway.
        let _ = socket.socket_ref().set_rx_buf_sz(RECEIVE_BUFFER_BYTES);
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM_BYTES),
            messages: PhantomData,
        })
    }

    fn subscribe(&self, group: u32) -> io::Result<()> {
        self.socket.socket_ref().add_membership(group)
    }

    /// Waits for the next one. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<M, Lost> {
        loop {
            self.buffer.clear();
            let received = poll_fn(|context| self.socket.poll_recv(context, &mut self.buffer));
            received.await.map_err(|_| Lost)?;
            if let Ok(message) = NetlinkMessage::<M>::deserialize(&self.buffer)
                && let NetlinkPayload::InnerMessage(message) = message.payload
            {
                return Ok(message);
            }
        }
    }
}

/// Keeps messages of other types from the socket's queue.
fn attach_filter(socket: &TokioSocket, types: &[u16]) -> io::Result<()> {
    /// `nlmsg_type`, in the host's byte order; the filter loads it as big endian.
    const TYPE_OFFSET: u32 = 4;
    let instruction = |code: u32, k: u32, skip_if_equal: u8| libc::sock_filter {
        code: code as u16,
        jt: skip_if_equal,
        jf: 0,
        k,
    };
    let mut code = vec![instruction(
        libc::BPF_LD | libc::BPF_H | libc::BPF_ABS,
        TYPE_OFFSET,
        0,
    )];
    for (index, kind) in types.iter().enumerate() {
        // Past the remaining comparisons and the refusal.
        let skip = (types.len() - index) as u8;
        let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        code.push(instruction(equal, kind.to_be().into(), skip));
    }
    code.push(instruction(libc::BPF_RET | libc::BPF_K, 0, 0));
    code.push(instruction(libc::BPF_RET | libc::BPF_K, u32::MAX, 0));
    let program = libc::sock_fprog {
        len: code.len() as u16,
        filter: code.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, which lives across the call.
    let attached = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    if attached != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
