//! The counting that all hooks share.
//!
//! Software work is derived: a frame is measured when it is queued to a device
//! and when it is handed to the driver. On a device without a backlog both
//! happen at once on one CPU, so the queued frame waits in [`IN_FLIGHT`]: if the
//! same frame arrives unchanged, no work was done and nothing is added. Only
//! what differs (segments, a computed checksum, a frame that waited in a qdisc)
//! is added to [`Work`].

use core::intrinsics::{AtomicOrdering, atomic_xadd, cold_path};

use aya_ebpf::EbpfContext;
use aya_log_ebpf::debug;
use offwatch_common::{
    Traffic, Work, class, histogram,
    ifindexes::{BUCKET_ENTRIES, GROUP, INDEXED_IFINDEXES, buckets, slot_in},
    kind,
};

use crate::{
    constants::{at, constant},
    drops,
    maps::{IN_FLIGHT, InFlight, SLOT_OF, SLOT_OF_HIGH, SLOTS, Shape},
    skb::{Memory, Skb, can_follow_addresses},
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
        cold_path();
        return;
    }
    let Some(slot) = SLOTS.get_ptr_mut(seen.slot) else {
        return;
    };
    let bytes = skb.ingress_bytes();
    let shape = skb.shape(skb.gso_size(), skb.partial(), bytes);
    // SAFETY: `slot` is a value of the map of slots.
    let ingress = unsafe { &raw mut (*slot).ingress };
    traffic(ingress, &skb, bytes, Gist::of(&shape), ONE);
    if skb.is_broadcast() && skb.asks_for_address() {
        cold_path();
        // SAFETY: as above.
        add(unsafe { &raw mut (*ingress).dhcp_packets }, ONE);
    }
    if constant::<{ at!(log) }>() != 0 {
        debug!(ctx, "received {} bytes on ifindex {}", bytes, seen.ifindex);
    }
}

/// A frame on its way to a device, seen by tc before segmentation.
#[inline(always)]
pub(crate) fn passed_egress<M: Memory>(skb: Skb<M>) {
    let Some(seen) = observe(&skb) else { return };
    let shape = skb.shape(skb.gso_size(), skb.partial(), skb.egress_bytes());
    handed_on(seen.slot, &skb, Gist::of(&shape), ONE);
}

/// A frame queued to a device, before `validate_xmit_skb`.
#[inline(always)]
pub(crate) fn queued<M: Memory>(skb: Skb<M>) {
    let Some(seen) = observe(&skb) else { return };
    let Some(in_flight) = in_flight() else { return };
    settle(in_flight);
    if !drops::have_reason() {
        // A frame that was sent is gone by now, and its address may be used again.
        in_flight.sent = 0;
    }
    in_flight.queued = skb.address();
    in_flight.dev = seen.dev;
    in_flight.ifindex = seen.ifindex;
    in_flight.frame.slot = seen.slot;
    in_flight.frame.iif = skb.iif();
    in_flight.frame.shape = skb.shape(skb.gso_size(), skb.partial(), skb.egress_bytes());
}

/// A frame handed to the driver, after `validate_xmit_skb`.
#[inline(always)]
pub(crate) fn sent<M: Memory>(skb: Skb<M>) {
    let Some(in_flight) = in_flight() else { return };
    let was_queued = in_flight.queued == skb.address() && in_flight.dev == skb.dev().address();
    let slot = if was_queued {
        // Looked up, namespace and all, a moment ago.
        in_flight.frame.slot
    } else {
        let Some(seen) = observe(&skb) else {
            in_flight.sent = 0;
            return;
        };
        seen.slot
    };
    let (gso_size, partial) = (skb.gso_size(), skb.partial());
    let known = &in_flight.frame.shape;
    let gist = if was_queued && known.gso_size == gso_size && known.partial == partial {
        in_flight.queued = 0;
        Gist::of(known)
    } else {
        cold_path();
        let shape = skb.shape(gso_size, partial, skb.egress_bytes());
        if can_follow_addresses() {
            settle(in_flight);
            work(slot, skb.iif(), &shape, MINUS_ONE);
        }
        (in_flight.queued, in_flight.frame.slot) = (0, slot);
        Gist::of(&shape)
    };
    in_flight.sent = skb.address();
    handed_on(slot, &skb, gist, ONE);
}

/// A frame freed because something dropped it. `kfree_skb` may free an skb
/// whose `dev` is something else; such an address leads to no slot. `location`
/// is the code that freed it.
#[inline(always)]
pub(crate) fn dropped<M: Memory>(skb: Skb<M>, location: u64, reason: u32) {
    let Some(seen) = observe_alone(&skb) else {
        return;
    };
    let Some(in_flight) = in_flight() else { return };
    // What `sent` did not count, or for another device, is not taken back.
    let is_sent = in_flight.sent == skb.address() && in_flight.frame.slot == seen.slot;
    let by_driver = if drops::have_reason() {
        drops::is_of_tap(reason)
    } else {
        // What came from the device may have the address of what was sent to it before,
        // unless that had come from it, too.
        is_sent && (in_flight.frame.iif == seen.ifindex || skb.iif() != seen.ifindex)
    };
    let Some(slot) = SLOTS.get_ptr_mut(seen.slot) else {
        return;
    };
    // `skb_iif` is set to the device on receipt and kept on the way out.
    let side = if !by_driver && skb.iif() == seen.ifindex {
        // SAFETY: as in `received`.
        unsafe { &raw mut (*slot).ingress }
    } else {
        // SAFETY: as in `received`.
        unsafe { &raw mut (*slot).egress }
    };
    // SAFETY: as in `received`.
    add(unsafe { &raw mut (*side).drop_packets }, ONE);
    drops::classify(seen.slot, location, reason);
    if by_driver && is_sent {
        // The driver refused it: the device never delivered it. Whoever reads that has
        // been told of the drop.
        in_flight.sent = 0;
        let shape = skb.shape(skb.gso_size(), skb.partial(), skb.egress_bytes());
        handed_on(seen.slot, &skb, Gist::of(&shape), MINUS_ONE);
    }
}

/// What of a [`Shape`] is counted as traffic.
struct Gist {
    gso_size: u32,
    partial: u32,
    segments: u32,
}

impl Gist {
    #[inline(always)]
    fn of(shape: &Shape) -> Self {
        Self {
            gso_size: shape.gso_size,
            partial: shape.partial,
            segments: shape.segments,
        }
    }
}

/// The device of a frame, if it is observed.
pub(crate) struct Seen {
    dev: u64,
    pub(crate) ifindex: u32,
    pub(crate) slot: u32,
}

#[inline(always)]
fn observe<M: Memory>(skb: &Skb<M>) -> Option<Seen> {
    observe_by(skb, slot_of)
}

/// The same without a call. A program that may read through an address that is none, as
/// that of the device of an skb that never had one, must be a single function: before
/// Linux 6.4 (commit 0108a4e9f358) the kernel may look for the fault among those of the
/// program's other self, which has no table, and panics.
#[inline(always)]
pub(crate) fn observe_alone<M: Memory>(skb: &Skb<M>) -> Option<Seen> {
    observe_by(skb, slot_of_alone)
}

#[inline(always)]
fn observe_by<M: Memory>(skb: &Skb<M>, slot_of: impl Fn(u32) -> u32) -> Option<Seen> {
    let dev = skb.dev();
    let ifindex = dev.ifindex();
    let slot = slot_of(ifindex);
    if slot == 0 || dev.netns() != constant::<{ at!(netns) }>() {
        return None;
    }
    Some(Seen {
        dev: dev.address(),
        ifindex,
        slot,
    })
}

#[inline(always)]
fn slot_of(ifindex: u32) -> u32 {
    if ifindex >= INDEXED_IFINDEXES {
        cold_path();
        return slot_of_high(ifindex);
    }
    slot_of_low(ifindex)
}

/// The same without a call, see [`observe_alone`].
#[inline(always)]
pub(crate) fn slot_of_alone(ifindex: u32) -> u32 {
    if ifindex >= INDEXED_IFINDEXES {
        cold_path();
        return look_up(ifindex);
    }
    slot_of_low(ifindex)
}

#[inline(always)]
fn slot_of_low(ifindex: u32) -> u32 {
    let Some(group) = SLOT_OF.get_ptr(ifindex / GROUP) else {
        return 0;
    };
    let slot = group.cast::<u16>().wrapping_add((ifindex % GROUP) as usize);
    // SAFETY: within a map value, of which userspace writes a slot at a time.
    u32::from(unsafe { slot.read_volatile() })
}

/// Kept out of the way of all others.
#[inline(never)]
fn slot_of_high(ifindex: u32) -> u32 {
    look_up(ifindex)
}

#[inline(always)]
fn look_up(ifindex: u32) -> u32 {
    for bucket in buckets(ifindex) {
        let Some(bucket) = SLOT_OF_HIGH.get_ptr(bucket) else {
            return 0;
        };
        for index in 0..BUCKET_ENTRIES {
            // SAFETY: within a map value, of which userspace writes an entry at a time.
            let entry = unsafe { (&raw const (*bucket)[index]).read_volatile() };
            if let Some(slot) = slot_in(entry, ifindex) {
                return slot;
            }
        }
    }
    0
}

#[inline(always)]
pub(crate) fn in_flight() -> Option<&'static mut InFlight> {
    // SAFETY: this CPU's own value; programs of one CPU do not preempt each other.
    IN_FLIGHT
        .get_ptr_mut(0)
        .map(|in_flight| unsafe { &mut *in_flight })
}

/// Accounts for a queued frame that was not handed on unchanged.
#[inline(always)]
fn settle(in_flight: &mut InFlight) {
    if in_flight.queued != 0 {
        cold_path();
        in_flight.queued = 0;
        let device = slot_of(in_flight.ifindex);
        work(device, in_flight.frame.iif, &in_flight.frame.shape, ONE);
    }
}

/// Charges a frame queued (`sign` 1) or sent (-1) to its device's slot and its
/// source's.
#[inline(never)]
fn work(device: u32, iif: u32, shape: &Shape, sign: u64) {
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

/// Counts a frame on its way to a device.
#[inline(always)]
fn handed_on<M: Memory>(slot: u32, skb: &Skb<M>, gist: Gist, sign: u64) {
    if let Some(slot) = SLOTS.get_ptr_mut(slot) {
        // SAFETY: as in `received`.
        let egress = unsafe { &raw mut (*slot).egress };
        let is_partial = gist.partial != 0;
        traffic(egress, skb, skb.egress_bytes(), gist, sign);
        if is_partial && skb.gives_address_unsummed() {
            cold_path();
            // SAFETY: as above.
            add(unsafe { &raw mut (*egress).dhcp_packets }, sign);
        }
    }
}

/// Counts a frame (`sign` 1), or takes it back (-1).
#[inline(always)]
fn traffic<M: Memory>(traffic: *mut Traffic, skb: &Skb<M>, bytes: u32, gist: Gist, sign: u64) {
    // SAFETY: `traffic` lies in a value of the map of slots.
    let traffic = unsafe { &mut *traffic };
    let signed_bytes = u64::from(bytes).wrapping_mul(sign);
    if let Some(counter) = element(&mut traffic.lengths, histogram::length_bucket(bytes)) {
        add(counter, sign);
    }
    let is_gso = gist.gso_size != 0;
    let kind = gist.partial as usize + if is_gso { kind::GSO } else { kind::PLAIN };
    if let Some(kind) = element(&mut traffic.kinds, kind) {
        add(&raw mut kind.packets, sign);
        add(&raw mut kind.bytes, signed_bytes);
    }
    if !is_gso {
        if can_follow_addresses() && bytes > skb.dev().mtu() + LINK_HEADER_BYTES {
            cold_path();
            add(&raw mut traffic.oversize_packets, sign);
        }
        return;
    }
    cold_path();
    let segments = u64::from(gist.segments).wrapping_mul(sign);
    add(&raw mut traffic.gso_segments, segments);
    let class = skb.gso_class();
    if let Some(counter) = element(&mut traffic.gso_classes, class) {
        add(counter, sign);
    }
    // The gso_size of an SCTP frame is a marker, not a size.
    if class != class::SCTP
        && let Some(counter) = element(
            &mut traffic.gso_sizes,
            histogram::gso_size_bucket(gist.gso_size),
        )
    {
        add(counter, sign);
    }
}

#[inline(always)]
pub(crate) fn add(counter: *mut u64, value: u64) {
    // SAFETY: a counter in a map value, only changed by atomic addition.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, value) };
}

/// The element at `index`. The compiler knows that the index is in range and
/// would drop the comparison that shows it to the verifier. The mask is for the
/// verifiers of 5.10 and 6.1: they follow paths that cannot be, to values whose
/// minimum is above their maximum, of which nothing but a mask makes sense again.
#[inline(always)]
pub(crate) fn element<T, const N: usize>(table: &mut [T; N], index: usize) -> Option<&mut T> {
    table.get_mut(core::hint::black_box(index) & (N.next_power_of_two() - 1))
}
