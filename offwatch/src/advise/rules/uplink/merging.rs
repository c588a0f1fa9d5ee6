//! Cards that merge badly.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        window::{Feature, Port, Window, ratio},
    },
    output::units::rate,
    sample::evidence::Sign,
};

const OVERSIZE: Threshold = Threshold {
    name: "frames longer than the MTU that are not GSO, from a card",
    value: 10.0,
    unit: "in the window",
    why: "no wire brings such a frame: the card merged it and lost how",
};

pub(super) static BAD_MERGE: Rule = Rule {
    id: "bad-merge",
    family: Family::Uplink,
    title: "A card merges what it receives to frames that cannot be cut again",
    mechanism: "A frame that hardware merged must say the size of its segments; without it, it \
        is too long for everything behind and is dropped or delivered broken",
    trigger: "An uplink delivers frames that exceed its MTU and are not GSO, or the kernel's log \
        suspects its GRO.",
    remedy: "LRO and GRO in hardware off; then GRO off. bnx2x: module option disable_tpa=1.",
    cost: "CPU time for what is received.",
    wrong_when: "the wire carries jumbo frames and only the host's MTU is small",
    sources: &[
        "Red Hat solution 20278",
        "floodlight/ivs#321",
        "Linux commit 1594712f9e54",
        "Linux, net/ipv4/tcp_input.c: Driver has suspect GRO implementation",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso, Need::Features],
    thresholds: &[&OVERSIZE],
    check: Check::Port(On::Uplink, bad_merge),
    ..Rule::BASE
};

fn bad_merge(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let frames = port.from.oversize_packets;
    let is_suspect = window.host.has_sign(Sign::SuspectGro);
    if (frames as f64) < OVERSIZE.value && !is_suspect {
        return None;
    }
    let merging = [Feature::Lro, Feature::GroHw];
    let mut off: Vec<Feature> = merging
        .into_iter()
        .filter(|feature| port.is_on(*feature))
        .collect();
    if off.is_empty() && is_suspect && port.is_on(Feature::Gro) {
        off.push(Feature::Gro);
    }
    // Nothing merges: then the wire carries them.
    if off.is_empty() {
        return None;
    }
    let text = match frames {
        0 => format!(
            "the kernel suspects the GRO of a card: {} merges in hardware",
            port.dev()
        ),
        frames => format!(
            "{} delivers {} frames/s longer than its MTU that are not GSO",
            port.dev(),
            rate(Some(window.per_s(frames))),
        ),
    };
    let features: Vec<(Feature, bool)> = off.iter().map(|feature| (*feature, false)).collect();
    let gro = make::set_features(window, port, &[(Feature::Gro, false)]);
    Some(
        Finding::new(Verdict::Change, text)
            .measured([make::counted(
                window,
                "frames that are too long",
                frames as f64,
                Unit::Frames,
            )])
            .measured(off.iter().map(|feature| make::feature(port, *feature)))
            .fix(make::set_features(window, port, &features))
            .fix(gro.when("if that does not end it")),
    )
}

const POOR: Threshold = Threshold {
    name: "mean segments of a merged frame below",
    value: 3.0,
    unit: "segments",
    why: "GRO merges bulk traffic to ten and more",
};
const BULK: Threshold = Threshold {
    name: "frames of full size from the card",
    value: 10_000.0,
    unit: "per second",
    why: "with less traffic there is little to merge",
};

pub(super) static BNXT_GRO: Rule = Rule {
    id: "bnxt-gro",
    family: Family::Uplink,
    title: "A Broadcom card of bnxt_en merges poorly in hardware",
    mechanism: "GRO in hardware of this card was reported to make very small frames, and VMs slow",
    trigger: "Driver bnxt_en with rx-gro-hw on, bulk traffic, and merged frames of few segments.",
    remedy: "Try rx-gro-hw off (software GRO stays on), and measure what VMs receive.",
    cost: "CPU time for what is received.",
    wrong_when: "the traffic is many short flows, which nothing merges",
    sources: &["Harvester knowledge base: BCM57508, GRO and GSO off"],
    confidence: Confidence::Low,
    needs: &[Need::Frames, Need::Gso, Need::Features, Need::Driver],
    thresholds: &[&POOR, &BULK],
    check: Check::Port(On::Uplink, bnxt),
    ..Rule::BASE
};

fn bnxt(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let segments = port.from.gso_segments;
    let mean = ratio(segments, port.from.gso_packets);
    let bulk = window.per_s(segments + port.from.single_packets());
    if port.driver()? != "bnxt_en"
        || !port.is_on(Feature::GroHw)
        || port.from.gso_packets == 0
        || mean >= POOR.value
        || bulk < BULK.value
    {
        return None;
    }
    let text = format!(
        "{} (bnxt_en) merges {mean:.1} segments a frame in hardware",
        port.dev()
    );
    Some(
        Finding::new(Verdict::NeedsTrial, text)
            .measured([make::feature(port, Feature::GroHw)])
            .fix(make::set_features(window, port, &[(Feature::GroHw, false)])),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn too_long_frames_are_a_fault_where_something_merges() {
        let says = |uplink: Made, frames| {
            let uplink = uplink.from(Frames::plain(frames, 4_000).oversize());
            Scene::default().with(uplink).advice(&BAD_MERGE)
        };
        let merging = || Made::uplink("eth0", 2, "bnx2x").on(&[Feature::Lro]);
        assert_eq!(says(merging(), 10).len(), 1);
        assert_eq!(says(merging(), 9), []);
        assert_eq!(
            says(Made::uplink("eth0", 2, "bnx2x"), 10),
            [],
            "jumbo frames of the wire"
        );
        let suspect = Scene::default()
            .with(Made::uplink("eth0", 2, "bnx2x").from(Frames::plain(10, 100)))
            .sign(Sign::SuspectGro, 1);
        assert_eq!(suspect.advice(&BAD_MERGE).len(), 1);
    }

    #[test]
    fn poor_merging_in_hardware_needs_a_trial() {
        let says = |driver: &str, segments| {
            let uplink = Made::uplink("eth0", 2, driver).on(&[Feature::GroHw]);
            let uplink = uplink.from(Frames::tcp(50_000, segments));
            Scene::default().with(uplink).advice(&BNXT_GRO)
        };
        assert_eq!(says("bnxt_en", 2)[0].verdict, Verdict::NeedsTrial);
        assert_eq!(says("bnxt_en", 3), []);
        assert_eq!(says("ice", 2), []);
    }
}
