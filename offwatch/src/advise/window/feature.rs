//! Offload features as rules name them.

use crate::sample::offloads::{FeatureNames, FeatureSet, Features};

macro_rules! features {
    ($($(#[$doc:meta])* $feature:ident = $name:literal,)*) => {
        /// A feature of an interface that a rule speaks of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Feature {
            $($(#[$doc])* $feature,)*
        }

        impl Feature {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$feature,)*];

            /// The kernel's name, as `ethtool -K` takes it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$feature => $name,)*
                }
            }
        }
    };
}

features! {
    /// Checksums of any protocol.
    TxChecksum = "tx-checksum-ip-generic",
    /// Checksums of TCP and UDP over IPv4 alone.
    TxChecksumIpv4 = "tx-checksum-ipv4",
    /// Frames in several pieces of memory.
    ScatterGather = "tx-scatter-gather",
    /// TSO over IPv4.
    Tso = "tx-tcp-segmentation",
    /// TSO of frames that tell of congestion.
    TsoEcn = "tx-tcp-ecn-segmentation",
    /// TSO with equal IP identifications.
    TsoMangleId = "tx-tcp-mangleid-segmentation",
    /// TSO over IPv6.
    Tso6 = "tx-tcp6-segmentation",
    /// USO.
    Uso = "tx-udp-segmentation",
    /// GSO for sockets of the host.
    Gso = "tx-generic-segmentation",
    /// Segmentation of UDP tunnels.
    UdpTunnel = "tx-udp_tnl-segmentation",
    /// The same with outer checksums.
    UdpTunnelCsum = "tx-udp_tnl-csum-segmentation",
    /// Segmentation of GRE tunnels.
    Gre = "tx-gre-segmentation",
    /// Checksums of what is received.
    RxChecksum = "rx-checksum",
    /// GRO.
    Gro = "rx-gro",
    /// GRO in hardware.
    GroHw = "rx-gro-hw",
    /// GRO by list.
    GroList = "rx-gro-list",
    /// GRO of forwarded UDP.
    GroUdpForward = "rx-udp-gro-forwarding",
    /// LRO.
    Lro = "rx-lro",
}

/// Where the kernel has its features, looked up once.
#[derive(Clone, Debug)]
pub(super) struct Bits([Option<usize>; Feature::ALL.len()]);

impl Bits {
    pub(super) fn of(names: &FeatureNames) -> Self {
        let mut bits = [None; Feature::ALL.len()];
        for feature in Feature::ALL {
            bits[*feature as usize] = names.bit(feature.name());
        }
        Self(bits)
    }

    fn set(&self, from: &FeatureSet) -> Set {
        let on = Feature::ALL
            .iter()
            .filter(|feature| self.0[**feature as usize].is_some_and(|bit| from.contains(bit)));
        Set(on.fold(0, |set, feature| set | 1 << *feature as u32))
    }

    pub(super) fn states(&self, features: &Features) -> States {
        let changeable = self.set(&features.changeable);
        let never = self.set(&features.never_changed);
        States {
            active: self.set(&features.active),
            wanted: self.set(&features.wanted),
            changeable: Set(changeable.0 & !never.0),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set(u32);

impl Set {
    fn contains(self, feature: Feature) -> bool {
        self.0 >> feature as u32 & 1 == 1
    }
}

/// Features of an interface. One that the kernel does not have is off and
/// fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    active: Set,
    wanted: Set,
    changeable: Set,
}

impl States {
    /// Those of an interface of a kernel with such names.
    pub fn of(names: &FeatureNames, features: &Features) -> Self {
        Bits::of(names).states(features)
    }

    /// It is on.
    pub fn is_on(&self, feature: Feature) -> bool {
        self.active.contains(feature)
    }

    /// Somebody asked for it.
    pub fn is_wanted(&self, feature: Feature) -> bool {
        self.wanted.contains(feature)
    }

    /// It cannot be switched here.
    pub fn is_fixed(&self, feature: Feature) -> bool {
        !self.changeable.contains(feature)
    }

    /// It is off and can be switched.
    pub fn can_be_turned_on(&self, feature: Feature) -> bool {
        !self.is_on(feature) && !self.is_fixed(feature)
    }
}
