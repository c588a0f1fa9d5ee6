//! A set of bits is read, or refused; what is read is written as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use netlink_packet_core::Emitable as _;
use offwatch::inventory::features::bitset::Bitset;

fuzz_target!(|content: &[u8]| {
    let Ok(bitset) = Bitset::decode(content) else {
        return;
    };
    let attributes = bitset.encode();
    let mut written = vec![0; attributes.as_slice().buffer_len()];
    attributes.as_slice().emit(&mut written);
    assert_eq!(Bitset::decode(&written).expect("its own"), bitset);
});
