//! Flags that do nothing for what passes.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule},
        rules::share::FEWEST,
        window::{Feature, Port, Window},
    },
    output::units::rate,
};

pub(super) static BRIDGE_FLAGS: Rule = Rule {
    id: "bridge-flags",
    family: Family::Trap,
    title: "Offloads of a bridge are off, which does nothing for what it forwards",
    mechanism: "Frames that a bridge forwards never pass its own device: only what the host \
        itself sends through it does",
    trigger: "TSO, checksums or scatter-gather of a bridge are off, while its ports carry GSO \
        frames.",
    remedy: "Leave it. Advice to switch a bridge's offloads off, or on, is about the host's own \
        traffic alone.",
    cost: "None for VMs.",
    wrong_when: "the host itself sends much through the bridge: then switch them on",
    sources: &[
        "Linux, net/bridge/br_device.c: br_features_recompute",
        "offwatch's own measurement: no change for bridged frames with tx, TSO and GSO of the \
         bridge off",
    ],
    confidence: Confidence::High,
    needs: &[Need::Gso, Need::Features],
    thresholds: &[&FEWEST],
    check: Check::Port(On::Bridge, bridge_flags),
    ..Rule::BASE
};

fn bridge_flags(window: &Window<'_>, bridge: &Port<'_>) -> Option<Finding> {
    const LOOKED_AT: [Feature; 3] = [Feature::TxChecksum, Feature::ScatterGather, Feature::Tso];
    let off = LOOKED_AT
        .into_iter()
        .filter(|feature| bridge.is_off(*feature));
    let off: Vec<&str> = off.map(Feature::name).collect();
    let gso = window.members(bridge).map(|port| port.from.gso_packets);
    let gso: u64 = gso.sum();
    if off.is_empty() || (gso as f64) < FEWEST.value {
        return None;
    }
    let text = format!(
        "{} of {} off, and {} GSO frames/s pass it whole all the same",
        off.join(", "),
        bridge.dev(),
        rate(Some(window.per_s(gso))),
    );
    Some(Finding::new(Verdict::Keep, text).measured([make::counted(
        window,
        "GSO frames into the bridge",
        gso as f64,
        Unit::Frames,
    )]))
}

pub(super) static INGRESS_TAP_FLAGS: Rule = Rule {
    id: "ingress-tap-flags",
    family: Family::Trap,
    title: "TSO of a tap is off, which does nothing for what its guest sends",
    mechanism: "Features of a tap are about frames to the guest; what the guest sends comes as \
        its own driver makes it",
    trigger: "TSO or checksums of a tap are off, its guest sends GSO frames, and next to nothing \
        is cut or summed on the way to it.",
    remedy: "Leave it, or switch it on again: it neither helps nor harms as long as the guest \
        receives little.",
    cost: "None now.",
    wrong_when: "the guest is about to receive much",
    sources: &[
        "Linux, drivers/net/tun.c",
        "offwatch's own measurement: a 20 kB GSO frame came \
        through a tap with csum, SG, TSO, GSO and GRO off whole",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso, Need::Work, Need::Features],
    thresholds: &[&FEWEST],
    check: Check::Port(On::Tap, ingress),
    ..Rule::BASE
};

fn ingress(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let is_off = port.is_off(Feature::Tso) || port.is_off(Feature::TxChecksum);
    let gso = port.from.gso_packets;
    if !is_off || (gso as f64) < FEWEST.value || port.cut() as f64 >= FEWEST.value {
        return None;
    }
    let text = format!(
        "TSO of {} is off, and its guest sends {} GSO frames/s all the same",
        port.dev(),
        rate(Some(window.per_s(gso))),
    );
    Some(Finding::new(Verdict::Keep, text).measured([make::counted(
        window,
        "GSO frames from the guest",
        gso as f64,
        Unit::Frames,
    )]))
}

pub(super) static TAP_GSO_FLAG: Rule = Rule {
    id: "tap-gso-flag",
    family: Family::Trap,
    title: "GSO of a tap is off, which does nothing for VMs",
    mechanism: "tx-generic-segmentation is looked at for sockets of the host alone; frames of \
        guests are cut, or not, by the TSO flags",
    trigger: "tx-generic-segmentation of a tap is off, its TSO is on, and GSO frames reach the \
        guest.",
    remedy: "Leave it, or switch it on again.",
    cost: "None.",
    wrong_when: "the host itself sends much to the guest: its TCP then prepares frames as if cut",
    sources: &[
        "Linux, net/core/sock.c: sk_setup_caps",
        "Linux commit 0a6b2a1dc2a2",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso, Need::Features],
    thresholds: &[&FEWEST],
    check: Check::Port(On::Tap, gso_flag),
    ..Rule::BASE
};

fn gso_flag(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let gso = port.to.gso_packets;
    if !port.is_off(Feature::Gso) || !port.is_on(Feature::Tso) || (gso as f64) < FEWEST.value {
        return None;
    }
    let text = format!(
        "GSO of {} is off, and {} GSO frames/s reach the guest all the same",
        port.dev(),
        rate(Some(window.per_s(gso))),
    );
    Some(Finding::new(Verdict::Keep, text).measured([make::counted(
        window,
        "GSO frames to the guest",
        gso as f64,
        Unit::Frames,
    )]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn flags_of_a_bridge_are_a_red_herring() {
        let says = |bridge: Made, frames| {
            let tap = Made::tap("vnet0", 7)
                .vm("web")
                .master(3)
                .from(Frames::tcp(frames, 40));
            Scene::default()
                .with(bridge)
                .with(tap)
                .advice(&BRIDGE_FLAGS)
        };
        let bridge = || Made::bridge("br0", 3);
        let found = says(bridge().off(&[Feature::Tso]), 100);
        assert_eq!(found[0].verdict, Verdict::Keep);
        assert_eq!(found[0].fixes, []);
        assert_eq!(says(bridge().off(&[Feature::Tso]), 99), []);
        assert_eq!(says(bridge(), 100), []);
    }

    #[test]
    fn flags_of_a_tap_do_nothing_for_what_its_guest_sends() {
        let says = |tap: Made, frames| {
            let tap = tap.vm("web").from(Frames::tcp(frames, 40));
            Scene::default().with(tap).advice(&INGRESS_TAP_FLAGS)
        };
        let off = || Made::tap("vnet0", 7).off(&[Feature::Tso]);
        assert_eq!(says(off(), 100)[0].verdict, Verdict::Keep);
        assert_eq!(says(off(), 99), []);
        assert_eq!(says(off().cut(100), 100), [], "now it costs");
        assert_eq!(says(Made::tap("vnet0", 7), 100), []);
    }

    #[test]
    fn gso_of_a_tap_does_nothing() {
        let says = |tap: Made, frames| {
            let tap = tap.vm("web").to(Frames::tcp(frames, 40));
            Scene::default().with(tap).advice(&TAP_GSO_FLAG)
        };
        let off = || Made::tap("vnet0", 7).off(&[Feature::Gso]);
        assert_eq!(says(off(), 100)[0].verdict, Verdict::Keep);
        assert_eq!(says(off(), 99), []);
        assert_eq!(says(Made::tap("vnet0", 7), 100), []);
    }
}
