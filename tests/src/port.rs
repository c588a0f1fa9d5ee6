//! How frames cross between a guest's driver and a queue of the host's tap.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::unistd::{read, write};

use crate::guest::Backend;
use crate::vhost::VhostNetPort;
use crate::vnet::VNET_HDR_BYTES;

/// The host's end of a queue.
#[derive(Debug)]
pub(crate) enum Port {
    /// Read and written here, as QEMU does without vhost.
    Tap(OwnedFd),
    /// The same for a tap without virtio headers: none goes out, and an empty one
    /// comes in.
    Plain(OwnedFd),
    /// Carried by the kernel's vhost-net.
    Vhost(Box<VhostNetPort>),
}

/// What a read from a queue brought.
pub(crate) enum Packet<'b> {
    /// A packet with its virtio header.
    Some(&'b [u8]),
    /// The kernel could not express this one as a virtio packet and freed it.
    Refused,
    /// There is none.
    None,
}

impl Port {
    /// Of a tap without virtio headers, nothing but this process carries frames.
    pub(crate) fn open(backend: Backend, tap: &OwnedFd, vnet_hdr: bool) -> Result<Self> {
        Ok(match backend {
            _ if !vnet_hdr => Self::Plain(tap.try_clone().context("dup of a tap")?),
            Backend::Relay => Self::Tap(tap.try_clone().context("dup of a tap")?),
            Backend::Vhost => Self::Vhost(Box::new(VhostNetPort::open(tap, false)?)),
            Backend::VhostKthread => Self::Vhost(Box::new(VhostNetPort::open(tap, true)?)),
        })
    }

    /// Becomes readable when packets for the guest may be waiting.
    pub(crate) fn readable(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tap(tap) | Self::Plain(tap) => tap.as_fd(),
            Self::Vhost(port) => port.readable(),
        }
    }

    /// Hands a packet with its header to the host, at the next [`Self::flush`]
    /// or before. The inner result tells whether the tap accepted it; vhost-net
    /// does not say, and drops what the tap refuses.
    pub(crate) fn put(&self, packet: &[u8]) -> Result<nix::Result<()>> {
        match self {
            Self::Tap(tap) => Ok(write(tap, packet).map(drop)),
            Self::Plain(tap) => match packet.split_at_checked(VNET_HDR_BYTES) {
                Some((_, frame)) => Ok(write(tap, frame).map(drop)),
                None => Ok(Err(Errno::EINVAL)),
            },
            Self::Vhost(port) => port.put(packet).map(Ok),
        }
    }

    /// Waits until the host has all packets.
    pub(crate) fn flush(&self) -> Result<()> {
        match self {
            Self::Tap(_) | Self::Plain(_) => Ok(()),
            Self::Vhost(port) => port.flush(),
        }
    }

    /// Takes the next packet for the guest.
    pub(crate) fn take<'b>(&self, buffer: &'b mut [u8]) -> Result<Packet<'b>> {
        match self {
            Self::Tap(tap) => read_packet(tap, buffer),
            Self::Plain(tap) => {
                let (header, room) = buffer.split_at_mut(VNET_HDR_BYTES);
                header.fill(0);
                let bytes = match read_packet(tap, room)? {
                    Packet::Some(frame) => frame.len(),
                    Packet::Refused => return Ok(Packet::Refused),
                    Packet::None => return Ok(Packet::None),
                };
                Ok(Packet::Some(&buffer[..VNET_HDR_BYTES + bytes]))
            }
            Self::Vhost(port) => Ok(match port.take(buffer)? {
                Some(bytes) => Packet::Some(&buffer[..bytes]),
                None => Packet::None,
            }),
        }
    }

    /// Ends a series of [`Self::take`]: its buffers can be used again.
    pub(crate) fn give_back(&self) -> Result<()> {
        match self {
            Self::Tap(_) | Self::Plain(_) => Ok(()),
            Self::Vhost(port) => port.give_back(),
        }
    }

    /// From now on, nothing but [`Self::take`] moves a frame out of the tap's
    /// ring, and all that was moved before can be taken.
    pub(crate) fn stop(&self) -> Result<()> {
        match self {
            Self::Tap(_) | Self::Plain(_) => Ok(()),
            Self::Vhost(port) => port.stop(),
        }
    }

    /// Ends [`Self::stop`].
    pub(crate) fn start(&self) -> Result<()> {
        match self {
            Self::Tap(_) | Self::Plain(_) => Ok(()),
            Self::Vhost(port) => port.start(),
        }
    }

    /// Whether no frame for the guest is in the tap's ring or on its way to
    /// [`Self::take`], while nobody takes one and [`Self::stop`] is not in force.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        match self {
            Self::Tap(tap) | Self::Plain(tap) => is_readable(tap).map(|readable| !readable),
            Self::Vhost(port) => port.is_empty(),
        }
    }
}

/// Whether there is something to read, or an error to see.
pub(crate) fn is_readable(file: impl AsFd) -> Result<bool> {
    let mut fds = [nix::poll::PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    match nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(true),
        Err(errno) => Err(errno).context("poll"),
    }
}

/// Reads one packet from a tap.
pub(crate) fn read_packet(tap: impl AsFd, buffer: &mut [u8]) -> Result<Packet<'_>> {
    match read(tap, buffer) {
        Ok(bytes) => Ok(Packet::Some(&buffer[..bytes])),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(Packet::None),
        Err(Errno::EINVAL) => Ok(Packet::Refused),
        Err(errno) => Err(errno).context("reading from a tap"),
    }
}
