//! The driver's half of a split virtqueue: it offers chains of buffers and
//! takes them back once the device has used them.

use std::num::Wrapping;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use vhost::VringConfigData;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryMmap};

/// What the device may read and write.
pub(super) type Memory = Arc<GuestMemoryMmap<()>>;

/// Bytes of an entry of the descriptor table.
const DESCRIPTOR_BYTES: u64 = size_of::<Descriptor>() as u64;
/// Both rings begin with flags and an index, of 2 bytes each.
const INDEX_OFFSET: u64 = 2;
/// See [`INDEX_OFFSET`].
const ENTRIES_OFFSET: u64 = 4;
/// Bytes of an entry of the used ring: a head and a length of 4 bytes each.
const USED_ENTRY_BYTES: u64 = 8;

/// A split virtqueue without event indexes: each side is notified always.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Memory,
    descriptors: u16,
    table: GuestAddress,
    available: GuestAddress,
    used: GuestAddress,
    next_available: Wrapping<u16>,
    next_used: Wrapping<u16>,
}

/// A chain that the device has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Used {
    /// Its first descriptor.
    pub(super) head: u16,
    /// Bytes that the device wrote.
    pub(super) bytes: u32,
}

impl Ring {
    /// Bytes of memory of a ring.
    pub(super) const fn bytes(descriptors: u16) -> u64 {
        let available = ENTRIES_OFFSET + 2 * descriptors as u64;
        let used = ENTRIES_OFFSET + USED_ENTRY_BYTES * descriptors as u64;
        // The used ring is aligned to 4 bytes, as is what follows this one to 16.
        (DESCRIPTOR_BYTES * descriptors as u64 + available.next_multiple_of(4) + used)
            .next_multiple_of(16)
    }

    /// A ring at an address that is a multiple of 16, in memory that is zero.
    /// The number of descriptors is a power of two.
    pub(super) fn new(memory: Memory, at: GuestAddress, descriptors: u16) -> Self {
        let available = at.unchecked_add(DESCRIPTOR_BYTES * u64::from(descriptors));
        let available_bytes = ENTRIES_OFFSET + 2 * u64::from(descriptors);
        Self {
            memory,
            descriptors,
            table: at,
            available,
            used: available.unchecked_add(available_bytes.next_multiple_of(4)),
            next_available: Wrapping(0),
            next_used: Wrapping(0),
        }
    }

    /// Where it is, for the device.
    pub(super) fn config(&self) -> VringConfigData {
        VringConfigData {
            queue_max_size: self.descriptors,
            queue_size: self.descriptors,
            desc_table_addr: self.table.0,
            used_ring_addr: self.used.0,
            avail_ring_addr: self.available.0,
            ..VringConfigData::default()
        }
    }

    pub(super) fn descriptors(&self) -> u16 {
        self.descriptors
    }

    /// Writes an entry of the descriptor table.
    pub(super) fn describe(&self, index: u16, descriptor: Descriptor) -> Result<()> {
        let at = self
            .table
            .unchecked_add(DESCRIPTOR_BYTES * u64::from(index));
        self.memory
            .write_obj(descriptor, at)
            .context("descriptor table")
    }

    /// Hands the chain that begins at `head` to the device, at the next
    /// [`Self::publish`].
    pub(super) fn offer(&mut self, head: u16) -> Result<()> {
        let slot = self.next_available.0 % self.descriptors;
        let at = self
            .available
            .unchecked_add(ENTRIES_OFFSET + 2 * u64::from(slot));
        self.memory
            .write_obj(head.to_le(), at)
            .context("available ring")?;
        self.next_available += 1;
        Ok(())
    }

    /// Makes all that was offered visible to the device.
    pub(super) fn publish(&self) -> Result<()> {
        let at = self.available.unchecked_add(INDEX_OFFSET);
        self.memory
            .store(self.next_available.0.to_le(), at, Ordering::Release)
            .context("available index")
    }

    /// Chains that the device has used and that were not taken back yet.
    pub(super) fn waiting(&self) -> Result<u16> {
        let at = self.used.unchecked_add(INDEX_OFFSET);
        let index: u16 = self
            .memory
            .load(at, Ordering::Acquire)
            .context("used index")?;
        Ok((Wrapping(u16::from_le(index)) - self.next_used).0)
    }

    /// Chains that the device has, or has used.
    pub(super) fn outstanding(&self) -> u16 {
        (self.next_available - self.next_used).0
    }

    /// Takes back the next chain that the device has used.
    pub(super) fn take(&mut self) -> Result<Option<Used>> {
        if self.waiting()? == 0 {
            return Ok(None);
        }
        let slot = self.next_used.0 % self.descriptors;
        let at = self
            .used
            .unchecked_add(ENTRIES_OFFSET + USED_ENTRY_BYTES * u64::from(slot));
        let [head, bytes]: [u32; 2] = self.memory.read_obj(at).context("used ring")?;
        self.next_used += 1;
        Ok(Some(Used {
            head: u32::from_le(head)
                .try_into()
                .context("a used chain without a head")?,
            bytes: u32::from_le(bytes),
        }))
    }
}

#[cfg(test)]
mod tests {
    use virtio_queue::{Queue, QueueT};

    use super::*;

    const DESCRIPTORS: u16 = 8;
    const AT: GuestAddress = GuestAddress(0x100);
    const BUFFERS: u64 = 0x1000;

    /// Our half, and the device's as cloud-hypervisor and others have it.
    fn both_halves() -> (Ring, Queue, Memory) {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap();
        let memory = Arc::new(memory);
        let ring = Ring::new(Arc::clone(&memory), AT, DESCRIPTORS);
        let config = ring.config();
        let mut device = Queue::new(DESCRIPTORS).unwrap();
        device.set_size(DESCRIPTORS);
        device.set_desc_table_address(Some(config.desc_table_addr as u32), None);
        device.set_avail_ring_address(Some(config.avail_ring_addr as u32), None);
        device.set_used_ring_address(Some(config.used_ring_addr as u32), None);
        device.set_ready(true);
        assert!(device.is_valid(memory.as_ref()));
        (ring, device, memory)
    }

    #[test]
    fn chains_go_to_the_device_and_come_back() {
        let (mut ring, mut device, memory) = both_halves();
        // Often enough for every index to wrap around.
        for round in 0..70_000_u32 {
            let head = (round % 4) as u16 * 2;
            let (first, second) = (round % 100 + 1, round % 50 + 1);
            let next = virtio_bindings::virtio_ring::VRING_DESC_F_NEXT as u16;
            ring.describe(head, Descriptor::new(BUFFERS, first, next, head + 1))
                .unwrap();
            ring.describe(head + 1, Descriptor::new(BUFFERS * 2, second, 0, 0))
                .unwrap();
            ring.offer(head).unwrap();
            assert!(device.pop_descriptor_chain(memory.as_ref()).is_none());
            ring.publish().unwrap();

            let chain = device.pop_descriptor_chain(memory.as_ref()).unwrap();
            assert_eq!(chain.head_index(), head);
            let parts: Vec<_> = chain.map(|part| (part.addr().0, part.len())).collect();
            assert_eq!(parts, [(BUFFERS, first), (BUFFERS * 2, second)]);

            assert_eq!((ring.outstanding(), ring.waiting().unwrap()), (1, 0));
            assert_eq!(ring.take().unwrap(), None);
            device.add_used(memory.as_ref(), head, round).unwrap();
            assert_eq!((ring.outstanding(), ring.waiting().unwrap()), (1, 1));
            let used = Used { head, bytes: round };
            assert_eq!(ring.take().unwrap(), Some(used));
            assert_eq!((ring.outstanding(), ring.waiting().unwrap()), (0, 0));
        }
    }

    #[test]
    fn a_ring_fits_its_bytes() {
        for descriptors in [1, 2, 64, 1024] {
            let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap();
            let ring = Ring::new(Arc::new(memory), AT, descriptors);
            let end = ring.used.0 + ENTRIES_OFFSET + USED_ENTRY_BYTES * u64::from(descriptors);
            assert!(end <= AT.0 + Ring::bytes(descriptors));
            assert!(Ring::bytes(descriptors) < end - AT.0 + 16);
        }
    }
}
