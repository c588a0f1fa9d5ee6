//! The compiled BPF programs, embedded so that users need no BPF toolchain.

use offwatch_common::{CAST_PLACEHOLDER, Constants, LOAD_PLACEHOLDER, MOVE_PLACEHOLDER};

/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_KFUNC_CALL` as source register: a call of a kernel function by
/// its BTF type ID.
const KERNEL_FUNCTION: u8 = 2 << 4;
/// `BPF_ALU64 | BPF_MOV | BPF_K`: extends the sign of its 32 bits.
const MOVE: u8 = 0xb7;
/// `BPF_ALU | BPF_MOV | BPF_K`: does not.
const MOVE_32: u8 = 0xb4;
/// `BPF_LDX | BPF_MEM` of each width.
const LOADS: [u8; 4] = [0x61, 0x69, 0x71, 0x79];
const INSTRUCTION_BYTES: usize = 8;

/// An ELF object, aligned as its parser requires.
#[repr(C, align(8))]
struct Aligned<Bytes: ?Sized>(Bytes);

static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("OFFWATCH_EBPF_OBJECT")));

/// The BPF object this binary was built with.
pub static OBJECT: &[u8] = &ALIGNED.0;

/// The object with the constants of this kernel in its instructions and, where
/// there is the function that casts, calls of it by its BTF type ID.
pub(super) fn made(constants: &Constants, cast: Option<u32>) -> Box<[u8]> {
    let mut object = Box::from(OBJECT);
    for instruction in instructions(&mut object) {
        match placeholder(instruction) {
            Some(Placeholder::Cast) => {
                if let Some(function) = cast {
                    instruction[1] = KERNEL_FUNCTION;
                    instruction[4..].copy_from_slice(&function.to_le_bytes());
                }
            }
            Some(Placeholder::Move(index)) => {
                instruction[0] = MOVE_32;
                instruction[4..].copy_from_slice(&constants.words()[index].to_le_bytes());
            }
            Some(Placeholder::Load(index)) => {
                // Offsets are small; that of an absent member is never used.
                let offset = constants.words()[index] as u16;
                instruction[2..4].copy_from_slice(&offset.to_le_bytes());
            }
            None => {}
        }
    }
    object
}

/// An instruction that the loader completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Cast,
    /// Of the constant with this index.
    Move(usize),
    /// From the offset that the constant with this index is.
    Load(usize),
}

/// Instructions are aligned in the object, and no other data has the form of a
/// placeholder.
fn instructions(object: &mut [u8]) -> impl Iterator<Item = &mut [u8; INSTRUCTION_BYTES]> {
    object.as_chunks_mut::<INSTRUCTION_BYTES>().0.iter_mut()
}

fn placeholder(instruction: &[u8; INSTRUCTION_BYTES]) -> Option<Placeholder> {
    let [code, registers, offset @ .., a, b, c, d] = *instruction;
    let offset = u16::from_le_bytes(offset);
    let immediate = u32::from_le_bytes([a, b, c, d]);
    let index = |number: u32, first: u32| {
        let index = number.checked_sub(first)? as usize;
        (index < size_of::<Constants>() / size_of::<u32>()).then_some(index)
    };
    match code {
        CALL if (registers, offset, immediate) == (0, 0, CAST_PLACEHOLDER) => {
            Some(Placeholder::Cast)
        }
        MOVE if registers < 10 && offset == 0 => {
            index(immediate, MOVE_PLACEHOLDER).map(Placeholder::Move)
        }
        _ if LOADS.contains(&code) && immediate == 0 => {
            index(offset.into(), LOAD_PLACEHOLDER as u32).map(Placeholder::Load)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use offwatch_common::{ABSENT, Access, DropReasons, GsoBits, Offsets};

    use super::*;

    fn constants() -> Constants {
        Constants {
            offsets: Offsets {
                skb_len: 112,
                ..Offsets::default()
            },
            access: Access::default(),
            gso_bits: GsoBits::default(),
            drop_reasons: DropReasons {
                full_ring: ABSENT,
                tap_filter: ABSENT,
                tap_txfilter: ABSENT,
            },
            netns: 0xf000_0001,
            log: 0,
        }
    }

    fn all(object: &mut [u8]) -> Vec<Placeholder> {
        instructions(object)
            .filter_map(|instruction| placeholder(instruction))
            .collect()
    }

    #[test]
    fn every_placeholder_is_replaced() {
        let placeholders = all(&mut Box::from(OBJECT));
        let count = |is: fn(&Placeholder) -> bool| placeholders.iter().filter(|it| is(it)).count();
        let casts = count(|it| *it == Placeholder::Cast);
        assert!(casts > 10, "only {casts} casts in the object");
        assert!(count(|it| matches!(it, Placeholder::Move(_))) > 10);
        assert!(count(|it| matches!(it, Placeholder::Load(_))) > 10);

        let function = 0x0001_2345_u32;
        let mut object = made(&constants(), Some(function));
        assert_eq!(all(&mut object), []);
        let [a, b, c, d] = function.to_le_bytes();
        let call = [CALL, KERNEL_FUNCTION, 0, 0, a, b, c, d];
        let calls = instructions(&mut object).filter(|it| **it == call).count();
        assert_eq!(calls, casts);
        let kept = all(&mut made(&constants(), None));
        assert_eq!(kept.len(), casts, "no function to call");
    }

    /// Whatever is read is a member that is known, and all that is known is read.
    #[test]
    fn every_constant_is_used() {
        let used = all(&mut Box::from(OBJECT));
        for index in 0..constants().words().len() {
            let (moved, loaded) = (Placeholder::Move(index), Placeholder::Load(index));
            assert!(
                used.contains(&moved) || used.contains(&loaded),
                "word {index} is not used"
            );
        }
    }

    /// Those that may read through what is no address: see `observe_alone` among the
    /// programs.
    #[test]
    fn programs_that_may_fault_are_single_functions() {
        const CALL_OF_FUNCTION: u8 = 1;
        let object = aya_obj::Object::parse(OBJECT).expect("an object");
        let alone = ["ow_tp_drop", "ow_raw_drop", "ow_fentry_", "ow_kprobe_"];
        let programs = object.functions.values();
        let programs = programs.filter(|it| alone.iter().any(|name| it.name.starts_with(name)));
        let mut count = 0;
        for program in programs {
            let calls = program.instructions.iter();
            let calls = calls.filter(|it| it.code == CALL && it.src_reg() == CALL_OF_FUNCTION);
            assert_eq!(calls.count(), 0, "{} calls functions", program.name);
            count += 1;
        }
        assert_eq!(count, 8);
    }
}
