//! Frames that are cut for reasons that no setting changes, or none that is
//! known.

use crate::{
    advise::{
        advice::{Confidence, Verdict},
        need::Need,
        rule::{Check, Family, Finding, On, Rule},
        rules::share::{self, Cause},
        window::{Port, Window},
    },
    output::units::rate,
};

pub(super) static CUT_ALL_THE_SAME: Rule = Rule {
    id: "cut-all-the-same",
    family: Family::Offer,
    title: "Frames are cut for a guest that accepts all there is",
    mechanism: "Taps take neither SCTP super-frames nor, on most kernels, tunnels of guests; a \
        filter or module can cut, too",
    trigger: "Super-frames are cut on the way to a tap, and no rule about its features, limits or \
        queue explains it.",
    remedy: "No setting of the tap helps. For tunnels: a kernel and QEMU with UDP tunnel \
        segmentation for virtio. Otherwise look for modules that segment (nfqueue, xfrm).",
    cost: "The work that is done now.",
    wrong_when: "the features changed shortly before the window",
    sources: &[
        "Linux, drivers/net/tun.c: TUN_USER_FEATURES",
        "Linux, net/core/gso.c: its callers",
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
    let (verdict, why) = match share::cause(window, port)? {
        Cause::Sctp => (Verdict::Keep, "SCTP, which no tap takes"),
        Cause::Tunnel => (Verdict::Keep, "tunnels, which this guest does not accept"),
        Cause::Unknown => (Verdict::CannotSee, "no cause that is known"),
        _ => return None,
    };
    let text = format!(
        "the host cuts {} segments/s for {}{}: {why}",
        rate(Some(window.per_s(port.cut()))),
        port.dev(),
        share::senders(window, port),
    );
    Some(
        Finding::new(verdict, text)
            .measured(share::cut_evidence(window, port))
            .price(share::work_price(window, port)),
    )
}

#[cfg(test)]
mod tests {
    use offwatch_common::class;

    use super::*;
    use crate::advise::{
        advice::Advice,
        testing::{Frames, Made, Scene},
        window::Feature,
    };

    fn says(class: usize, on: &[Feature], cut: u64) -> Vec<Advice> {
        let sender = Made::tap("vnet0", 7).vm("web").master(3);
        let sender = sender.from(Frames::tcp(2_000, 40).class(class)).caused(cut);
        let tap = Made::tap("vnet1", 8).vm("db").master(3).on(on).cut(cut);
        let tap = tap.to(Frames::plain(1_000_000, 1_514));
        Scene::default()
            .with(sender)
            .with(tap)
            .advice(&CUT_ALL_THE_SAME)
    }

    #[test]
    fn what_nothing_explains_is_said_and_not_advised() {
        assert_eq!(says(class::SCTP, &[], 50_000)[0].verdict, Verdict::Keep);
        let whole = [Feature::TsoMangleId];
        assert_eq!(
            says(class::TCP4, &whole, 50_000)[0].verdict,
            Verdict::CannotSee
        );
        assert_eq!(says(class::TCP4, &whole, 49_990), []);
        assert_eq!(
            says(class::TCP4, &[], 50_000),
            [],
            "mangleid-gap explains it"
        );
    }
}
