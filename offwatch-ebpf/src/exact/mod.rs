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
    maps::InFlight,
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
const MOST_PARTIAL_SEGMENTS: u32 = 16;

/// A function was entered. `to_device` says that the frame is on its way to its
/// device, not from it.
#[inline(always)]
fn entered<M: Memory>(function: u32, skb: Skb<M>, to_device: bool) {
    let Some(call) = claim() else { return };
    call.to_device = u32::from(to_device);
    if let Some(queued) = queued(&skb) {
        call.slot = queued.slot;
        call.iif = queued.iif;
        call.shape.take(&queued.shape);
    } else if let Some(seen) = observe_alone(&skb) {
        call.slot = seen.slot;
        call.iif = skb.iif();
        call.shape = skb.shape(skb.gso_size(), skb.partial(), skb.egress_bytes());
    } else {
        // What happens elsewhere is noted as well, so that its return is not missed.
        call.slot = 0;
    }
    call.begin(function, skb.address(), now());
}

/// What was seen of the frame when it was queued, if that was a moment ago: most of
/// what is worked on has just been measured.
#[inline(always)]
fn queued<M: Memory>(skb: &Skb<M>) -> Option<&'static InFlight> {
    let queued = in_flight()?;
    let is_it = queued.queued == skb.address()
        && queued.dev == skb.dev().address()
        && queued.shape.gso_size == skb.gso_size()
        && queued.shape.partial == skb.partial();
    is_it.then_some(queued)
}

/// `__skb_gso_segment` returned a list of segments, null or an errno.
#[inline(always)]
fn segmented(skb: u64, returned: u64) {
    let end_ns = now();
    let Some(call) = returning(function::SEGMENT, skb) else {
        return;
    };
    if call.slot != 0 {
        let mut done = Done {
            kind: HEADER_CHECK,
            ns: end_ns.wrapping_sub(call.start_ns),
            ..NOTHING
        };
        if returned > u64::MAX - MAX_ERRNO {
            done.kind = FAILED;
        } else if returned != 0 {
            done.kind = CUT;
            cut(call, returned as *const u8, &mut done);
        }
        charge(call, &done);
    }
    call.end();
}

/// A function that computes checksums returned 0 or an errno.
#[inline(always)]
fn summed(function: u32, skb: u64, returned: u64) {
    let end_ns = now();
    let Some(call) = returning(function, skb) else {
        return;
    };
    let failed = returned as i32 != 0;
    // A frame that is not PARTIAL only has its state set.
    if call.slot != 0 && (failed || call.shape.partial != 0) {
        let kind = match (failed, function) {
            (false, function::CRC32C) => CRC32C,
            (true, function::CRC32C) => CRC32C_FAILED,
            (false, _) => SUMMED,
            (true, _) => SUM_FAILED,
        };
        let done = Done {
            kind,
            bytes: call.shape.checksum_bytes,
            ns: end_ns.wrapping_sub(call.start_ns),
            ..NOTHING
        };
        charge(call, &done);
    }
    call.end();
}

const HEADER_CHECK: u32 = 0;
const CUT: u32 = 1;
const FAILED: u32 = 2;
const SUMMED: u32 = 3;
const SUM_FAILED: u32 = 4;
const CRC32C: u32 = 5;
const CRC32C_FAILED: u32 = 6;

/// What a call did.
struct Done {
    kind: u32,
    segments: u32,
    bytes: u32,
    checksum_bytes: u32,
    partial: u32,
    ns: u64,
    /// Of the histogram, if the frame was cut.
    bucket: usize,
}

const NOTHING: Done = Done {
    kind: HEADER_CHECK,
    segments: 0,
    bytes: 0,
    checksum_bytes: 0,
    partial: 0,
    ns: 0,
    bucket: 0,
};

#[inline(always)]
fn cut(call: &Call, segments: *const u8, done: &mut Done) {
    let shape = &call.shape;
    done.bucket = ns_bucket(done.ns);
    let (gso_segments, still_partial) = if can_cast() {
        first_segment(&cast_skb(segments))
    } else {
        first_segment(&Skb::<Probed>::new(segments))
    };
    done.partial = u32::from(gso_segments != 0);
    done.segments = if gso_segments != 0 {
        gso_segments
    } else {
        shape.segments
    };
    // Without a transport header there is no telling what the payload is.
    if shape.payload_bytes <= shape.wire_bytes {
        done.bytes = shape.payload_bytes;
    }
    if still_partial == 0 {
        done.checksum_bytes = shape.checksum_bytes;
    }
}

/// How many segments there are if they are GSO frames, else 0; and whether
/// their checksum is still to be computed.
#[inline(always)]
fn first_segment<M: Memory>(first: &Skb<M>) -> (u32, u32) {
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

/// Charges work to the frame's device and to where it came from.
#[inline(never)]
fn charge(call: &Call, done: &Done) {
    if call.to_device != 0
        && let Some(slot) = EXACT.get_ptr_mut(call.slot)
    {
        // SAFETY: a value of the map.
        add_done(unsafe { &raw mut (*slot).to_device }, done);
    }
    // Slot 0 takes what has no known source.
    let source = if call.iif == 0 {
        0
    } else {
        slot_of_alone(call.iif)
    };
    if let Some(slot) = EXACT.get_ptr_mut(source) {
        // SAFETY: as above.
        add_done(unsafe { &raw mut (*slot).caused }, done);
    }
}

#[inline(always)]
fn add_done(work: *mut ExactWork, done: &Done) {
    // SAFETY: `work` lies in a value of the map.
    let work = unsafe { &mut *work };
    match done.kind {
        CUT => add_cut(&mut work.segmentation, done),
        HEADER_CHECK => add(&raw mut work.segmentation.header_checks, 1),
        FAILED => add(&raw mut work.segmentation.failures, 1),
        SUMMED => add_summed(&mut work.checksum, done),
        SUM_FAILED => add(&raw mut work.checksum.failures, 1),
        CRC32C => add_summed(&mut work.crc32c, done),
        _ => add(&raw mut work.crc32c.failures, 1),
    }
}

#[inline(always)]
fn add_cut(segmentation: &mut Segmentation, done: &Done) {
    add(&raw mut segmentation.calls, 1);
    add(&raw mut segmentation.segments, done.segments.into());
    add(&raw mut segmentation.payload_bytes, done.bytes.into());
    add(&raw mut segmentation.ns, done.ns);
    if done.partial != 0 {
        add(&raw mut segmentation.partial_calls, 1);
    }
    if done.checksum_bytes != 0 {
        add(
            &raw mut segmentation.checksum_bytes,
            done.checksum_bytes.into(),
        );
    }
    if let Some(bucket) = element(&mut segmentation.ns_histogram, done.bucket) {
        add(bucket, 1);
    }
}

#[inline(always)]
fn add_summed(summed: &mut Checksumming, done: &Done) {
    add(&raw mut summed.calls, 1);
    add(&raw mut summed.bytes, done.bytes.into());
    add(&raw mut summed.ns, done.ns);
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_ktime_get_ns() }
}
