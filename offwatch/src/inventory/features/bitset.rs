//! The kernel's compact form of a set of numbered bits
//! (`ETHTOOL_A_BITSET_*`): its size, its values and, unless it is a plain list,
//! a mask of the bits that it speaks of.

use netlink_packet_core::{DecodeError, DefaultNla, NlasIterator, parse_u32};

const NO_MASK: u16 = 1;
const SIZE: u16 = 2;
const VALUE: u16 = 4;
const MASK: u16 = 5;

const WORD_BITS: u32 = u32::BITS;

/// A bit set. Bits beyond `size` are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitset {
    /// How many bits there are.
    pub size: u32,
    /// The bits, 32 a word, lowest first.
    pub values: Vec<u32>,
    /// Which bits it speaks of; `None` in a list, which speaks of all.
    pub mask: Option<Vec<u32>>,
}

impl Bitset {
    /// Reads the content of a bit set's attribute.
    pub fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let (mut size, mut values, mut mask) = (None, None, None);
        for attribute in NlasIterator::new(content) {
            let attribute = attribute?;
            match attribute.kind() {
                SIZE => size = Some(parse_u32(attribute.value())?),
                VALUE => values = Some(words(attribute.value())),
                MASK => mask = Some(words(attribute.value())),
                _ => {}
            }
        }
        let size = size.ok_or_else(|| DecodeError::from("a bit set without a size"))?;
        let values = values.ok_or_else(|| DecodeError::from("a bit set that is not compact"))?;
        let expected = size.div_ceil(WORD_BITS) as usize;
        for words in [Some(&values), mask.as_ref()].into_iter().flatten() {
            if words.len() != expected {
                let found = words.len();
                return Err(format!("a bit set of {size} bits in {found} words").into());
            }
        }
        Ok(Self { size, values, mask })
    }

    /// What the attribute of this bit set contains.
    pub fn encode(&self) -> Vec<DefaultNla> {
        let mut attributes = Vec::new();
        if self.mask.is_none() {
            attributes.push(DefaultNla::new(NO_MASK, Vec::new()));
        }
        attributes.push(DefaultNla::new(SIZE, self.size.to_ne_bytes().to_vec()));
        attributes.push(DefaultNla::new(VALUE, bytes(&self.values)));
        if let Some(mask) = &self.mask {
            attributes.push(DefaultNla::new(MASK, bytes(mask)));
        }
        attributes
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| u32::from_ne_bytes(*word)).collect()
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable as _;

    use super::{super::tests::hex, *};

    /// From a FEATURES_GET reply of Linux 6.18 for `lo`: what can be changed,
    /// and what is active.
    const WITH_MASK: &str = "08000200400000000c00040000481d400e00000a0c000500ffffffffffffffff";
    const LIST: &str = "0400010008000200400000000c000400694c1d402e050000";

    fn encoded(bitset: &Bitset) -> Vec<u8> {
        let attributes = bitset.encode();
        let mut bytes = vec![0; attributes.as_slice().buffer_len()];
        attributes.as_slice().emit(&mut bytes);
        bytes
    }

    #[test]
    fn the_kernels_bytes_are_read_and_written() {
        let changeable = Bitset::decode(&hex(WITH_MASK)).expect("a bit set");
        assert_eq!(
            changeable,
            Bitset {
                size: 64,
                values: vec![0x401d_4800, 0x0a00_000e],
                mask: Some(vec![u32::MAX; 2]),
            }
        );
        assert_eq!(encoded(&changeable), hex(WITH_MASK));
        let active = Bitset::decode(&hex(LIST)).expect("a bit set");
        assert_eq!(active.values, [0x401d_4c69, 0x052e]);
        assert_eq!(active.mask, None);
        assert_eq!(encoded(&active), hex(LIST));
    }

    #[test]
    fn damaged_sets_are_refused() {
        let refused = |bytes: &[u8]| Bitset::decode(bytes).expect_err("refused").to_string();
        let whole = hex(WITH_MASK);
        assert!(refused(&[]).contains("without a size"));
        assert!(refused(&whole[..8]).contains("not compact"));
        // 64 bits in one word.
        let short = hex("08000200400000000800040000481d40");
        assert!(refused(&short).contains("64 bits in 1 words"));
        for cut in 1..whole.len() {
            let _ = Bitset::decode(&whole[..cut]);
        }
    }
}
