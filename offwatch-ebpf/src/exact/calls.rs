//! Calls that are under way.
//!
//! A call is noted when its function is entered and found when it returns.
//! Between the two a softirq may interrupt it and call the same function as the
//! same task, or another task may take its place on the CPU. So each CPU holds
//! several calls, and a return finds its own by task, function and, where that
//! is known, skb: the latest of them, as calls of one task are nested.

use core::sync::atomic::{Ordering, compiler_fence};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::bpf_get_current_task,
    macros::map,
    maps::{Array, PerCpuArray},
};
use offwatch_common::function;

use crate::{count::add, maps::Frame};

/// More are never under way at once on a CPU, unless returns are missed.
const DEPTH: usize = 8;

/// [`Call::task`] of a place that is free, and of one that is being filled.
const FREE: u64 = 0;
const CLAIMED: u64 = 1;

#[map]
static CALLS: PerCpuArray<Calls> = PerCpuArray::with_max_entries(1, 0);

/// By function, calls that were not seen to return, and returns whose call was not
/// seen: work that was not counted, because the call came before the programs, the
/// task changed the CPU or the kernel left a program out.
#[map]
static MISSED_CALLS: Array<u64> = Array::with_max_entries(function::COUNT as u32, BPF_F_MMAPABLE);

#[repr(C)]
struct Calls {
    places: [Call; DEPTH],
    /// The place that was taken last.
    latest: u64,
}

/// A call that has not returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Call {
    task: u64,
    skb: u64,
    pub(super) start_ns: u64,
    pub(super) frame: Frame,
    function: u32,
    /// Not 0 if the frame is on its way to the device.
    pub(super) to_device: u32,
}

/// Takes a place for a call, or that of the oldest one if there is none: its
/// return was missed.
#[inline(always)]
pub(super) fn claim() -> Option<&'static mut Call> {
    let calls = of_this_cpu()?;
    // Nearly always it is free.
    if calls.places[0].task == FREE {
        return Some(calls.take(0));
    }
    let mut oldest = u64::MAX;
    let mut place = 0;
    for (index, call) in calls.places.iter().enumerate() {
        if call.task == FREE {
            oldest = 0;
            place = index;
            break;
        }
        if call.start_ns < oldest {
            oldest = call.start_ns;
            place = index;
        }
    }
    let call = calls.take(core::hint::black_box(place) & (DEPTH - 1));
    if oldest != 0 {
        missed(call.function);
    }
    Some(call)
}

impl Calls {
    #[inline(always)]
    fn take(&mut self, place: usize) -> &mut Call {
        self.latest = place as u64;
        let call = &mut self.places[place];
        // From here on an interrupt takes another place.
        call.task = CLAIMED;
        compiler_fence(Ordering::SeqCst);
        call
    }
}

impl Call {
    /// Makes a claimed place a call that a return can find.
    #[inline(always)]
    pub(super) fn begin(&mut self, function: u32, skb: u64, start_ns: u64) {
        self.function = function;
        self.skb = skb;
        self.start_ns = start_ns;
        compiler_fence(Ordering::SeqCst);
        self.task = task();
    }

    /// Ends a call that was found: its place is free.
    #[inline(always)]
    pub(super) fn end(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.task = FREE;
    }
}

/// The call that returns; `skb` where it is known.
#[inline(always)]
pub(super) fn returning(function: u32, skb: Option<u64>) -> Option<&'static mut Call> {
    let calls = of_this_cpu()?;
    let task = task();
    let is_it = |call: &Call| {
        call.task == task && call.function == function && skb.is_none_or(|skb| call.skb == skb)
    };
    // Nearly always nothing came between. A call that was taken earlier has begun
    // earlier, too, unless this one interrupted it before it began: then it cannot
    // be found yet.
    if calls.latest == 0 && is_it(&calls.places[0]) {
        return calls.places.first_mut();
    }
    let mut latest = 0;
    let mut place = DEPTH;
    for (index, call) in calls.places.iter().enumerate() {
        if is_it(call) && call.start_ns >= latest {
            latest = call.start_ns;
            place = index;
        }
    }
    if place == DEPTH {
        missed(function);
        return None;
    }
    calls
        .places
        .get_mut(core::hint::black_box(place) & (DEPTH - 1))
}

#[inline(always)]
fn missed(function: u32) {
    if let Some(missed) = MISSED_CALLS.get_ptr_mut(function) {
        add(missed, 1);
    }
}

#[inline(always)]
fn task() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_get_current_task() }
}

#[inline(always)]
fn of_this_cpu() -> Option<&'static mut Calls> {
    // SAFETY: this CPU's own value. A program that interrupts this one leaves
    // claimed places alone.
    CALLS.get_ptr_mut(0).map(|calls| unsafe { &mut *calls })
}
