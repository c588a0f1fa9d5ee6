//! Frames for the guest: buffers for the device to write packets into.

use anyhow::{Context, Result, ensure};
use virtio_bindings::virtio_ring::VRING_DESC_F_WRITE;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Address, Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::event;
use super::ring::{Memory, Ring, Used};
use crate::vnet::VnetHdr;

const DESCRIPTORS: u16 = 1024;
/// As a Linux guest has them: a super-frame fills many (`VIRTIO_NET_F_MRG_RXBUF`).
const BUFFER_BYTES: u32 = 4096;

/// The queue that the guest receives by. Descriptor `n` is buffer `n`.
#[derive(Debug)]
pub(super) struct Rx {
    ring: Ring,
    memory: Memory,
    buffers: GuestAddress,
    kick: EventFd,
    call: EventFd,
}

impl Rx {
    /// Bytes of memory that it needs.
    pub(super) const BYTES: u64 =
        Ring::bytes(DESCRIPTORS) + DESCRIPTORS as u64 * BUFFER_BYTES as u64;

    /// All buffers are the device's.
    pub(super) fn new(memory: Memory, at: GuestAddress) -> Result<Self> {
        let mut rx = Self {
            ring: Ring::new(memory.clone(), at, DESCRIPTORS),
            memory,
            buffers: at.unchecked_add(Ring::bytes(DESCRIPTORS)),
            kick: event()?,
            call: event()?,
        };
        for index in 0..DESCRIPTORS {
            let flags = VRING_DESC_F_WRITE as u16;
            let buffer = Descriptor::new(rx.buffer(index).0, BUFFER_BYTES, flags, 0);
            rx.ring.describe(index, buffer)?;
            rx.ring.offer(index)?;
        }
        rx.ring.publish()?;
        Ok(rx)
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

    /// Whether a packet waits to be taken.
    pub(super) fn is_waiting(&self) -> Result<bool> {
        Ok(self.ring.waiting()? > 0)
    }

    /// Copies the next packet with its header into `packet` and returns its
    /// length; none if there is no packet. Until then the call stays readable.
    pub(super) fn take(&mut self, packet: &mut [u8]) -> Result<Option<usize>> {
        let mut first = self.ring.take()?;
        if first.is_none() {
            // Before another look at the ring: what comes later is called anew.
            let _ = self.call.read();
            first = self.ring.take()?;
        }
        let Some(first) = first else {
            return Ok(None);
        };
        let mut end = self.copy(first, packet, 0)?;
        let (header, _) = VnetHdr::split(&packet[..end]).context("a packet without a header")?;
        for _ in 1..header.num_buffers {
            let more = self.ring.take()?;
            end = self.copy(more.context("a packet without its end")?, packet, end)?;
        }
        self.ring.publish()?;
        Ok(Some(end))
    }

    /// Tells the device of the buffers that it has again.
    pub(super) fn give_back(&self) -> Result<()> {
        self.kick.write(1).context("kick")
    }

    /// Copies what the device wrote into a buffer, and offers the buffer again.
    fn copy(&mut self, used: Used, packet: &mut [u8], at: usize) -> Result<usize> {
        ensure!(
            used.head < self.ring.descriptors() && used.bytes <= BUFFER_BYTES,
            "{used:?} is none of the buffers"
        );
        let end = at + used.bytes as usize;
        let part = packet
            .get_mut(at..end)
            .context("a packet larger than any")?;
        self.memory
            .read_slice(part, self.buffer(used.head))
            .context("packet memory")?;
        self.ring.offer(used.head)?;
        Ok(end)
    }

    fn buffer(&self, index: u16) -> GuestAddress {
        self.buffers
            .unchecked_add(u64::from(index) * u64::from(BUFFER_BYTES))
    }
}
