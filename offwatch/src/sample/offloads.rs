//! Offload features, limits and counters of an interface, as the kernel has them.

use std::{
    borrow::Cow,
    ops::{BitAnd, BitOr, BitXor, Sub},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A fact, or the reason why it is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// It is known.
    Known(T),
    /// It is not, because.
    Unavailable(Cow<'static, str>),
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self::Unavailable("the recording does not hold it".into())
    }
}

impl<T> Fact<T> {
    /// Not known, because.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unavailable(reason.into())
    }

    /// The fact, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(fact) => Some(fact),
            Self::Unavailable(_) => None,
        }
    }

    /// Why it is not known, if so.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unavailable(reason) => Some(reason),
        }
    }
}

/// What is known of an interface's offloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offloads {
    /// Its features.
    pub features: Fact<Features>,
    /// How often the kernel told that active features changed, since offwatch
    /// began to observe the interface: by an administrator, or as a guest's
    /// driver negotiated.
    pub features_changed: Fact<u64>,
    /// How it was made, if it is a tap.
    pub tap: Option<Tap>,
    /// Whether GRO works on what the guest sends (`IFF_NAPI`), if it is a tap.
    pub napi: Option<Fact<bool>>,
    /// How often the kernel found a transmit queue stuck, if it is hardware:
    /// nothing else has a transmit watchdog.
    pub tx_timeouts: Option<Fact<u64>>,
}

/// A set of features, by the numbers that the running kernel gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeatureSet([u64; 2]);

impl FeatureSet {
    /// How many features there can be. Linux has 64.
    pub const BITS: usize = 128;

    /// The set of which these are the bits, 32 a word, lowest first; `None` if
    /// they are too many.
    pub fn from_words(words: &[u32]) -> Option<Self> {
        let mut set = [0; 2];
        for (index, word) in words.iter().enumerate() {
            *set.get_mut(index / 2)? |= u64::from(*word) << (32 * (index % 2));
        }
        Some(Self(set))
    }

    /// Its bits, 32 a word, lowest first.
    pub fn words(&self) -> [u32; Self::BITS / 32] {
        let [low, high] = self.0;
        [
            low as u32,
            (low >> 32) as u32,
            high as u32,
            (high >> 32) as u32,
        ]
    }

    /// Whether feature number `bit` is in the set.
    pub fn contains(&self, bit: usize) -> bool {
        self.0
            .get(bit / 64)
            .is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Adds feature number `bit`, which is below [`Self::BITS`].
    pub fn insert(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    /// Whether there is none in it.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 2]
    }

    /// The numbers in it, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let set = *self;
        (0..Self::BITS).filter(move |bit| set.contains(*bit))
    }
}

/// In both.
impl BitAnd for FeatureSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self([self.0[0] & other.0[0], self.0[1] & other.0[1]])
    }
}

/// In either.
impl BitOr for FeatureSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }
}

/// In one of them only.
impl BitXor for FeatureSet {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        Self([self.0[0] ^ other.0[0], self.0[1] ^ other.0[1]])
    }
}

/// In the first, not in the second.
impl Sub for FeatureSet {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self([self.0[0] & !other.0[0], self.0[1] & !other.0[1]])
    }
}

impl FromIterator<usize> for FeatureSet {
    fn from_iter<Bits: IntoIterator<Item = usize>>(bits: Bits) -> Self {
        let mut set = Self::default();
        for bit in bits {
            set.insert(bit);
        }
        set
    }
}

/// What the kernel calls its features, in the order of their numbers: the names
/// that `ethtool -k` prints and `ethtool -K` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeatureNames(pub Vec<String>);

impl FeatureNames {
    /// The number of a feature; `None` if the kernel does not have it.
    pub fn bit(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    /// The name of a feature; `None` if the kernel does not have it.
    pub fn name(&self, bit: usize) -> Option<&str> {
        self.0.get(bit).map(String::as_str)
    }

    /// The names of the features of a set.
    pub fn of(&self, set: FeatureSet) -> Vec<&str> {
        set.iter().filter_map(|bit| self.name(bit)).collect()
    }

    /// The same with the state of each, "rx-gro off, rx-lro on", as those in `on` are on.
    pub fn states(&self, set: FeatureSet, on: FeatureSet) -> String {
        let states = set.iter().filter_map(|bit| {
            let state = if on.contains(bit) { "on" } else { "off" };
            Some(format!("{} {state}", self.name(bit)?))
        });
        states.collect::<Vec<_>>().join(", ")
    }
}

/// Features of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Those that can be switched on this interface.
    pub changeable: FeatureSet,
    /// Those that are asked for: by an administrator, or by a guest's driver.
    pub wanted: FeatureSet,
    /// Those that are on.
    pub active: FeatureSet,
    /// Those that no interface lets be switched.
    pub never_changed: FeatureSet,
}

impl Features {
    /// Whether feature number `bit` cannot be switched here: `[fixed]`.
    pub fn is_fixed(&self, bit: usize) -> bool {
        !self.changeable.contains(bit) || self.never_changed.contains(bit)
    }
}

/// A tap, as its creator made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tap {
    /// Frames carry a virtio header (`IFF_VNET_HDR`); without it no offload
    /// passes, in either direction.
    pub vnet_hdr: bool,
    /// Made for several queues (`IFF_MULTI_QUEUE`).
    pub multi_queue: bool,
    /// Queues that are attached, in use or not.
    pub queues: u32,
}

/// Limits of an interface. `None` where the kernel does not tell one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Longest GSO frame handed to the device, bytes.
    pub gso_max_size_bytes: Option<u32>,
    /// Most segments of one.
    pub gso_max_segs: Option<u32>,
    /// Longest IPv4 GSO frame, bytes (Linux 6.3).
    pub gso_ipv4_max_size_bytes: Option<u32>,
    /// Longest frame that GRO makes, bytes (Linux 5.19).
    pub gro_max_size_bytes: Option<u32>,
    /// Longest IPv4 frame that GRO makes, bytes (Linux 6.3).
    pub gro_ipv4_max_size_bytes: Option<u32>,
    /// Longest frame that the device itself can segment, bytes (Linux 5.19).
    pub tso_max_size_bytes: Option<u32>,
    /// Most segments of one (Linux 5.19).
    pub tso_max_segs: Option<u32>,
    /// Root queueing discipline.
    pub qdisc: Option<String>,
    /// Transmit queue length in frames: for a tap, the ring that the guest drains.
    pub tx_queue_frames: Option<u32>,
    /// Transmit queues.
    pub tx_queues: Option<u32>,
    /// Receive queues.
    pub rx_queues: Option<u32>,
}

/// The kernel's own counters since the interface exists, from the host's side:
/// of a tap, `rx` is what the guest sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelCounters {
    /// When they were read, on the clock of [`super::Sample::monotonic_ns`].
    pub monotonic_ns: u64,
    /// Frames received; a GSO frame is one.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames refused on receipt.
    pub rx_dropped: u64,
    /// Bad frames received.
    pub rx_errors: u64,
    /// Frames sent; of a tap, read by the guest.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames dropped on sending; of a tap, as its ring was full.
    pub tx_dropped: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Of these, for want of a carrier.
    pub tx_carrier_errors: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_from_words() {
        let set = FeatureSet::from_words(&[1 << 31, 1]).expect("64 bits fit");
        let bits: Vec<usize> = (0..200).filter(|bit| set.contains(*bit)).collect();
        assert_eq!(bits, [31, 32]);
        assert_eq!(set.iter().collect::<Vec<_>>(), bits);
        assert_eq!(set.words(), [1 << 31, 1, 0, 0]);
        assert!(FeatureSet::from_words(&[0; 4]).is_some());
        assert_eq!(FeatureSet::from_words(&[0; 5]), None);
    }
    #[test]
    fn sets_are_compared() {
        let set = |bits: &[usize]| bits.iter().copied().collect::<FeatureSet>();
        let (one, other) = (set(&[1, 70]), set(&[1, 2]));
        assert_eq!(one & other, set(&[1]));
        assert_eq!(one | other, set(&[1, 2, 70]));
        assert_eq!(one ^ other, set(&[2, 70]));
        assert_eq!(one - other, set(&[70]));
        assert!((one - one).is_empty() && !one.is_empty());
    }
}
