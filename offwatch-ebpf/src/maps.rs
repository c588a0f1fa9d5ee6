//! Maps, and the read-only data that userspace sets before loading.

use aya_ebpf::{
    Global,
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, PerCpuArray},
};
use offwatch_common::{
    ABSENT, Access, DropReasons, GsoBits, INDEXED_IFINDEXES, MAX_SLOTS, Offsets, Slot,
};

/// The counters, one slot an interface; userspace maps them.
#[map]
pub(crate) static SLOTS: Array<Slot> = Array::with_max_entries(MAX_SLOTS, BPF_F_MMAPABLE);

/// ifindex to slot, for ifindexes below [`INDEXED_IFINDEXES`].
#[map]
pub(crate) static SLOT_OF: Array<u32> = Array::with_max_entries(INDEXED_IFINDEXES, BPF_F_MMAPABLE);

/// ifindex to slot, for all others.
#[map]
pub(crate) static SLOT_OF_HIGH: HashMap<u32, u32> = HashMap::with_max_entries(MAX_SLOTS, 0);

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
    /// Its ifindex. Where the frame went unseen its slot is looked up again, as
    /// the device may be gone by then.
    pub(crate) ifindex: u32,
    /// Its slot.
    pub(crate) slot: u32,
    pub(crate) iif: u32,
    pub(crate) shape: Shape,
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

/// The network namespace that is observed (`net.ns.inum`): ifindexes are only
/// unique within one.
#[unsafe(no_mangle)]
pub(crate) static NETNS: Global<u32> = Global::new(0);

/// One field of a structure in read-only data. Only that field is loaded, so
/// the verifier knows it as a constant.
macro_rules! field {
    ($global:expr, $type:ty, $field:ident) => {{
        let structure = (&raw const $global).cast::<$type>();
        // SAFETY: Global<T> is a transparent wrapper of a T that userspace set before load.
        unsafe { (&raw const (*structure).$field).read_volatile() }
    }};
}
pub(crate) use field;

#[unsafe(no_mangle)]
pub(crate) static ACCESS: Global<Access> = Global::new(ZERO_ACCESS);

#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Global<Offsets> = Global::new(ZERO_OFFSETS);

#[unsafe(no_mangle)]
pub(crate) static GSO_BITS: Global<GsoBits> = Global::new(ZERO_BITS);

#[unsafe(no_mangle)]
pub(crate) static DROPS: Drops = Drops(Global::new(NO_REASONS));

/// How `enum skb_drop_reason` names the drops of a tap on this kernel.
#[repr(transparent)]
pub(crate) struct Drops(Global<DropReasons>);

impl Drops {
    /// Whether the kernel gives a reason at all.
    #[inline(always)]
    pub(crate) fn have_reason(&self) -> bool {
        field!(self.0, DropReasons, full_ring) != ABSENT
    }

    /// Whether a tap's queue was full.
    #[inline(always)]
    pub(crate) fn is_full_ring(&self, reason: u32) -> bool {
        self.have_reason() && reason == field!(self.0, DropReasons, full_ring)
    }

    /// Whether `reason` is one that a tap's driver gives for a frame it was
    /// handed.
    #[inline(always)]
    pub(crate) fn is_tap(&self, reason: u32) -> bool {
        reason == field!(self.0, DropReasons, full_ring)
            || reason == field!(self.0, DropReasons, tap_filter)
            || reason == field!(self.0, DropReasons, tap_txfilter)
    }
}

const NO_REASONS: DropReasons = DropReasons {
    full_ring: ABSENT,
    tap_filter: ABSENT,
    tap_txfilter: ABSENT,
};

// SAFETY: structures of u32, for which all zero is a value.
const ZERO_OFFSETS: Offsets = unsafe { core::mem::zeroed() };
// SAFETY: as above.
const ZERO_ACCESS: Access = unsafe { core::mem::zeroed() };
// SAFETY: as above.
const ZERO_BITS: GsoBits = unsafe { core::mem::zeroed() };
