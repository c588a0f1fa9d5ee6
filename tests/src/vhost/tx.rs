//! Frames from the guest: packets on their way to the device.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use virtio_bindings::virtio_ring::VRING_DESC_F_NEXT;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Address, Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::ring::{Memory, Ring};
use super::{as_fd, event};
use crate::worker::BUFFER_BYTES;

const DESCRIPTORS: u16 = 256;
/// Packets of a batch; they do not outlive it.
const ARENA_BYTES: u64 = 2 << 20;
/// A packet has one descriptor for each part of this size: a super-frame has
/// several, as that of a guest has one a page or more.
const PART_BYTES: usize = 16 * 1024;
/// Parts of the largest packet.
const MOST_PARTS: u16 = BUFFER_BYTES.div_ceil(PART_BYTES) as u16;

/// A device that takes no packet for so long is stuck, however loaded the
/// machine is.
const PATIENCE: Duration = Duration::from_secs(60);

const _: () = assert!(BUFFER_BYTES as u64 <= ARENA_BYTES && MOST_PARTS <= DESCRIPTORS);

/// The queue that the guest sends by. Every batch is awaited, so each begins
/// with an empty ring and an empty arena.
#[derive(Debug)]
pub(super) struct Tx {
    ring: Ring,
    memory: Memory,
    arena: GuestAddress,
    filled_bytes: u64,
    described: u16,
    kick: EventFd,
    call: EventFd,
}

impl Tx {
    /// Bytes of memory that it needs.
    pub(super) const BYTES: u64 = Ring::bytes(DESCRIPTORS) + ARENA_BYTES;

    pub(super) fn new(memory: Memory, at: GuestAddress) -> Result<Self> {
        Ok(Self {
            ring: Ring::new(memory.clone(), at, DESCRIPTORS),
            memory,
            arena: at.unchecked_add(Ring::bytes(DESCRIPTORS)),
            filled_bytes: 0,
            described: 0,
            kick: event()?,
            call: event()?,
        })
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    pub(super) fn kick(&self) -> &EventFd {
        &self.kick
    }

    pub(super) fn call(&self) -> &EventFd {
        &self.call
    }

    /// Adds a packet with its header to the batch; sends the batch if it is full.
    pub(super) fn put(&mut self, packet: &[u8]) -> Result<()> {
        ensure!(packet.len() <= BUFFER_BYTES, "a packet larger than any");
        let bytes = packet.len() as u64;
        if self.described + MOST_PARTS > DESCRIPTORS || self.filled_bytes + bytes > ARENA_BYTES {
            self.flush()?;
        }
        let head = self.described;
        let mut parts = packet.chunks(PART_BYTES).peekable();
        while let Some(part) = parts.next() {
            let at = self.arena.unchecked_add(self.filled_bytes);
            self.memory.write_slice(part, at).context("packet memory")?;
            self.filled_bytes += part.len() as u64;
            let (flags, next) = match parts.peek() {
                Some(_) => (VRING_DESC_F_NEXT as u16, self.described + 1),
                None => (0, 0),
            };
            let part = Descriptor::new(at.0, part.len() as u32, flags, next);
            self.ring.describe(self.described, part)?;
            self.described += 1;
        }
        self.ring.offer(head)
    }

    /// Sends the batch and waits until the device is done with all of it: the
    /// host's kernel has then counted every frame.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.ring.outstanding() > 0 {
            self.ring.publish()?;
            self.kick.write(1).context("kick")?;
        }
        while self.ring.outstanding() > 0 {
            // Before the look at the ring: what comes later wakes the poll.
            let _ = self.call.read();
            if self.ring.take()?.is_some() {
                continue;
            }
            let timeout = PollTimeout::try_from(PATIENCE).context("patience")?;
            let mut fds = [PollFd::new(as_fd(&self.call), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Err(nix::errno::Errno::EINTR) => {}
                ready => ensure!(
                    ready.context("poll")? > 0,
                    "vhost-net has not sent {} packets within {PATIENCE:?}",
                    self.ring.outstanding()
                ),
            }
        }
        (self.filled_bytes, self.described) = (0, 0);
        Ok(())
    }
}
