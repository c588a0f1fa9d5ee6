//! Offloads that changed within the window.

use crate::advise::{
    advice::{Confidence, Unit, Verdict},
    make,
    need::Need,
    rule::{Check, Family, Finding, On, Rule},
    window::{Feature, Port, Window},
};

pub(super) static MIXED_WINDOW: Rule = Rule {
    id: "mixed-window",
    family: Family::Offer,
    title: "Offloads of an interface changed within the window: its figures mix two states",
    mechanism: "A guest that boots, reloads its driver or changes its offloads negotiates anew, \
        and the host's settings of the tap go with it",
    trigger: "The kernel told of changed features within the window, or they differ at its ends.",
    remedy: "Look again when nothing changes. Other rules say nothing about this interface now.",
    cost: "None.",
    wrong_when: "never",
    sources: &[
        "Linux, drivers/net/tun.c: set_offload rewrites what is wanted",
        "offwatch's own measurement: a guest's boot makes 3 changes within 90 us",
    ],
    confidence: Confidence::High,
    needs: &[Need::Features],
    check: Check::Port(On::Any, mixed),
    holds_in_mixed_windows: true,
    ..Rule::BASE
};

fn mixed(_: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    // A bridge recomputes its features as those of its ports change.
    if !port.is_mixed() || On::Bridge.includes(port) || tso_went_off(port) {
        return None;
    }
    let changes = port.features_changed.unwrap_or(1).max(1);
    let text = format!(
        "offloads of {} changed {changes} times in the window: no other verdict, look again",
        port.dev(),
    );
    Some(Finding::new(Verdict::CannotSee, text).measured([make::told(
        "changes of features",
        changes as f64,
        Unit::Events,
        "ethtool netlink",
    )]))
}

pub(super) static TSO_WENT_OFF: Rule = Rule {
    id: "tso-went-off",
    family: Family::Offer,
    title: "TSO of a tap went off within the window, by its guest or by somebody",
    mechanism: "A guest that loads an XDP program, or a driver without TSO, takes back what it \
        accepted; so does an administrator's ethtool",
    trigger: "TSO of a tap was on at the beginning of the window and is off at its end.",
    remedy: "Find out who did it. If the guest loaded an XDP program, leave it: TSO cannot be \
        had with it.",
    cost: "The host cuts for the guest from now on; the next window tells how much.",
    wrong_when: "the guest is booting: it accepts TSO a moment later",
    sources: &[
        "Linux commit 108d9c71dcff: XDP needs guest_tso4 off",
        "Linux commits a02e8964eaf9 and e59ff2c49ae1: virtio-net clears guest offloads for XDP",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Features],
    check: Check::Port(On::Tap, went_off),
    holds_in_mixed_windows: true,
    ..Rule::BASE
};

fn tso_went_off(port: &Port<'_>) -> bool {
    let before = port.features_before;
    port.is_tap()
        && before.is_some_and(|states| states.is_on(Feature::Tso))
        && port.is_off(Feature::Tso)
}

fn went_off(_: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    if !tso_went_off(port) {
        return None;
    }
    let text = format!(
        "TSO of {} went off in the window: by the guest (XDP, driver) or by ethtool",
        port.dev(),
    );
    Some(Finding::new(Verdict::CannotSee, text).measured([make::feature(port, Feature::Tso)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    const TSO: [Feature; 3] = [Feature::Tso, Feature::TsoEcn, Feature::Tso6];

    fn tap() -> Made {
        Made::tap("vnet1", 8)
            .vm("db")
            .to(Frames::plain(80_000, 1514))
            .cut(80_000)
    }

    #[test]
    fn a_mixed_window_gets_no_other_verdict() {
        let report = Scene::default().with(tap().off(&TSO).changed(3)).report();
        let about: Vec<&str> = report.advice.iter().map(|advice| &*advice.rule).collect();
        assert_eq!(about, ["mixed-window"]);
        let steady = Scene::default().with(tap().off(&TSO)).report();
        assert!(
            steady
                .advice
                .iter()
                .all(|advice| advice.rule != "mixed-window")
        );
        assert!(
            steady
                .advice
                .iter()
                .any(|advice| advice.rule == "tap-no-tso")
        );
    }

    #[test]
    fn tso_that_went_off_is_told_apart() {
        let on = [&TSO[..], &[Feature::TxChecksum, Feature::ScatterGather]].concat();
        let went = || tap().off(&TSO).began_with(&on).changed(1);
        let scene = || Scene::default().with(went());
        assert_eq!(scene().advice(&TSO_WENT_OFF)[0].verdict, Verdict::CannotSee);
        assert_eq!(scene().advice(&MIXED_WINDOW), []);
        let came = Scene::default().with(tap().changed(1));
        assert_eq!(came.advice(&TSO_WENT_OFF), []);
    }
}
