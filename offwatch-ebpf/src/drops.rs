//! What a frame was dropped for.

use aya_ebpf::Global;
use offwatch_common::{ABSENT, DropClasses, drop_class};

use crate::{
    constants::{at, constant},
    count::{add, element},
    exact::EXACT,
};

/// Where `validate_xmit_skb` lies: start and end, and those of the part of it
/// that the compiler moved away. Empty where that is not known.
#[unsafe(no_mangle)]
static VALIDATE_TEXT: Global<[u64; 4]> = Global::new([0; 4]);

#[unsafe(no_mangle)]
static DROP_CLASSES: Global<DropClasses> = Global::new(NO_CLASSES);

const NO_CLASSES: DropClasses = DropClasses {
    checksum: [ABSENT; 8],
    gso: [ABSENT; 4],
};

macro_rules! drop_reason {
    ($field:ident) => {
        constant::<{ at!(drop_reasons.$field) }>()
    };
}

/// Whether the kernel gives a reason at all.
#[inline(always)]
pub(crate) fn have_reason() -> bool {
    drop_reason!(full_ring) != ABSENT
}

/// Whether `reason` is one that a tap's driver gives for a frame it was handed.
#[inline(always)]
pub(crate) fn is_of_tap(reason: u32) -> bool {
    is_full_ring(reason)
        || reason == drop_reason!(tap_filter)
        || reason == drop_reason!(tap_txfilter)
}

/// Whether a tap's queue was full.
#[inline(always)]
fn is_full_ring(reason: u32) -> bool {
    have_reason() && reason == drop_reason!(full_ring)
}

/// One field of a structure in read-only data. Only that field is loaded, so
/// the verifier knows it as a constant.
macro_rules! field {
    ($global:expr, $type:ty, $field:ident) => {{
        let structure = (&raw const $global).cast::<$type>();
        // SAFETY: Global<T> is a transparent wrapper of a T that userspace set before load.
        unsafe { (&raw const (*structure).$field).read_volatile() }
    }};
}

/// Counts a frame of slot `slot`, freed by the code at `location`.
#[inline(always)]
pub(crate) fn classify(slot: u32, location: u64, reason: u32) {
    let class = if is_in_validate(location) {
        drop_class::VALIDATE
    } else if is_full_ring(reason) {
        drop_class::FULL_RING
    } else if is_any(&field!(DROP_CLASSES, DropClasses, checksum), reason) {
        drop_class::CHECKSUM
    } else if is_any(&field!(DROP_CLASSES, DropClasses, gso), reason) {
        drop_class::GSO
    } else {
        return;
    };
    if let Some(slot) = EXACT.get_ptr_mut(slot)
        // SAFETY: a value of the map.
        && let Some(counter) = element(unsafe { &mut (*slot).drops }, class)
    {
        add(counter, 1);
    }
}

#[inline(always)]
fn is_in_validate(location: u64) -> bool {
    let [start, end, cold_start, cold_end] = VALIDATE_TEXT.load();
    (start..end).contains(&location) || (cold_start..cold_end).contains(&location)
}

#[inline(always)]
fn is_any<const N: usize>(reasons: &[u32; N], reason: u32) -> bool {
    reasons.contains(&reason)
}
