//! The compiled BPF programs, embedded so that users need no BPF toolchain.

use offwatch_common::CAST_PLACEHOLDER;

/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_KFUNC_CALL` as source register: a call of a kernel function by
/// its BTF type ID.
const KERNEL_FUNCTION: u8 = 2 << 4;
const INSTRUCTION_BYTES: usize = 8;

/// An ELF object, aligned as its parser requires.
#[repr(C, align(8))]
struct Aligned<Bytes: ?Sized>(Bytes);

static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("OFFWATCH_EBPF_OBJECT")));

/// The BPF object this binary was built with.
pub static OBJECT: &[u8] = &ALIGNED.0;

/// The object with calls of a kernel function, given by its BTF type ID, in
/// place of those of [`CAST_PLACEHOLDER`].
pub(super) fn with_cast(function: u32) -> Box<[u8]> {
    let mut object = Box::from(OBJECT);
    for instruction in placeholders(&mut object) {
        instruction[1] = KERNEL_FUNCTION;
        instruction[4..].copy_from_slice(&function.to_le_bytes());
    }
    object
}

/// Instructions are aligned in the object, and no other data has their form.
fn placeholders(object: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    let [a, b, c, d] = CAST_PLACEHOLDER.to_le_bytes();
    let call = [CALL, 0, 0, 0, a, b, c, d];
    object
        .chunks_exact_mut(INSTRUCTION_BYTES)
        .filter(move |instruction| **instruction == call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_replaced() {
        let mut original = Box::from(OBJECT);
        let count = placeholders(&mut original).count();
        assert!(count > 10, "only {count} placeholders in the object");

        let function = 0x0001_2345_u32;
        let mut object = with_cast(function);
        assert_eq!(placeholders(&mut object).count(), 0);
        let [a, b, c, d] = function.to_le_bytes();
        let call = [CALL, KERNEL_FUNCTION, 0, 0, a, b, c, d];
        let calls = object
            .chunks_exact(INSTRUCTION_BYTES)
            .filter(|i| *i == call);
        assert_eq!(calls.count(), count);
    }
}
