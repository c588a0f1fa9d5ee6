//! Offload features of an interface, and what its guest accepts of them.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::sample::{
    self, Kind,
    offloads::{FeatureNames, Features},
};

/// Features that concern segmentation, checksums and merging, as the kernel
/// calls them and `ethtool -k` prints them, with the name by which `ethtool -K`
/// takes them together.
pub const OFFLOADS: [(&str, &str); 32] = [
    ("tx-checksum-ipv4", "tx"),
    ("tx-checksum-ip-generic", "tx"),
    ("tx-checksum-ipv6", "tx"),
    ("tx-checksum-fcoe-crc", "tx"),
    ("tx-checksum-sctp", "tx"),
    ("tx-scatter-gather", "sg"),
    ("tx-scatter-gather-fraglist", "sg"),
    ("tx-tcp-segmentation", "tso"),
    ("tx-tcp-ecn-segmentation", "tso"),
    ("tx-tcp-accecn-segmentation", "tso"),
    ("tx-tcp-mangleid-segmentation", "tso"),
    ("tx-tcp6-segmentation", "tso"),
    ("tx-udp-fragmentation", "ufo"),
    ("tx-udp-segmentation", "uso"),
    ("tx-generic-segmentation", "gso"),
    ("tx-gso-robust", ""),
    ("tx-gso-partial", ""),
    ("tx-gso-list", ""),
    ("tx-gre-segmentation", ""),
    ("tx-gre-csum-segmentation", ""),
    ("tx-ipxip4-segmentation", ""),
    ("tx-ipxip6-segmentation", ""),
    ("tx-udp_tnl-segmentation", ""),
    ("tx-udp_tnl-csum-segmentation", ""),
    ("tx-sctp-segmentation", ""),
    ("tx-esp-segmentation", ""),
    ("rx-checksum", "rx"),
    ("rx-gro", "gro"),
    ("rx-gro-list", ""),
    ("rx-gro-hw", ""),
    ("rx-udp-gro-forwarding", ""),
    ("rx-lro", "lro"),
];

/// Features that a guest's driver accepts or declines (`TUNSETOFFLOAD`): the
/// kernel then asks for the accepted ones and no others.
pub(crate) const NEGOTIATED: [&str; 7] = [
    CHECKSUM,
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp6-segmentation",
    "tx-udp-segmentation",
    "tx-udp_tnl-segmentation",
    "tx-udp_tnl-csum-segmentation",
];
const CHECKSUM: &str = "tx-checksum-ip-generic";
const SCATTER_GATHER: &str = "tx-scatter-gather";
/// The kernel takes it away from an interface without any other TSO.
const ECN: &str = "tx-tcp-ecn-segmentation";

/// Why it cannot be said of some features whether a guest accepts them.
const UNKNOWN: &str = "off and not asked for: the guest's driver declined it when it last \
    negotiated, or somebody has switched it off since, or what it needs is off; the kernel does \
    not tell these apart";
/// Why it cannot be said of a macvtap.
pub(super) const MACVTAP: &str = "a macvtap does not show what its guest accepts";

/// Features of an interface, by the kernel's names; only those that concern
/// segmentation, checksums and merging, and that the kernel has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Offloads {
    /// Groups of `ethtool -K` of which something is on.
    pub active_groups: Vec<&'static str>,
    /// What is on.
    pub active: OnOff,
    /// What is asked for, of those that can be switched here. What is asked for
    /// and off is not possible: another feature it needs is off, or the guest's
    /// driver declines it.
    pub wanted: OnOff,
    /// What cannot be switched here.
    pub fixed: Vec<&'static str>,
    /// What the guest's driver accepts to receive; of taps only.
    #[serde(skip_serializing_if = "Guest::is_absent")]
    pub accepted_by_guest: Guest,
}

/// Features, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OnOff {
    /// On.
    pub on: Vec<&'static str>,
    /// Off.
    pub off: Vec<&'static str>,
}

/// What can be said of the guest behind an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Guest {
    /// The interface has no guest behind it.
    #[default]
    Absent,
    /// It has one, of which the interface shows nothing.
    Hidden,
    /// It has one.
    Negotiated(Accepted),
}

impl Guest {
    fn is_absent(&self) -> bool {
        *self == Self::Absent
    }
}

/// Features by whether the guest's driver accepts them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// It does: they are on.
    pub yes: Vec<&'static str>,
    /// It does not, or no driver has negotiated yet: they are asked for, nothing
    /// else keeps them off, and they are off.
    pub no: Vec<&'static str>,
    /// It may or may not.
    pub unknown: Vec<&'static str>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_because: Option<&'static str>,
}

/// The features of interfaces. Most taps of a host have the same, which are
/// made once.
#[derive(Default)]
pub(super) struct Catalogue {
    made: Mutex<Vec<(Key, Arc<Offloads>)>>,
}

/// What decides how features are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    features: Features,
    is_tap: bool,
    is_macvtap: bool,
}

impl Catalogue {
    /// Of an interface, if they are known.
    pub(super) fn get(
        &self,
        interface: &sample::Interface,
        names: &FeatureNames,
    ) -> Option<Arc<Offloads>> {
        let key = Key::of(interface)?;
        // What a panic left is whole.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, offloads)) = made.iter().find(|(known, _)| *known == key) {
            return Some(Arc::clone(offloads));
        }
        let offloads = Arc::new(offloads(key, names));
        made.push((key, Arc::clone(&offloads)));
        Some(offloads)
    }
}

impl Key {
    fn of(interface: &sample::Interface) -> Option<Self> {
        Some(Self {
            features: *interface.offloads.features.known()?,
            is_tap: interface.kind == Kind::Tap,
            is_macvtap: interface.kind.name() == "macvtap",
        })
    }
}

fn offloads(key: Key, names: &FeatureNames) -> Offloads {
    let features = &key.features;
    let mut offloads = Offloads {
        accepted_by_guest: match (key.is_tap, key.is_macvtap) {
            (true, _) => Guest::Negotiated(accepted(features, names)),
            (_, true) => Guest::Hidden,
            _ => Guest::Absent,
        },
        ..Offloads::default()
    };
    for (name, group) in OFFLOADS {
        let Some(bit) = names.bit(name) else {
            continue;
        };
        let is_active = features.active.contains(bit);
        offloads.active.add(name, is_active);
        if is_active && !group.is_empty() && !offloads.active_groups.contains(&group) {
            offloads.active_groups.push(group);
        }
        if features.is_fixed(bit) {
            offloads.fixed.push(name);
        } else {
            offloads.wanted.add(name, features.wanted.contains(bit));
        }
    }
    offloads
}

impl OnOff {
    fn add(&mut self, name: &'static str, on: bool) {
        let list = if on { &mut self.on } else { &mut self.off };
        list.push(name);
    }
}

/// A feature is on only if it is asked for, the guest accepts it, and what it
/// needs is on.
fn accepted(features: &Features, names: &FeatureNames) -> Accepted {
    let is_active = |name| {
        names
            .bit(name)
            .is_some_and(|bit| features.active.contains(bit))
    };
    let mut accepted = Accepted::default();
    for name in NEGOTIATED {
        let Some(bit) = names.bit(name).filter(|bit| !features.is_fixed(*bit)) else {
            continue;
        };
        let needs: &[&str] = match name {
            CHECKSUM => &[],
            _ => &[CHECKSUM, SCATTER_GATHER],
        };
        let is_possible = needs.iter().all(|needed| is_active(*needed))
            && (name != ECN
                || is_active("tx-tcp-segmentation")
                || is_active("tx-tcp6-segmentation"));
        let list = if features.active.contains(bit) {
            &mut accepted.yes
        } else if features.wanted.contains(bit) && is_possible {
            &mut accepted.no
        } else {
            &mut accepted.unknown
        };
        list.push(name);
    }
    // No driver can accept anything else without checksums.
    if accepted.no.contains(&CHECKSUM) {
        accepted.no.append(&mut accepted.unknown);
    }
    accepted.unknown_because = (!accepted.unknown.is_empty()).then_some(UNKNOWN);
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::offloads::FeatureSet;

    /// The features of a tap, and one it has not.
    const NAMES: [&str; 7] = [
        "tx-scatter-gather",
        CHECKSUM,
        "tx-tcp-segmentation",
        ECN,
        "tx-tcp6-segmentation",
        "rx-gro",
        "rx-lro",
    ];

    fn set(names: &[&str]) -> FeatureSet {
        let bit = |name: &&str| {
            NAMES
                .iter()
                .position(|known| known == name)
                .expect("a name")
        };
        let word = names.iter().fold(0, |word, name| word | 1_u32 << bit(name));
        FeatureSet::from_words(&[word]).expect("one word")
    }

    fn tap(wanted: &[&str], active: &[&str]) -> Offloads {
        let features = Features {
            changeable: set(&NAMES[..6]),
            wanted: set(wanted),
            active: set(active),
            never_changed: set(&[]),
        };
        let names = FeatureNames(NAMES.map(String::from).to_vec());
        offloads(key(features, true, false), &names)
    }

    fn key(features: Features, is_tap: bool, is_macvtap: bool) -> Key {
        Key {
            features,
            is_tap,
            is_macvtap,
        }
    }

    fn guest(wanted: &[&str], active: &[&str]) -> Accepted {
        match tap(wanted, active).accepted_by_guest {
            Guest::Negotiated(accepted) => accepted,
            other => panic!("a tap has a guest: {other:?}"),
        }
    }

    const TSO: [&str; 3] = ["tx-tcp-segmentation", ECN, "tx-tcp6-segmentation"];

    #[test]
    fn what_is_on_is_accepted_and_grouped() {
        let all = tap(&NAMES[..6], &NAMES[..6]);
        assert_eq!(all.active_groups, ["tx", "sg", "tso", "gro"]);
        assert_eq!(all.fixed, ["rx-lro"]);
        assert_eq!(all.active.off, ["rx-lro"]);
        assert_eq!(all.wanted.off, [""; 0]);
        let accepted = guest(&NAMES[..6], &NAMES[..6]);
        assert_eq!(accepted.yes, [&[CHECKSUM][..], &TSO].concat());
        assert_eq!((accepted.no, accepted.unknown), (vec![], vec![]));
    }

    #[test]
    fn before_a_driver_negotiates_all_is_asked_for_and_nothing_accepted() {
        let accepted = guest(&NAMES[..6], &["tx-scatter-gather", "rx-gro"]);
        assert_eq!(accepted.yes, [""; 0]);
        assert_eq!(accepted.no, [&[CHECKSUM][..], &TSO].concat());
    }

    #[test]
    fn asked_for_by_an_administrator_and_off_is_declined() {
        let on = ["tx-scatter-gather", CHECKSUM];
        let accepted = guest(&["tx-scatter-gather", CHECKSUM, "tx-tcp-segmentation"], &on);
        assert_eq!(accepted.yes, [CHECKSUM]);
        assert_eq!(accepted.no, ["tx-tcp-segmentation"]);
        assert_eq!(accepted.unknown, [ECN, "tx-tcp6-segmentation"]);
    }

    #[test]
    fn declined_or_switched_off_is_not_told_apart() {
        let on = ["tx-scatter-gather", CHECKSUM];
        let accepted = guest(&on, &on);
        assert_eq!(accepted.unknown, TSO);
        assert_eq!(accepted.unknown_because, Some(UNKNOWN));
    }

    #[test]
    fn what_is_off_for_want_of_another_is_not_declined() {
        // An administrator switched scatter-gather off: TSO goes with it.
        let wanted = [&[CHECKSUM][..], &TSO].concat();
        let accepted = guest(&wanted, &[CHECKSUM]);
        assert_eq!((accepted.no, accepted.unknown), (vec![], TSO.to_vec()));
        // ECN alone is no TSO.
        let on = ["tx-scatter-gather", CHECKSUM];
        let accepted = guest(&["tx-scatter-gather", CHECKSUM, ECN], &on);
        assert_eq!(accepted.no, [""; 0]);
    }

    #[test]
    fn only_taps_speak_of_a_guest() {
        let features = Features::default();
        let names = FeatureNames::default();
        let json = |is_tap, is_macvtap| {
            let shown = offloads(key(features, is_tap, is_macvtap), &names);
            serde_json::to_value(shown).expect("JSON")
        };
        assert_eq!(json(false, false).get("accepted_by_guest"), None);
        assert!(json(false, true)["accepted_by_guest"].is_null());
        assert!(json(true, false)["accepted_by_guest"]["yes"].is_array());
    }
}
