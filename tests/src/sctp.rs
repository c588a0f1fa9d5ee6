//! SCTP between namespaces.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::{Backlog, SockaddrIn, bind, connect, listen};

use crate::netns::Netns;

const PORT: u16 = 5001;
/// Bytes of each message.
const MESSAGE_BYTES: usize = 1000;

/// Why there is no SCTP on this kernel, or `None` if there is.
pub fn lacking() -> Option<String> {
    match socket() {
        Ok(_) => None,
        Err(error) => Some(format!("no SCTP socket: {error:#}")),
    }
}

/// Sends `messages` messages to `address` and checks that all bytes arrived.
pub fn send(from: &Netns, to: &Netns, address: Ipv4Addr, messages: usize) -> Result<()> {
    let listener = to.try_run(|| {
        let socket = socket()?;
        bind(socket.as_raw_fd(), &at(address)).context("bind")?;
        listen(&socket, Backlog::new(1)?).context("listen")?;
        // Only accepts: what kind of stream it is does not matter for that.
        Ok(TcpListener::from(socket))
    })?;
    let received = thread::scope(|scope| {
        let receiver = scope.spawn(|| -> Result<usize> {
            let (mut stream, _) = listener.accept().context("accept")?;
            let mut bytes = 0;
            let mut buffer = [0; 65536];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return Ok(bytes),
                    Ok(read) => bytes += read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error).context("receiving SCTP"),
                }
            }
        });
        from.try_run(|| {
            let socket = socket()?;
            connect(socket.as_raw_fd(), &at(address)).context("connect")?;
            let mut stream = TcpStream::from(socket);
            for _ in 0..messages {
                stream
                    .write_all(&[0x5a; MESSAGE_BYTES])
                    .context("sending SCTP")?;
            }
            stream.shutdown(Shutdown::Write).context("shutdown")
        })?;
        receiver.join().expect("the receiving thread")
    })?;
    ensure!(
        received == messages * MESSAGE_BYTES,
        "only {received} bytes arrived"
    );
    Ok(())
}

fn at(address: Ipv4Addr) -> SockaddrIn {
    SocketAddrV4::new(address, PORT).into()
}

fn socket() -> Result<OwnedFd> {
    // SAFETY: the call takes integers only.
    let fd = unsafe {
        libc::socket(
            libc::AF_INET,
            libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
            libc::IPPROTO_SCTP,
        )
    };
    let fd = Errno::result(fd).context("socket")?;
    // SAFETY: just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
