//! The compiled BPF programs, embedded so that users need no BPF toolchain.

/// An ELF object, aligned as its parser requires.
#[repr(C, align(8))]
struct Aligned<Bytes: ?Sized>(Bytes);

static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("OFFWATCH_EBPF_OBJECT")));

/// The BPF object this binary was built with.
pub static OBJECT: &[u8] = &ALIGNED.0;
