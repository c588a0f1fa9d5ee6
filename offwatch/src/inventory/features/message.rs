//! Messages of the kernel's `ethtool` family, as far as features go.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NlaBuffer, NlasIterator,
    ParseableParametrized, parse_string, parse_u32,
};
use netlink_packet_generic::{GenlFamily, GenlHeader};
use serde::{Deserialize, Serialize};

use super::bitset::Bitset;
use crate::sample::offloads::{FeatureNames, FeatureSet, Features};

const STRSET_GET: u8 = 1;
const FEATURES_GET: u8 = 11;
const FEATURES_SET: u8 = 12;
const FEATURES_NTF: u8 = 13;

/// `ETH_SS_FEATURES`: the string set with the names of the features.
const FEATURE_NAMES: u32 = 4;
const COMPACT_BITSETS: u32 = 1;

/// Every message of features and string sets begins with this attribute.
const HEADER: u16 = 1;
mod header {
    pub(super) const DEV_INDEX: u16 = 1;
    pub(super) const DEV_NAME: u16 = 2;
    pub(super) const FLAGS: u16 = 3;
}
mod features {
    pub(super) const HW: u16 = 2;
    pub(super) const WANTED: u16 = 3;
    pub(super) const ACTIVE: u16 = 4;
    pub(super) const NOCHANGE: u16 = 5;
}
/// A bit set that names its bits; without `NO_MASK` those it lists are meant.
mod named {
    pub(super) const BITS: u16 = 3;
    pub(super) const BIT: u16 = 1;
    pub(super) const BIT_NAME: u16 = 2;
    pub(super) const BIT_VALUE: u16 = 3;
}
/// `ETHTOOL_A_STRSET_STRINGSETS`, and what is nested in it level by level.
mod strings {
    pub(super) const SETS: u16 = 2;
    pub(super) const SET: u16 = 1;
    pub(super) const SET_ID: u16 = 1;
    pub(super) const SET_STRINGS: u16 = 3;
    pub(super) const STRING: u16 = 1;
    pub(super) const STRING_INDEX: u16 = 1;
    pub(super) const STRING_VALUE: u16 = 2;
}

/// What the kernel answered to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Those that are not as asked (`ETHTOOL_A_FEATURES_WANTED` of the reply).
    pub unmet: FeatureSet,
    /// Those that changed, asked for or not (`ETHTOOL_A_FEATURES_ACTIVE`).
    pub changed: FeatureSet,
}

/// A request to the family, or an answer or notification of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    command: u8,
    attributes: Vec<u8>,
}

impl Message {
    /// Asks for the features of an interface, or to list those of all.
    pub fn get_features(ifindex: Option<u32>) -> Self {
        let dev = ifindex.map(|ifindex| number(header::DEV_INDEX, ifindex));
        let flags = number(header::FLAGS, COMPACT_BITSETS);
        let header: Vec<_> = dev.into_iter().chain([flags]).collect();
        Self::new(FEATURES_GET, &[nest(HEADER, &header)])
    }

    /// Asks for the features of the interface that has this ifindex and this name.
    pub fn get_features_of(ifindex: u32, dev: &str) -> Self {
        Self::new(FEATURES_GET, &[both(ifindex, dev)])
    }

    /// Switches features, by the kernel's names, of the interface that has this
    /// ifindex and this name. One name that the kernel does not know, and it
    /// switches none.
    pub fn set_features<'name>(
        ifindex: u32,
        dev: &str,
        features: impl Iterator<Item = (&'name str, bool)>,
    ) -> Self {
        let bits: Vec<_> = features.map(|(name, on)| bit(name, on)).collect();
        let wanted = nest(features::WANTED, &[nest(named::BITS, &bits)]);
        Self::new(FEATURES_SET, &[both(ifindex, dev), wanted])
    }

    /// Asks how the features are called.
    pub fn get_feature_names() -> Self {
        let id = number(strings::SET_ID, FEATURE_NAMES);
        let sets = nest(strings::SETS, &[nest(strings::SET, &[id])]);
        Self::new(STRSET_GET, &[nest(HEADER, &[]), sets])
    }

    fn new(command: u8, attributes: &[DefaultNla]) -> Self {
        Self {
            command,
            attributes: emit(attributes),
        }
    }

    /// Whether it answers [`Self::set_features`].
    pub fn is_set_reply(&self) -> bool {
        self.command == FEATURES_SET
    }

    /// Whether it notifies of a change of features.
    pub fn is_features_changed(&self) -> bool {
        self.command == FEATURES_NTF
    }

    /// The interface it is about.
    pub fn ifindex(&self) -> Result<u32, DecodeError> {
        let header = child(&self.attributes, HEADER)?;
        parse_u32(child(header, header::DEV_INDEX)?)
    }

    /// The features in an answer or notification.
    pub fn features(&self) -> Result<Features, DecodeError> {
        let set = |kind| {
            let bitset = Bitset::decode(child(&self.attributes, kind)?)?;
            let set = FeatureSet::from_words(&bitset.values);
            set.ok_or_else(|| too_many(bitset.size))
        };
        Ok(Features {
            changeable: set(features::HW)?,
            wanted: set(features::WANTED)?,
            active: set(features::ACTIVE)?,
            never_changed: set(features::NOCHANGE)?,
        })
    }

    /// What an answer to [`Self::set_features`] tells.
    pub fn set_reply(&self) -> Result<Reply, DecodeError> {
        let mask = |kind| {
            let bitset = Bitset::decode(child(&self.attributes, kind)?)?;
            let mask = bitset.mask.as_deref();
            let mask = mask.ok_or_else(|| DecodeError::from("a difference without a mask"))?;
            FeatureSet::from_words(mask).ok_or_else(|| too_many(bitset.size))
        };
        Ok(Reply {
            unmet: mask(features::WANTED)?,
            changed: mask(features::ACTIVE)?,
        })
    }

    /// The names in an answer.
    pub fn feature_names(&self) -> Result<FeatureNames, DecodeError> {
        let sets = child(&self.attributes, strings::SETS)?;
        let strings = child(child(sets, strings::SET)?, strings::SET_STRINGS)?;
        let mut names = Vec::new();
        for string in NlasIterator::new(strings) {
            let string = string?;
            if string.kind() != strings::STRING {
                continue;
            }
            let index = parse_u32(child(string.value(), strings::STRING_INDEX)?)? as usize;
            if index >= FeatureSet::BITS {
                return Err(format!("a feature with number {index}").into());
            }
            if names.len() <= index {
                names.resize(index + 1, String::new());
            }
            names[index] = parse_string(child(string.value(), strings::STRING_VALUE)?)?;
        }
        Ok(FeatureNames(names))
    }
}

fn too_many(found: u32) -> DecodeError {
    format!("{found} features, more than {}", FeatureSet::BITS).into()
}

/// A header by which the kernel looks for an interface with both.
fn both(ifindex: u32, dev: &str) -> DefaultNla {
    let dev = [
        number(header::DEV_INDEX, ifindex),
        text(header::DEV_NAME, dev),
    ];
    let flags = number(header::FLAGS, COMPACT_BITSETS);
    nest(HEADER, &[&dev[..], &[flags]].concat())
}

fn bit(name: &str, on: bool) -> DefaultNla {
    let mut bit = vec![text(named::BIT_NAME, name)];
    if on {
        bit.push(DefaultNla::new(named::BIT_VALUE, Vec::new()));
    }
    nest(named::BIT, &bit)
}

/// The content of the first attribute of a kind.
fn child(attributes: &[u8], kind: u16) -> Result<&[u8], DecodeError> {
    let mut rest = NlasIterator::new(attributes);
    let found = rest.find_map(|attribute| match attribute {
        Ok(attribute) if attribute.kind() == kind => Some(Ok(value(attribute))),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    found.unwrap_or_else(|| Err(format!("attribute {kind} is missing").into()))
}

/// As [`NlaBuffer::value`], for as long as the bytes live.
fn value(attribute: NlaBuffer<&[u8]>) -> &[u8] {
    let length = attribute.length() as usize;
    let header = length - attribute.value_length();
    &attribute.into_inner()[header..length]
}

fn number(kind: u16, number: u32) -> DefaultNla {
    DefaultNla::new(kind, number.to_ne_bytes().to_vec())
}

fn text(kind: u16, text: &str) -> DefaultNla {
    DefaultNla::new(kind, [text.as_bytes(), &[0]].concat())
}

fn nest(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    DefaultNla::new(kind | NLA_F_NESTED, emit(attributes))
}

fn emit(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        "ethtool"
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        self.attributes.len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.attributes);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(attributes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        Ok(Self {
            command: header.cmd,
            attributes: attributes.to_vec(),
        })
    }
}
