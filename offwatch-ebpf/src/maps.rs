//! Maps.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, PerCpuArray},
};
use offwatch_common::{
    MAX_SLOTS, Slot,
    ifindexes::{BUCKETS, Bucket, GROUP, Group, INDEXED_IFINDEXES},
};

/// The counters, one slot an interface; userspace maps them.
#[map]
pub(crate) static SLOTS: Array<Slot> = Array::with_max_entries(MAX_SLOTS, BPF_F_MMAPABLE);

/// ifindex to slot, for ifindexes below [`INDEXED_IFINDEXES`].
#[map]
pub(crate) static SLOT_OF: Array<Group> =
    Array::with_max_entries(INDEXED_IFINDEXES / GROUP, BPF_F_MMAPABLE);

/// ifindex to slot, for all others.
#[map]
pub(crate) static SLOT_OF_HIGH: Array<Bucket> = Array::with_max_entries(BUCKETS, BPF_F_MMAPABLE);

/// What this CPU last queued and last handed to a driver.
#[map]
pub(crate) static IN_FLIGHT: PerCpuArray<InFlight> = PerCpuArray::with_max_entries(1, 0);

/// See [`crate::count`].
#[repr(C)]
pub(crate) struct InFlight {
    /// Address of the skb seen at `net_dev_queue`, 0 once it is accounted for.
    pub(crate) queued: u64,
    /// Address of the skb last seen at `net_dev_start_xmit`.
    pub(crate) sent: u64,
    /// Address of the queued frame's device.
    pub(crate) dev: u64,
    /// The slot is that of the frame last sent, too.
    pub(crate) frame: Frame,
    /// The device's ifindex. Where the frame went unseen its slot is looked up again,
    /// as the device may be gone by then.
    pub(crate) ifindex: u32,
}

/// What is kept of a frame while it is on its way.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    /// Slot of its device, 0 if that is not observed.
    pub(crate) slot: u32,
    pub(crate) iif: u32,
    pub(crate) shape: Shape,
}

/// A [`Frame`] in as few pieces as can be.
type Words = [u64; 4];

const _: () = assert!(size_of::<Frame>() == size_of::<Words>());

impl Frame {
    /// Becomes `other`, word by word: the compiler makes a call of a copy of the
    /// whole, which programs that observe alone must not have.
    #[inline(always)]
    pub(crate) fn take(&mut self, other: &Self) {
        // SAFETY: both are as large and as aligned, and neither has padding.
        let (to, from) = unsafe {
            (
                &mut *(&raw mut *self).cast::<Words>(),
                &*(&raw const *other).cast::<Words>(),
            )
        };
        to[0] = from[0];
        to[1] = from[1];
        to[2] = from[2];
        to[3] = from[3];
    }
}

/// What of a frame matters to software work.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) gso_size: u32,
    pub(crate) partial: u32,
    pub(crate) segments: u32,
    pub(crate) wire_bytes: u32,
    pub(crate) checksum_bytes: u32,
    pub(crate) payload_bytes: u32,
}
