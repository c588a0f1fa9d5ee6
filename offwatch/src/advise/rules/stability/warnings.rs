//! Guests whose frames the kernel complains of.

use offwatch_common::class;

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        window::{Port, Window},
    },
    output::units::rate,
    sample::evidence::Sign,
};

pub(super) static WARN_FLOOD: Rule = Rule {
    id: "warn-flood",
    family: Family::Stability,
    title: "A guest sends frames whose offload headers do not fit, and the kernel warns",
    mechanism: "skb_warn_bad_offload writes a long warning for a frame whose checksum or type \
        does not fit its GSO; a broken driver sends many, and the host can live-lock (the 'death \
        packet' of articles)",
    trigger: "The kernel's log got such a warning within the window.",
    remedy: "Take the offloads away from that VM alone, in its XML, and update its driver.",
    cost: "Only that VM cuts and sums its own frames.",
    wrong_when: "the frames come from a tunnel or driver of the host: then upgrade the kernel",
    sources: &[
        "GRNET snf-ganeti commit 8a534fbe: broken guest drivers, as of FreeBSD, flood the host \
         with warnings",
        "Linux, net/core/dev.c: skb_warn_bad_offload",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Log],
    check: Check::Host(flood),
    ..Rule::BASE
};

const ISOLATE: &str =
    "<driver><host gso='off' tso4='off' tso6='off' ecn='off' ufo='off' csum='off'/></driver>";

fn flood(window: &Window<'_>) -> Option<Finding> {
    if !window.host.has_sign(Sign::BadOffload) {
        return None;
    }
    let odd = |port: &Port<'_>| port.from.classes[class::OTHER] + port.drops.gso.unwrap_or(0);
    let mut odd_taps = window
        .ports
        .iter()
        .filter(|port| port.is_tap() && odd(port) != 0);
    let evidence = make::told("skb_warn_bad_offload", 1.0, Unit::Events, "kernel log");
    let (Some(tap), None) = (odd_taps.next(), odd_taps.next()) else {
        let text = "the kernel warns of frames whose offload headers do not fit; dmesg names the \
            devices";
        let look = "find the device in dmesg (skb_warn_bad_offload, dev=), then its VM";
        let fix = make::people(crate::advise::advice::Scope::LibvirtXml, look);
        let found = Finding::new(Verdict::NeedsTrial, text).measured([evidence]);
        return Some(found.confidence(Confidence::Low).fix(fix));
    };
    let text = format!(
        "the kernel warns of bad offload headers, and {} alone sends GSO frames of no known type",
        tap.dev(),
    );
    let found = Finding::new(Verdict::Change, text)
        .about(make::port(window, tap))
        .measured([
            evidence,
            make::counted(
                window,
                "frames of no known type",
                odd(tap) as f64,
                Unit::Frames,
            ),
        ]);
    let fixes = make::xml(window, tap, ISOLATE);
    Some(fixes.into_iter().fold(found, Finding::fix))
}

const DROPS: Threshold = Threshold {
    name: "frames that could not be cut",
    value: 10.0,
    unit: "in the window",
    why: "a device that goes away drops a few",
};

pub(super) static CANNOT_BE_CUT: Rule = Rule {
    id: "cannot-be-cut",
    family: Family::Stability,
    title: "Super-frames are dropped because they cannot be cut",
    mechanism: "A frame whose headers contradict its GSO fails in validate_xmit_skb, and is \
        dropped where the receiver does not take it whole",
    trigger: "Frames on the way to an interface were dropped inside validate_xmit_skb, or for GSO.",
    remedy: "Find the sender (a VM with a broken driver, or a tunnel of the host). Where a single \
        VM sends on that bridge, try its offloads off.",
    cost: "Only that VM cuts and sums its own frames.",
    wrong_when: "memory was short: then the drops end by themselves",
    sources: &["Linux, net/core/dev.c: validate_xmit_skb"],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Drops, Need::ValidateXmit],
    thresholds: &[&DROPS],
    check: Check::Port(On::Any, cannot_be_cut),
    ..Rule::BASE
};

fn cannot_be_cut(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let drops = port.drops.validate_xmit? + port.drops.gso.unwrap_or(0);
    if (drops as f64) < DROPS.value {
        return None;
    }
    let text = format!(
        "{} frames/s for {} were dropped because they could not be cut or summed",
        rate(Some(window.per_s(drops))),
        port.dev(),
    );
    let master = window.master(port);
    let senders = master.into_iter().flat_map(|master| window.members(master));
    let mut senders = senders.filter(|sender| {
        sender.is_tap() && sender.dev() != port.dev() && sender.from.gso_packets != 0
    });
    let found = Finding::new(Verdict::NeedsTrial, text).measured([make::counted(
        window,
        "frames dropped",
        drops as f64,
        Unit::Frames,
    )]);
    let (Some(sender), None) = (senders.next(), senders.next()) else {
        let look = "capture on the bridge (tcpdump -e) and look for odd header lengths";
        return Some(found.fix(make::people(crate::advise::advice::Scope::Host, look)));
    };
    let name = window.vm_of(sender).map_or(sender.dev(), |vm| vm.name);
    let guest = make::in_guest("ethtool -K IFACE tso off gso off");
    Some(found.fix(guest.when(format!("for a trial, of {name}, which sends them"))))
}

#[cfg(test)]
mod tests {
    use offwatch_common::drop_class;

    use super::*;
    use crate::advise::{
        advice::Scope,
        testing::{Frames, Made, Scene},
    };

    fn tap(index: u32, odd: u64) -> Made {
        let tap = Made::tap(&format!("vnet{index}"), 10 + index).vm(&format!("vm{index}"));
        tap.master(3)
            .from(Frames::tcp(100, 20))
            .from(Frames::tcp(odd, 2).class(class::OTHER))
    }

    #[test]
    fn a_warning_names_the_vm_if_only_one_sends_odd_frames() {
        let scene = |odd| Scene::default().with(tap(0, 5)).with(tap(1, odd));
        let found = scene(0).sign(Sign::BadOffload, 1).advice(&WARN_FLOOD);
        assert_eq!(found[0].subject.name(), "vm0");
        assert_eq!(found[0].fixes[0].scope, Scope::LibvirtXml);
        let both = scene(5).sign(Sign::BadOffload, 1).advice(&WARN_FLOOD);
        assert_eq!(both[0].verdict, Verdict::NeedsTrial);
        assert_eq!(scene(0).advice(&WARN_FLOOD), []);
    }

    #[test]
    fn frames_that_cannot_be_cut_are_told() {
        let says = |drops| {
            let to = tap(1, 0).dropped_for(drop_class::VALIDATE, drops);
            let scene = Scene::default().with(Made::bridge("br0", 3));
            scene.with(tap(0, 0)).with(to).advice(&CANNOT_BE_CUT)
        };
        let found = says(10);
        assert_eq!(found[0].subject.dev.as_deref(), Some("vnet1"));
        assert_eq!(found[0].fixes[0].scope, Scope::Guest);
        let when = found[0].fixes[0].when.as_deref();
        assert!(when.is_some_and(|when| when.contains("vm0")), "{when:?}");
        assert_eq!(says(9), []);
    }
}
