//! One guest's lack, and others who seem to be at fault.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        rules::share,
        window::{Port, Window},
    },
    output::units::rate,
};

const WHOLE: Threshold = Threshold {
    name: "other ports that get GSO frames whole",
    value: 1.0,
    unit: "ports",
    why: "with none the bridge as a whole is slow, and no port stands out",
};

pub(super) static ONE_WEAK_PORT: Rule = Rule {
    id: "one-weak-port",
    family: Family::Offer,
    title: "Of all ports of a bridge, super-frames are cut for one",
    mechanism: "A Linux bridge passes super-frames on and the host cuts them at the one port that \
        does not take them: traffic between VMs that collapses does so at that port alone",
    trigger: "Segments are cut for exactly one tap of a bridge, while others get GSO frames whole.",
    remedy: "Fix that guest (the rule about its tap says how). Never switch the others off, nor \
        the bridge.",
    cost: "Switching all ports off would make every guest as slow as the weak one.",
    wrong_when: "the bridge is not Linux's: on macOS vmnet one weak VM slows the others",
    sources: &[
        "minikube#22962",
        "Linux, net/core/dev.c: validate_xmit_skb acts for each port",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Gso, Need::Work],
    thresholds: &[&WHOLE, &share::CUT_RATE, &share::CUT_SHARE],
    check: Check::Port(On::Bridge, weak_port),
    ..Rule::BASE
};

fn weak_port(window: &Window<'_>, bridge: &Port<'_>) -> Option<Finding> {
    let taps = || window.members(bridge).filter(|port| port.is_tap());
    let mut cut = taps().filter(|port| share::is_cut(window, port));
    let (weak, None) = (cut.next()?, cut.next()) else {
        return None;
    };
    let whole = taps().filter(|port| port.cut() == 0 && port.to.gso_packets != 0);
    let whole = whole.count();
    if (whole as f64) < WHOLE.value {
        return None;
    }
    let name = window.vm_of(weak).map_or(weak.dev(), |vm| vm.name);
    let text = format!(
        "only {name} ({}) has frames cut, {} segments/s; {whole} other ports get theirs whole: \
         leave those and {} alone",
        weak.dev(),
        rate(Some(window.per_s(weak.cut()))),
        bridge.dev(),
    );
    Some(Finding::new(Verdict::Keep, text).measured([make::cut(window, weak)]))
}

pub(super) static CAUSES_OTHERS_COST: Rule = Rule {
    id: "causes-others-cost",
    family: Family::Offer,
    title: "Frames of a VM are cut for others: the sender is not at fault",
    mechanism: "Work is done where a receiver lacks an offload, on the CPU of whoever sends; a \
        sender that uses TSO only shows it",
    trigger: "Many segments are cut, on the way to others, for frames of this VM.",
    remedy: "Leave the sender's TSO on. The rule about the receiver says what to do there.",
    cost: "TSO off at the sender moves the work into the guest, and to all its traffic.",
    wrong_when: "the receiver cannot be changed, and nobody else sends to or receives from either",
    sources: &[
        "Linux, net/core/dev.c: validate_xmit_skb",
        "offwatch's own measurement: sender \
        TSO off 2.3 to 2.7, receiver TSO off 2.6 to 3.1 of 6.8 to 9.1 Gbit/s",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Work],
    thresholds: &[&share::CUT_RATE],
    check: Check::Port(On::Tap, causes),
    ..Rule::BASE
};

fn causes(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let per_s = window.per_s(port.caused_cut());
    if per_s < share::CUT_RATE.value || port.caused_cut() <= port.cut() {
        return None;
    }
    let text = format!(
        "{} segments/s are cut for others from frames of {}: the receivers lack an offload",
        rate(Some(per_s)),
        port.dev(),
    );
    Some(Finding::new(Verdict::Keep, text).measured([make::counted(
        window,
        "segments cut for its frames",
        per_s,
        Unit::SegmentsPerS,
    )]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        advice::Level,
        testing::{Frames, Made, Scene},
        window::Feature,
    };

    fn scene(cut_for: [u64; 3], caused: u64) -> Scene {
        let tap = |index: usize| {
            let tap = Made::tap(&format!("vnet{index}"), 10 + index as u32);
            tap.vm(&format!("vm{index}")).master(3)
        };
        let mut scene = Scene::default().with(Made::bridge("br0", 3));
        for (index, cut) in cut_for.into_iter().enumerate() {
            let tap = match cut {
                0 => tap(index).to(Frames::tcp(1_000, 40)),
                cut => tap(index)
                    .off(&[Feature::Tso])
                    .to(Frames::plain(cut, 1514))
                    .cut(cut),
            };
            scene = scene.with(tap);
        }
        scene.with(tap(3).from(Frames::tcp(2_000, 40)).caused(caused))
    }

    #[test]
    fn one_weak_port_is_named_and_the_bridge_is_left_alone() {
        let found = scene([80_000, 0, 0], 80_000).advice(&ONE_WEAK_PORT);
        assert_eq!(found[0].subject.level, Level::Bridge);
        assert_eq!(found[0].verdict, Verdict::Keep);
        assert!(
            found[0].finding.starts_with("only vm0 (vnet0)"),
            "{}",
            found[0].finding
        );
        assert_eq!(scene([80_000, 80_000, 0], 1).advice(&ONE_WEAK_PORT), []);
        assert_eq!(scene([0, 0, 0], 0).advice(&ONE_WEAK_PORT), []);
    }

    #[test]
    fn the_sender_is_not_at_fault() {
        let found = scene([50_000, 0, 0], 50_000).advice(&CAUSES_OTHERS_COST);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].subject.name(), "vm3");
        assert_eq!(
            scene([50_000, 0, 0], 49_990).advice(&CAUSES_OTHERS_COST),
            []
        );
    }
}
