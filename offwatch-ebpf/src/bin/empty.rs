//! Programs that do nothing, at the hooks where offwatch's sit: what it costs
//! to be called at all. `offwatch-bench` holds offwatch against them.
//!
//! `zero_*` only return. `count_*` also add one to a value of an array shared by
//! all CPUs, atomically, as anything must that counts exactly. `shared_*` add to
//! several such values, and `own_*` to as many of their own CPU.
#![no_std]
#![no_main]
#![allow(
    internal_features,
    reason = "atomic_xadd is the only way to BPF_XADD on this target"
)]
#![feature(core_intrinsics)]

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{
    macros::{btf_tracepoint, classifier, map, raw_tracepoint},
    maps::{Array, PerCpuArray},
    programs::{BtfTracePointContext, RawTracePointContext, TcContext},
};

/// `TCX_NEXT`.
const TC_NEXT: i32 = -1;

#[map]
static COUNT: Array<u64> = Array::with_max_entries(1, 0);

#[inline(always)]
fn count() {
    if let Some(count) = COUNT.get_ptr_mut(0) {
        // SAFETY: a value of the map, which is only ever added to.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(count, 1) };
    }
}

/// One program a tracepoint: the kernel ties a BTF tracepoint program to its
/// tracepoint when it is loaded.
macro_rules! tracepoint {
    ($zero:ident, $count:ident) => {
        #[btf_tracepoint]
        fn $zero(_ctx: BtfTracePointContext) -> i32 {
            0
        }

        #[btf_tracepoint]
        fn $count(_ctx: BtfTracePointContext) -> i32 {
            count();
            0
        }
    };
}

tracepoint!(zero_receive, count_receive);
tracepoint!(zero_queue, count_queue);
tracepoint!(zero_xmit, count_xmit);
tracepoint!(zero_drop, count_drop);

#[raw_tracepoint]
fn zero_raw(_ctx: RawTracePointContext) -> i32 {
    0
}

#[raw_tracepoint]
fn count_raw(_ctx: RawTracePointContext) -> i32 {
    count();
    0
}

#[classifier]
fn zero_tc(_ctx: TcContext) -> i32 {
    TC_NEXT
}

#[classifier]
fn count_tc(_ctx: TcContext) -> i32 {
    count();
    TC_NEXT
}

/// How many counters [`shared`] and [`own`] add to: as many as offwatch does for
/// a frame whose checksum is still to be computed.
const ADDITIONS: usize = 3;

/// A cache line of counters, at the first hook and at the second.
#[map]
static SHARED: Array<[u64; 8]> = Array::with_max_entries(2, 0);

/// The same for each CPU.
#[map]
static OWN: PerCpuArray<[u64; 8]> = PerCpuArray::with_max_entries(2, 0);

#[inline(always)]
fn shared(hook: u32) {
    if let Some(counters) = SHARED.get_ptr_mut(hook) {
        for counter in 0..ADDITIONS {
            // SAFETY: within a value of the map, which is only ever added to.
            unsafe {
                let counter = counters.cast::<u64>().add(counter);
                atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, 1);
            }
        }
    }
}

#[inline(always)]
fn own(hook: u32) {
    if let Some(counters) = OWN.get_ptr_mut(hook) {
        for counter in 0..ADDITIONS {
            // SAFETY: within this CPU's value of the map.
            unsafe {
                let counter = counters.cast::<u64>().add(counter);
                counter.write_volatile(counter.read_volatile().wrapping_add(1));
            }
        }
    }
}

/// One program a tracepoint, with counters of its own.
macro_rules! counters {
    ($hook:expr, $shared:ident, $own:ident) => {
        #[btf_tracepoint]
        fn $shared(_ctx: BtfTracePointContext) -> i32 {
            shared($hook);
            0
        }

        #[btf_tracepoint]
        fn $own(_ctx: BtfTracePointContext) -> i32 {
            own($hook);
            0
        }
    };
}

counters!(0, shared_receive, own_receive);
counters!(1, shared_xmit, own_xmit);

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
