//! Frames with equal IP identifications.

use crate::{
    advise::{
        advice::{Confidence, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule},
        rules::share::{self, Cause},
        window::{Feature, Port, Window},
    },
    output::units::rate,
};

pub(super) static MANGLE_ID_GAP: Rule = Rule {
    id: "mangleid-gap",
    family: Family::Offer,
    title: "Frames with a fixed IP identification are cut although TSO is on",
    mechanism: "GRO marks merged frames whose IP identification does not count up; a tap takes \
        them whole only with tx-tcp-mangleid-segmentation, which is off by default",
    trigger: "Super-frames are cut on the way to a tap with TSO, checksums and scatter-gather on, \
        whose limits, queue and protocols explain nothing.",
    remedy: "Try tx-tcp-mangleid-segmentation on the tap, and measure.",
    cost: "14 to 15 Gbit/s were reported afterwards; saves the work that is done now.",
    wrong_when: "something else cuts: a filter or a module that segments by itself",
    sources: &[
        "TencentCloud/CubeSandbox#505",
        "Linux, include/linux/skbuff.h: SKB_GSO_TCP_FIXEDID",
    ],
    confidence: Confidence::Medium,
    needs: &[
        Need::Frames,
        Need::Work,
        Need::Features,
        Need::Limits,
        Need::Devices,
    ],
    thresholds: share::CUT,
    check: Check::Port(On::Tap, check),
    ..Rule::BASE
};

fn check(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    if share::cause(window, port)? != Cause::MangleId {
        return None;
    }
    let text = format!(
        "the host cuts {} segments/s for {}{} although its TSO is on",
        rate(Some(window.per_s(port.cut()))),
        port.dev(),
        share::senders(window, port),
    );
    Some(
        Finding::new(Verdict::NeedsTrial, text)
            .measured(share::cut_evidence(window, port))
            .measured([make::feature(port, Feature::TsoMangleId)])
            .price(share::work_price(window, port))
            .fix(make::set_features(
                window,
                port,
                &[(Feature::TsoMangleId, true)],
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn it_is_what_remains() {
        let says = |tap: Made, segments| {
            let tap = tap
                .vm("db")
                .to(Frames::plain(1_000_000, 1514))
                .cut(segments);
            Scene::default().with(tap).advice(&MANGLE_ID_GAP)
        };
        let tap = || Made::tap("vnet1", 8);
        assert_eq!(says(tap(), 50_000).len(), 1);
        assert_eq!(says(tap(), 49_990), []);
        assert_eq!(says(tap().on(&[Feature::TsoMangleId]), 50_000), []);
        let lowered = tap().limits(|limits| limits.gso_max_size_bytes = Some(16_384));
        assert_eq!(says(lowered, 50_000), [], "the limit explains it");
        assert_eq!(says(tap().off(&[Feature::Tso]), 50_000), []);
    }
}
