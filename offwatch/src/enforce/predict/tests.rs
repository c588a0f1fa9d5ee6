use super::*;

const NAMES: [&str; 15] = [
    "tx-scatter-gather",
    "tx-checksum-ipv4",
    "tx-checksum-ip-generic",
    "tx-checksum-ipv6",
    "tx-generic-segmentation",
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
    "tx-udp-segmentation",
    "rx-checksum",
    "rx-gro-hw",
    "rx-lro",
    "tx-gso-partial",
    "rx-udp-gro-forwarding",
];

fn names() -> FeatureNames {
    FeatureNames(NAMES.map(String::from).to_vec())
}

/// Features by the words of their names that tell them apart here.
fn set(short: &str) -> FeatureSet {
    let bit = |short: &str| match short {
        "sg" => 0,
        "v4" => 1,
        "csum" => 2,
        "v6" => 3,
        "gso" => 4,
        "tso" => 5,
        "ecn" => 6,
        "mangle" => 7,
        "tso6" => 8,
        "uso" => 9,
        "rx" => 10,
        "hwgro" => 11,
        "lro" => 12,
        "partial" => 13,
        other => panic!("{other}"),
    };
    short.split_whitespace().map(bit).collect()
}

fn features(changeable: &str, wanted: &str, active: &str) -> Features {
    Features {
        changeable: set(changeable),
        wanted: set(wanted),
        active: set(active),
        never_changed: set(""),
    }
}

fn request(on: &str, off: &str) -> Request {
    Request {
        mask: set(on) | set(off),
        on: set(on),
    }
}

fn because(prediction: &Prediction, short: &str) -> Because {
    let bit = set(short).iter().next().expect("one");
    let mut unmet = prediction.unmet.iter();
    let found = unmet.find(|unmet| unmet.bit == bit);
    found.expect("unmet").because.clone()
}

const ALL: &str = "sg csum gso tso ecn mangle tso6 uso";

#[test]
fn what_needs_another_goes_and_comes_with_it() {
    let names = names();
    let on = features(ALL, ALL, ALL);
    let predicted = predict(&names, &Device::Other, &on, &request("", "csum"));
    assert_eq!(predicted.active, set("sg gso"));
    assert_eq!((predicted.uncertain, predicted.unmet), (set(""), vec![]));
    let predicted = predict(&names, &Device::Other, &on, &request("", "sg"));
    assert_eq!(predicted.active, set("csum uso"));
    let predicted = predict(&names, &Device::Other, &on, &request("", "tso tso6"));
    assert_eq!(predicted.active, set("sg csum gso uso"), "no ECN alone");
    // It was not switched off itself.
    let off = features(ALL, "sg gso tso tso6 uso", "sg gso");
    let predicted = predict(&names, &Device::Other, &off, &request("csum", ""));
    assert_eq!(predicted.active, set("sg gso csum tso tso6 uso"));
}

#[test]
fn unmet_has_its_reason() {
    let names = names();
    let off = features(ALL, "gso", "");
    let asked = request("tso lro", "");
    let predicted = predict(&names, &Device::Other, &off, &asked);
    assert_eq!(because(&predicted, "tso"), Because::Needs(0));
    assert_eq!(because(&predicted, "lro"), Because::Fixed);
    assert_eq!(predicted.unmet.len(), 2);
    assert_eq!(
        unmet(&names, &Device::Other, &off)[0].because,
        Because::Needs(0)
    );
    // A card with checksums of its own for each protocol.
    let card = features("sg v4 v6 tso rx hwgro lro", "sg rx", "sg rx");
    let predicted = predict(&names, &Device::Other, &card, &request("tso", ""));
    assert_eq!(because(&predicted, "tso"), Because::Needs(1));
    let predicted = predict(&names, &Device::Other, &card, &request("lro hwgro", ""));
    assert_eq!(because(&predicted, "lro"), Because::Excludes(11));
    assert_eq!(predicted.active, set("sg rx hwgro"));
    let predicted = predict(&names, &Device::Other, &card, &request("v4 tso uso", ""));
    assert_eq!(predicted.active, set("sg rx v4 tso"));
    // ECN goes with the TSO that it came with, though the other one stays.
    let all = "sg v4 v6 tso ecn tso6";
    let card = features(all, all, all);
    let predicted = predict(&names, &Device::Other, &card, &request("", "v4"));
    assert_eq!(predicted.active, set("sg v6 tso6"));
    assert_eq!(predicted.uncertain, set(""));
}

#[test]
fn a_guests_driver_decides_about_a_tap() {
    let names = names();
    let tap = "sg csum gso tso ecn mangle tso6 uso";
    let none = features(tap, tap, "sg gso");
    let predicted = predict(&names, &Device::Tap, &none, &request("csum tso", "gso"));
    assert_eq!(predicted.active, set("sg"));
    let predicted = predict(
        &names,
        &Device::Tap,
        &none,
        &request("csum tso", "gso mangle"),
    );
    assert_eq!(because(&predicted, "csum"), Because::NotNegotiated);
    assert_eq!(because(&predicted, "tso"), Because::Needs(2));
    // It accepts TSO: off, and on again.
    let some = features(tap, "sg csum gso tso", "sg csum gso tso");
    let predicted = predict(&names, &Device::Tap, &some, &request("", "tso"));
    assert_eq!(predicted.active, set("sg csum gso"));
    let known = negotiated(&names, &some);
    assert_eq!(known.accepted, set("csum tso"));
    assert_eq!(
        (known.declined, known.unknown),
        (set(""), set("ecn tso6 uso"))
    );
    // Declined, or switched off by somebody: not told apart.
    let predicted = predict(&names, &Device::Tap, &some, &request("tso6", ""));
    assert_eq!(predicted.active, some.active);
    assert_eq!(
        (predicted.uncertain, predicted.unmet),
        (set("tso6"), vec![])
    );
    // Without scatter-gather TSO is off and still wanted.
    let linear = features(tap, "csum tso", "csum");
    let predicted = predict(&names, &Device::Tap, &linear, &request("sg", ""));
    assert_eq!(predicted.active, set("sg csum tso"));
    assert_eq!(predicted.uncertain, set("tso"));
}

#[test]
fn what_the_kernel_does_not_tell_is_uncertain() {
    let mut older = names();
    older.0.push("tx-lockless".into());
    let on = features(ALL, ALL, ALL);
    let predicted = predict(&older, &Device::Other, &on, &request("", "csum"));
    assert_eq!(predicted.active, set("sg gso uso"));
    assert_eq!(predicted.uncertain, set("uso"));
    // This one has shown that it has no such rule.
    let shown = features(ALL, "sg uso gso", "sg uso gso");
    let predicted = predict(&older, &Device::Other, &shown, &request("", "gso"));
    assert_eq!(predicted.uncertain, set(""));
    // A card that may do a part of the segmentation only.
    let card = "sg csum uso partial";
    let card = features(card, card, card);
    let predicted = predict(&names(), &Device::Other, &card, &request("", "partial"));
    assert_eq!(predicted.uncertain, set("uso"));
}

#[test]
fn a_bridge_has_what_a_port_has() {
    let names = names();
    let bridge = |ports: &[&str]| Device::Bridge(ports.iter().map(|port| set(port)).collect());
    let before = features(ALL, ALL, ALL);
    let off = request("", "gso");
    let active = |device| predict(&names, &device, &before, &off).active;
    assert_eq!(active(bridge(&[])), set("sg csum tso ecn mangle tso6 uso"));
    assert_eq!(
        active(bridge(&["sg csum", "csum"])),
        set("sg csum tso ecn mangle tso6")
    );
    assert_eq!(active(bridge(&["csum", "uso"])), set("csum uso"));
    // Linux 5.10 did not ask the ports about this one.
    let mut older = names.clone();
    older.0.pop();
    let predicted = predict(&older, &bridge(&["sg csum"]), &before, &off);
    assert!(!(predicted.active & set("uso")).is_empty());
    let wanted = features(ALL, ALL, "csum");
    let unmet = unmet(&names, &bridge(&["csum"]), &wanted);
    let reason = |bit| unmet.iter().find(|unmet| unmet.bit == bit).expect("unmet");
    assert_eq!(reason(0).because, Because::Ports);
    assert_eq!(reason(5).because, Because::Needs(0));
}

#[test]
fn nothing_comes_of_nothing() {
    // The kernel computes nothing anew.
    let odd = features(ALL, "sg tso", "sg tso");
    let predicted = predict(&names(), &Device::Other, &odd, &request("tso", "lro"));
    assert_eq!(predicted.active, odd.active);
    assert_eq!(predicted.unmet, []);
}
