//! The BPF programs. Each hook has three twins, which differ only in how they
//! reach the skb: BTF tracepoints load fields directly; raw tracepoints and tc
//! classifiers do so after a cast, or before Linux 6.2 read them with
//! `bpf_probe_read_kernel`. All end in [`count`].
#![no_std]
#![no_main]
#![allow(
    internal_features,
    reason = "atomic_xadd is the only way to BPF_XADD on this target"
)]
#![feature(asm_experimental_arch, core_intrinsics)]

mod constants;
mod count;
mod drops;
mod exact;
mod maps;
mod skb;

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, classifier, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TcContext},
};

use crate::skb::{Direct, Probed, Skb, can_cast, cast_skb};

/// `TCX_NEXT` and `TC_ACT_UNSPEC`: whatever else is attached still runs. Any
/// other value would bypass a policer or stop another tool's program.
const TC_NEXT: i32 = -1;

#[btf_tracepoint(function = "netif_receive_skb")]
fn ow_tp_receive(ctx: BtfTracePointContext) -> i32 {
    count::received(&ctx, Skb::<Direct>::new(ctx.arg(0)));
    0
}

#[btf_tracepoint(function = "net_dev_queue")]
fn ow_tp_queue(ctx: BtfTracePointContext) -> i32 {
    count::queued(Skb::<Direct>::new(ctx.arg(0)));
    0
}

#[btf_tracepoint(function = "net_dev_start_xmit")]
fn ow_tp_xmit(ctx: BtfTracePointContext) -> i32 {
    count::sent(Skb::<Direct>::new(ctx.arg(0)));
    0
}

/// Arguments: skb, location and, since 5.17, the drop reason.
#[btf_tracepoint(function = "kfree_skb")]
fn ow_tp_drop(ctx: BtfTracePointContext) -> i32 {
    let reason = if drops::have_reason() {
        ctx.arg::<u64>(2) as u32
    } else {
        0
    };
    count::dropped(Skb::<Direct>::new(ctx.arg(0)), ctx.arg(1), reason);
    0
}

/// Counts an skb that came without its type.
macro_rules! untyped {
    ($at:expr, $skb:ident => $count:expr) => {
        if can_cast() {
            let $skb = cast_skb($at);
            $count;
        } else {
            let $skb = Skb::<Probed>::new($at);
            $count;
        }
    };
}

#[raw_tracepoint(tracepoint = "netif_receive_skb")]
fn ow_raw_receive(ctx: RawTracePointContext) -> i32 {
    untyped!(ctx.arg(0), skb => count::received(&ctx, skb));
    0
}

#[raw_tracepoint(tracepoint = "net_dev_queue")]
fn ow_raw_queue(ctx: RawTracePointContext) -> i32 {
    untyped!(ctx.arg(0), skb => count::queued(skb));
    0
}

#[raw_tracepoint(tracepoint = "net_dev_start_xmit")]
fn ow_raw_xmit(ctx: RawTracePointContext) -> i32 {
    untyped!(ctx.arg(0), skb => count::sent(skb));
    0
}

#[raw_tracepoint(tracepoint = "kfree_skb")]
fn ow_raw_drop(ctx: RawTracePointContext) -> i32 {
    let reason = if drops::have_reason() {
        ctx.arg::<u64>(2) as u32
    } else {
        0
    };
    untyped!(ctx.arg(0), skb => count::dropped(skb, ctx.arg(1), reason));
    0
}

#[classifier]
fn ow_tc_ingress(ctx: TcContext) -> i32 {
    untyped!(ctx.as_ptr().cast(), skb => count::received(&ctx, skb));
    TC_NEXT
}

#[classifier]
fn ow_tc_egress(ctx: TcContext) -> i32 {
    untyped!(ctx.as_ptr().cast(), skb => count::passed_egress(skb));
    TC_NEXT
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
