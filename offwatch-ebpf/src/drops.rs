//! What a frame was dropped for.

use aya_ebpf::Global;
use offwatch_common::{ABSENT, DropClasses, drop_class};

use crate::{
    count::{add, element},
    exact::EXACT,
    maps::{DROPS, field},
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

/// Counts a frame of slot `slot`, freed by the code at `location`.
#[inline(always)]
pub(crate) fn classify(slot: u32, location: u64, reason: u32) {
    let class = if is_in_validate(location) {
        drop_class::VALIDATE
    } else if DROPS.is_full_ring(reason) {
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
