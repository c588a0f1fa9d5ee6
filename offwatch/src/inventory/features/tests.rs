//! Against messages of Linux 6.18, and what `ethtool -k` printed of the same
//! moment.

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_generic::GenlMessage;

use super::*;

const NAMES: &[u8] = include_bytes!("../../../tests/data/inventory/ethtool/feature-names.bin");
const FEATURES: &[u8] = include_bytes!("../../../tests/data/inventory/ethtool/features.bin");
const CHANGED: &[u8] = include_bytes!("../../../tests/data/inventory/ethtool/features-changed.bin");
const ETHTOOL: &str = include_str!("../../../tests/data/inventory/ethtool/features.txt");

/// Bytes written as hexadecimal digits.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().as_chunks::<2>().0.iter();
    digits
        .map(|pair| str::from_utf8(pair).expect("ASCII"))
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
        .collect()
}

fn message(bytes: &[u8]) -> Message {
    let message = NetlinkMessage::<GenlMessage<Message>>::deserialize(bytes).expect("a message");
    match message.payload {
        NetlinkPayload::InnerMessage(message) => message.payload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn features_are_those_that_ethtool_prints() {
    let names = message(NAMES).feature_names().expect("names");
    let features = message(FEATURES).features().expect("features");
    let mut compared = 0;
    for line in ETHTOOL.lines().skip(1) {
        let (name, state) = line.trim().split_once(": ").expect("NAME: STATE");
        // Of the old names there is no feature.
        let Some(bit) = names.bit(name) else {
            continue;
        };
        let active = features.active.contains(bit);
        let wanted = features.wanted.contains(bit);
        let expected = match (active, features.is_fixed(bit), wanted) {
            (true, true, _) => "on [fixed]",
            (false, true, _) => "off [fixed]",
            (true, false, true) => "on",
            (false, false, false) => "off",
            (true, false, false) => "on [requested off]",
            (false, false, true) => "off [requested on]",
        };
        assert_eq!(state, expected, "{name}");
        compared += 1;
    }
    assert!(compared > 40, "{compared}");
    // ethtool prints this one by its old name.
    let gro = names.bit("rx-gro").expect("the kernel has it");
    assert!(!features.active.contains(gro) && !features.is_fixed(gro));
    assert_eq!(names.bit("tx-scatter-gather"), Some(0));
}

#[test]
fn a_notification_names_its_interface() {
    assert!(message(CHANGED).is_features_changed());
    assert_eq!(message(CHANGED).ifindex().expect("an ifindex"), 2);
    assert!(!message(FEATURES).is_features_changed());
    let names = message(NAMES).feature_names().expect("names");
    let tso = names.bit("tx-tcp-segmentation").expect("the kernel has it");
    let features = message(CHANGED).features().expect("features");
    assert!(!features.active.contains(tso) && !features.wanted.contains(tso));
}

#[test]
fn damaged_messages_are_refused() {
    assert!(message(NAMES).features().is_err());
    assert!(message(FEATURES).feature_names().is_err());
    for bytes in [NAMES, FEATURES] {
        // The header says how long the rest is, so it is cut inside.
        for cut in (20..bytes.len()).step_by(4) {
            let mut cut = bytes[..cut].to_vec();
            let length = u32::try_from(cut.len()).expect("short").to_ne_bytes();
            cut[..4].copy_from_slice(&length);
            let message = message(&cut);
            assert!(message.features().is_err() && message.feature_names().is_err());
        }
    }
}
