//! Constants of the running kernel. The loader writes them into the
//! instructions: a member of a structure takes one load, and nothing that the
//! programs read of the kernel's layout takes up cache.

use core::arch::asm;

use offwatch_common::{LOAD_PLACEHOLDER, MOVE_PLACEHOLDER};

/// The number of a constant: `at!(offsets.skb_len)`.
macro_rules! at {
    ($($field:tt)+) => {
        core::mem::offset_of!(offwatch_common::Constants, $($field)+) / size_of::<u32>()
    };
}
pub(crate) use at;

/// A constant, which the verifier knows.
#[inline(always)]
pub(crate) fn constant<const INDEX: usize>() -> u32 {
    let value: u64;
    // SAFETY: moves a number to a register. The loader makes it a move of 32
    // bits, which leaves the upper half zero.
    unsafe {
        asm!(
            "{} = {}",
            out(reg) value,
            const MOVE_PLACEHOLDER + INDEX as u32,
            options(pure, nomem, nostack, preserves_flags)
        );
        core::hint::assert_unchecked(value <= u64::from(u32::MAX));
    }
    value as u32
}

/// What can be loaded from a structure of the kernel.
pub(crate) trait Loaded: Copy {
    /// Where nothing can be.
    const ZERO: Self;

    /// Loads the member at the offset that is constant `OFFSET`. What
    /// `structure` points to must have a type for the verifier.
    fn load<const OFFSET: usize>(structure: *const u8) -> Self;
}

macro_rules! loaded {
    ($type:ty, $width:literal, $zero:expr) => {
        impl Loaded for $type {
            const ZERO: Self = $zero;

            #[inline(always)]
            fn load<const OFFSET: usize>(structure: *const u8) -> Self {
                let value: u64;
                // SAFETY: the verifier makes it a load that yields 0 on a fault.
                // It leaves the upper bits zero.
                unsafe {
                    asm!(
                        concat!("{} = *(", $width, " *)({} + {})"),
                        out(reg) value,
                        in(reg) structure,
                        const LOAD_PLACEHOLDER as usize + OFFSET,
                        options(pure, readonly, nostack, preserves_flags)
                    );
                    core::hint::assert_unchecked(value <= u64::MAX >> (64 - 8 * size_of::<Self>()));
                }
                value as $type
            }
        }
    };
}

loaded!(u8, "u8", 0);
loaded!(u16, "u16", 0);
loaded!(u32, "u32", 0);
loaded!(*const u8, "u64", core::ptr::null());
