//! Software work, counted and timed at the kernel functions that do it.
//!
//! The frame is looked at when a function is entered, since it may be changed
//! inside; whether it was worked on is known when the function returns.

mod calls;
mod programs;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE, helpers::generated::bpf_ktime_get_ns, macros::map, maps::Array,
};
use offwatch_common::{
    Checksumming, ExactSlot, ExactWork, FEWEST_EXACT_SLOTS, Segmentation, function, ns_bucket,
};

use self::calls::{Call, claim, returning};
use crate::{
    count::{add, element, in_flight, observe_alone, slot_of_alone},
    maps::{Frame, Shape},
    skb::{Memory, Probed, Skb, can_cast, cast_skb},
};

/// The counters, with the slot numbers of [`crate::maps::SLOTS`], of which it
/// may have fewer. Userspace sets the size, and maps them.
#[map]
pub(crate) static EXACT: Array<ExactSlot> =
    Array::with_max_entries(FEWEST_EXACT_SLOTS, BPF_F_MMAPABLE);

/// The highest errno that a pointer can stand for.
const MAX_ERRNO: u64 = 4095;

/// Segments that are GSO frames themselves are few: one, and what is left over.
const MOST_PARTIAL_SEGMENTS: u64 = 16;

/// A function was entered. `to_device` is not 0 if the frame is on its way to its
/// device, not from it.
#[inline(always)]
fn entered<M: Memory>(function: u32, skb: Skb<M>, to_device: u32) {
    let Some(call) = claim() else { return };
    call.to_device = to_device;
    if let Some(queued) = queued(&skb) {
        call.frame.take(queued);
    } else if let Some(seen) = observe_alone(&skb) {
        call.frame.slot = seen.slot;
        call.frame.iif = skb.iif();
        call.frame.shape = skb.shape(skb.gso_size(), skb.partial(), skb.egress_bytes());
    } else {
        // What happens elsewhere is noted as well, so that its return is not missed.
        call.frame.slot = 0;
    }
    call.begin(function, skb.address(), now());
}

/// What was seen of the frame when it was queued, if that was a moment ago: most of
/// what is worked on has just been measured.
#[inline(always)]
fn queued<M: Memory>(skb: &Skb<M>) -> Option<&'static Frame> {
    let queued = in_flight()?;
    let is_it = queued.queued == skb.address()
        && queued.dev == skb.dev().address()
        && queued.frame.shape.gso_size == skb.gso_size()
        && queued.frame.shape.partial == skb.partial();
    is_it.then_some(&queued.frame)
}

/// `__skb_gso_segment` returned a list of segments, null or an errno.
#[inline(always)]
fn segmented(skb: Option<u64>, returned: u64) {
    let end_ns = now();
    let Some(call) = returning(function::SEGMENT, skb) else {
        return;
    };
    if call.frame.slot != 0 {
        let charged = Charged::by(call);
        if returned > u64::MAX - MAX_ERRNO {
            charged.each(|work| add(&raw mut work.segmentation.failures, 1));
        } else if returned == 0 {
            charged.each(|work| add(&raw mut work.segmentation.header_checks, 1));
        } else {
            let ns = end_ns.wrapping_sub(call.start_ns);
            let cut = cut(&call.frame.shape, ns, returned as *const u8);
            charged.each(|work| add_cut(&mut work.segmentation, &cut));
        }
    }
    call.end();
}

/// A function that computes checksums returned 0 or an errno.
#[inline(always)]
fn summed(function: u32, skb: Option<u64>, returned: u64) {
    let end_ns = now();
    let Some(call) = returning(function, skb) else {
        return;
    };
    let failed = returned as i32 != 0;
    // A frame that is not PARTIAL only has its state set.
    if call.frame.slot != 0 && (failed || call.frame.shape.partial != 0) {
        let ns = end_ns.wrapping_sub(call.start_ns);
        Charged::by(call).each(|work| {
            let summed = if function == function::CRC32C {
                &mut work.crc32c
            } else {
                &mut work.checksum
            };
            if failed {
                add(&raw mut summed.failures, 1);
            } else {
                add_summed(summed, call.frame.shape.checksum_bytes, ns);
            }
        });
    }
    call.end();
}

/// What a call did that cut a frame, as it is added to counters.
struct Cut {
    segments: u64,
    payload_bytes: u64,
    checksum_bytes: u64,
    is_partial: bool,
    ns: u64,
    /// Of the histogram.
    bucket: usize,
}

#[inline(always)]
fn cut(shape: &Shape, ns: u64, segments: *const u8) -> Cut {
    let (gso_segments, still_partial) = if can_cast() {
        first_segment(&cast_skb(segments))
    } else {
        first_segment(&Skb::<Probed>::new(segments))
    };
    Cut {
        segments: if gso_segments != 0 {
            gso_segments
        } else {
            shape.segments.into()
        },
        // Without a transport header there is no telling what the payload is.
        payload_bytes: if shape.payload_bytes <= shape.wire_bytes {
            shape.payload_bytes.into()
        } else {
            0
        },
        checksum_bytes: if still_partial == 0 {
            shape.checksum_bytes.into()
        } else {
            0
        },
        is_partial: gso_segments != 0,
        ns,
        bucket: ns_bucket(ns),
    }
}

/// How many segments there are if they are GSO frames, else 0; and whether
/// their checksum is still to be computed.
#[inline(always)]
fn first_segment<M: Memory>(first: &Skb<M>) -> (u64, u32) {
    if first.gso_size() == 0 {
        return (0, first.partial());
    }
    let mut segments = 1;
    let mut next = first.next();
    while !next.is_null() && segments < MOST_PARTIAL_SEGMENTS {
        segments += 1;
        next = Skb::<M>::new(next).next();
    }
    (segments, first.partial())
}

/// The counters that a call's work is added to: those of the frame's device, and of
/// where it came from.
struct Charged {
    device: Option<&'static mut ExactWork>,
    source: Option<&'static mut ExactWork>,
}

impl Charged {
    #[inline(always)]
    fn by(call: &Call) -> Self {
        let device = if call.to_device != 0 {
            EXACT.get_ptr_mut(call.frame.slot)
        } else {
            None
        };
        // Slot 0 takes what has no known source.
        let source = if call.frame.iif == 0 {
            0
        } else {
            slot_of_alone(call.frame.iif)
        };
        // SAFETY: values of the map.
        unsafe {
            Self {
                device: device.map(|slot| &mut (*slot).to_device),
                source: EXACT.get_ptr_mut(source).map(|slot| &mut (*slot).caused),
            }
        }
    }

    /// Not by a loop over the two: the compiler then asks by one OR whether there is any
    /// of them, and the verifier refuses that of addresses.
    #[inline(always)]
    fn each(self, mut add: impl FnMut(&mut ExactWork)) {
        if let Some(work) = self.device {
            add(work);
        }
        if let Some(work) = self.source {
            add(work);
        }
    }
}

#[inline(always)]
fn add_cut(segmentation: &mut Segmentation, cut: &Cut) {
    add(&raw mut segmentation.calls, 1);
    add(&raw mut segmentation.segments, cut.segments);
    add(&raw mut segmentation.payload_bytes, cut.payload_bytes);
    add(&raw mut segmentation.ns, cut.ns);
    if cut.is_partial {
        add(&raw mut segmentation.partial_calls, 1);
    }
    if cut.checksum_bytes != 0 {
        add(&raw mut segmentation.checksum_bytes, cut.checksum_bytes);
    }
    if let Some(bucket) = element(&mut segmentation.ns_histogram, cut.bucket) {
        add(bucket, 1);
    }
}

#[inline(always)]
fn add_summed(summed: &mut Checksumming, bytes: u32, ns: u64) {
    add(&raw mut summed.calls, 1);
    add(&raw mut summed.bytes, bytes.into());
    add(&raw mut summed.ns, ns);
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_ktime_get_ns() }
}
