//! The programs at the entry and the return of each function, as fentry and
//! fexit and as kprobe and kretprobe.

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use offwatch_common::function::{CHECKSUM, CRC32C, PARAMETERS, SEGMENT};

use super::{entered, segmented, summed};
use crate::skb::{Direct, Probed, Skb, can_cast, cast_skb};

/// The third parameter of `__skb_gso_segment`, `bool tx_path`: only its lowest
/// byte is defined.
fn is_true(parameter: u64) -> u32 {
    parameter as u32 & 0xff
}

#[fentry(function = "__skb_gso_segment")]
fn ow_fentry_gso(ctx: FEntryContext) -> i32 {
    let to_device = is_true(ctx.arg(2));
    entered(SEGMENT, Skb::<Direct>::new(ctx.arg(0)), to_device);
    0
}

#[fexit(function = "__skb_gso_segment")]
fn ow_fexit_gso(ctx: FExitContext) -> i32 {
    // Behind the arguments lies the result. `FExitContext::ret` needs Linux 5.17.
    segmented(Some(ctx.arg(0)), ctx.arg(PARAMETERS[SEGMENT as usize]));
    0
}

/// Of a function that is called for frames on their way to a device only.
const TO_DEVICE: u32 = 1;

/// The programs of a function that computes the checksum of a frame on its way
/// to a device.
macro_rules! checksum {
    ($name:literal, $function:expr, $fentry:ident, $fexit:ident, $kprobe:ident, $kretprobe:ident) => {
        #[fentry(function = $name)]
        fn $fentry(ctx: FEntryContext) -> i32 {
            entered($function, Skb::<Direct>::new(ctx.arg(0)), TO_DEVICE);
            0
        }

        #[fexit(function = $name)]
        fn $fexit(ctx: FExitContext) -> i32 {
            summed(
                $function,
                Some(ctx.arg(0)),
                ctx.arg(PARAMETERS[$function as usize]),
            );
            0
        }

        #[kprobe(function = $name)]
        fn $kprobe(ctx: ProbeContext) -> u32 {
            entered_untyped($function, ctx.arg(0), TO_DEVICE);
            0
        }

        #[kretprobe(function = $name)]
        fn $kretprobe(ctx: RetProbeContext) -> u32 {
            summed($function, UNKNOWN, ctx.ret());
            0
        }
    };
}

checksum!(
    "skb_checksum_help",
    CHECKSUM,
    ow_fentry_csum,
    ow_fexit_csum,
    ow_kprobe_csum,
    ow_kretprobe_csum
);
checksum!(
    "skb_crc32c_csum_help",
    CRC32C,
    ow_fentry_crc,
    ow_fexit_crc,
    ow_kprobe_crc,
    ow_kretprobe_crc
);

/// A kretprobe has the result, but no longer the arguments.
const UNKNOWN: Option<u64> = None;

#[kprobe(function = "__skb_gso_segment")]
fn ow_kprobe_gso(ctx: ProbeContext) -> u32 {
    let to_device = ctx.arg(2).map_or(0, is_true);
    entered_untyped(SEGMENT, ctx.arg(0), to_device);
    0
}

#[kretprobe(function = "__skb_gso_segment")]
fn ow_kretprobe_gso(ctx: RetProbeContext) -> u32 {
    segmented(UNKNOWN, ctx.ret());
    0
}

#[inline(always)]
fn entered_untyped(function: u32, skb: Option<*const u8>, to_device: u32) {
    let Some(skb) = skb else { return };
    if can_cast() {
        entered(function, cast_skb(skb), to_device);
    } else {
        entered(function, Skb::<Probed>::new(skb), to_device);
    }
}
