//! The counting that all hooks share.
//!
//! Software work is derived: a frame is measured when it is queued to a device
//! and when it is handed to the driver. On a device without a backlog both
//! happen at once on one CPU, so the queued frame waits in [`IN_FLIGHT`]: if the
//! same frame arrives unchanged, no work was done and nothing is added. Only
//! what differs (segments, a computed checksum, a frame that waited in a qdisc)
//! is added to [`Work`].

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::EbpfContext;
use aya_log_ebpf::debug;
use offwatch_common::{INDEXED_IFINDEXES, Slot, Traffic, Work, class, histogram, kind};

use crate::{
    maps::{DROPS, IN_FLIGHT, InFlight, NETNS, SLOT_OF, SLOT_OF_HIGH, SLOTS, Shape},
    skb::{Dev, Memory, Skb},
};

const ONE: u64 = 1;
const MINUS_ONE: u64 = u64::MAX;

/// What a device accepts beyond its MTU: an Ethernet header and a VLAN tag.
const LINK_HEADER_BYTES: u32 = 14 + 4;

/// A frame the host received from a device.
#[inline(always)]
pub(crate) fn received<C: EbpfContext, M: Memory>(ctx: &C, skb: Skb<M>) {
    let Some(seen) = observe(&skb) else { return };
    if skb.is_received_again() {
        return;
    }
    let bytes = skb.ingress_bytes();
    let (shape, class) = skb.shape(bytes);
    // SAFETY: `seen.slot` is a value of the map of slots.
    traffic(
        unsafe { &raw mut (*seen.slot).ingress },
        &seen.dev,
        bytes,
        &shape,
        class,
        ONE,
    );
    debug!(ctx, "received {} bytes on ifindex {}", bytes, seen.ifindex);
}

/// A frame on its way to a device, seen by tc before segmentation.
#[inline(always)]
pub(crate) fn passed_egress<M: Memory>(skb: Skb<M>) {
    let Some(seen) = observe(&skb) else { return };
    let bytes = skb.egress_bytes();
    let (shape, class) = skb.shape(bytes);
    // SAFETY: as in `received`.
    traffic(
        unsafe { &raw mut (*seen.slot).egress },
        &seen.dev,
        bytes,
        &shape,
        class,
        ONE,
    );
}

/// A frame queued to a device, before `validate_xmit_skb`.
#[inline(always)]
pub(crate) fn queued<M: Memory>(skb: Skb<M>) {
    let Some(seen) = observe(&skb) else { return };
    let Some(in_flight) = in_flight() else { return };
    settle(in_flight);
    let (shape, _) = skb.shape(skb.egress_bytes());
    in_flight.queued = skb.address();
    in_flight.ifindex = seen.ifindex;
    in_flight.iif = skb.iif();
    in_flight.shape = shape;
}

/// A frame handed to the driver, after `validate_xmit_skb`.
#[inline(always)]
pub(crate) fn sent<M: Memory>(skb: Skb<M>) {
    let Some(seen) = observe(&skb) else { return };
    let Some(in_flight) = in_flight() else { return };
    let bytes = skb.egress_bytes();
    let (shape, class) = skb.shape(bytes);
    let unchanged = in_flight.queued == skb.address()
        && in_flight.shape.gso_size == shape.gso_size
        && in_flight.shape.partial == shape.partial;
    if unchanged {
        in_flight.queued = 0;
    } else {
        settle(in_flight);
        work(seen.ifindex, skb.iif(), &shape, MINUS_ONE);
    }
    in_flight.sent = skb.address();
    // SAFETY: as in `received`.
    traffic(
        unsafe { &raw mut (*seen.slot).egress },
        &seen.dev,
        bytes,
        &shape,
        class,
        ONE,
    );
}

/// A frame freed because something dropped it. `kfree_skb` may free an skb
/// whose `dev` is something else; such an address leads to no slot.
#[inline(always)]
pub(crate) fn dropped<M: Memory>(skb: Skb<M>, reason: u32) {
    let Some(seen) = observe(&skb) else { return };
    let Some(in_flight) = in_flight() else { return };
    let by_driver = if DROPS.have_reason() {
        DROPS.is_tap(reason)
    } else {
        in_flight.sent == skb.address()
    };
    if by_driver {
        // The driver refused what `sent` counted: the device never delivered it.
        in_flight.sent = 0;
        let bytes = skb.egress_bytes();
        let (shape, class) = skb.shape(bytes);
        // SAFETY: as in `received`.
        let egress = unsafe { &raw mut (*seen.slot).egress };
        traffic(egress, &seen.dev, bytes, &shape, class, MINUS_ONE);
    }
    // `skb_iif` is set to the device on receipt and kept on the way out.
    let side = if !by_driver && skb.iif() == seen.ifindex {
        // SAFETY: as in `received`.
        unsafe { &raw mut (*seen.slot).ingress }
    } else {
        // SAFETY: as in `received`.
        unsafe { &raw mut (*seen.slot).egress }
    };
    // SAFETY: as in `received`.
    add(unsafe { &raw mut (*side).drop_packets }, ONE);
}

/// An observed device and its slot.
struct Seen<M> {
    dev: Dev<M>,
    ifindex: u32,
    slot: *mut Slot,
}

/// Finds the slot of the frame's device, if that device is observed.
#[inline(always)]
fn observe<M: Memory>(skb: &Skb<M>) -> Option<Seen<M>> {
    let dev = skb.dev();
    let ifindex = dev.ifindex();
    let index = slot_of(ifindex);
    if index == 0 || dev.netns() != NETNS.load() {
        return None;
    }
    let slot = SLOTS.get_ptr_mut(index)?;
    Some(Seen { dev, ifindex, slot })
}

#[inline(always)]
fn slot_of(ifindex: u32) -> u32 {
    let slot = if ifindex < INDEXED_IFINDEXES {
        SLOT_OF.get_ptr(ifindex)
    } else {
        SLOT_OF_HIGH.get_ptr(ifindex)
    };
    // SAFETY: a map value, which userspace writes as a whole word.
    slot.map_or(0, |slot| unsafe { slot.read_volatile() })
}

#[inline(always)]
fn in_flight() -> Option<&'static mut InFlight> {
    // SAFETY: this CPU's own value; programs of one CPU do not preempt each other.
    IN_FLIGHT
        .get_ptr_mut(0)
        .map(|in_flight| unsafe { &mut *in_flight })
}

/// Accounts for a queued frame that was not handed on unchanged.
#[inline(always)]
fn settle(in_flight: &mut InFlight) {
    if in_flight.queued != 0 {
        work(in_flight.ifindex, in_flight.iif, &in_flight.shape, ONE);
        in_flight.queued = 0;
    }
}

/// Charges a frame queued (`sign` 1) or sent (-1) to its device and its source.
#[inline(never)]
fn work(ifindex: u32, iif: u32, shape: &Shape, sign: u64) {
    let device = slot_of(ifindex);
    if device != 0
        && let Some(slot) = SLOTS.get_ptr_mut(device)
    {
        // SAFETY: a value of the map of slots.
        charge(unsafe { &raw mut (*slot).egress_work }, shape, sign);
    }
    // Slot 0 takes what has no known source.
    let source = if iif == 0 { 0 } else { slot_of(iif) };
    if let Some(slot) = SLOTS.get_ptr_mut(source) {
        // SAFETY: as above.
        charge(unsafe { &raw mut (*slot).caused_work }, shape, sign);
    }
}

#[inline(always)]
fn charge(work: *mut Work, shape: &Shape, sign: u64) {
    let signed = |value: u32| u64::from(value).wrapping_mul(sign);
    // SAFETY: `work` lies in a value of the map of slots.
    let work = unsafe { &mut *work };
    if shape.gso_size != 0 {
        add(&raw mut work.gso_segments_gone, signed(shape.segments));
    } else {
        add(&raw mut work.single_frames_added, sign.wrapping_neg());
    }
    if shape.partial != 0 {
        add(
            &raw mut work.partial_bytes_gone,
            signed(shape.checksum_bytes),
        );
        add(
            &raw mut work.partial_wire_bytes_gone,
            signed(shape.wire_bytes),
        );
    } else {
        add(
            &raw mut work.summed_wire_bytes_added,
            signed(shape.wire_bytes).wrapping_neg(),
        );
    }
}

/// Counts a frame (`sign` 1), or takes it back (-1).
#[inline(always)]
fn traffic<M: Memory>(
    traffic: *mut Traffic,
    dev: &Dev<M>,
    bytes: u32,
    shape: &Shape,
    class: usize,
    sign: u64,
) {
    // SAFETY: `traffic` lies in a value of the map of slots.
    let traffic = unsafe { &mut *traffic };
    let signed_bytes = u64::from(bytes).wrapping_mul(sign);
    if let Some(counter) = element(&mut traffic.lengths, histogram::length_bucket(bytes)) {
        add(counter, sign);
    }
    let kind = if shape.gso_size == 0 {
        if shape.partial == 0 {
            kind::PLAIN
        } else {
            kind::PARTIAL
        }
    } else if shape.partial == 0 {
        kind::GSO
    } else {
        kind::GSO + kind::PARTIAL
    };
    if let Some(kind) = element(&mut traffic.kinds, kind) {
        add(&raw mut kind.packets, sign);
        add(&raw mut kind.bytes, signed_bytes);
    }
    if shape.gso_size == 0 {
        if bytes > dev.mtu() + LINK_HEADER_BYTES {
            add(&raw mut traffic.oversize_packets, sign);
        }
        return;
    }
    add(
        &raw mut traffic.gso_segments,
        u64::from(shape.segments).wrapping_mul(sign),
    );
    if let Some(counter) = element(&mut traffic.gso_classes, class) {
        add(counter, sign);
    }
    // The gso_size of an SCTP frame is a marker, not a size.
    if class != class::SCTP
        && let Some(counter) = element(
            &mut traffic.gso_sizes,
            histogram::gso_size_bucket(shape.gso_size),
        )
    {
        add(counter, sign);
    }
}

#[inline(always)]
fn add(counter: *mut u64, value: u64) {
    // SAFETY: a counter in a map value, only changed by atomic addition.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, value) };
}

/// The element at `index`. The compiler knows that the index is in range and
/// would drop the comparison that shows it to the verifier. The mask is for the
/// verifiers of 5.10 and 6.1: they follow paths that cannot be, to values whose
/// minimum is above their maximum, of which nothing but a mask makes sense again.
#[inline(always)]
fn element<T, const N: usize>(table: &mut [T; N], index: usize) -> Option<&mut T> {
    table.get_mut(core::hint::black_box(index) & (N.next_power_of_two() - 1))
}
