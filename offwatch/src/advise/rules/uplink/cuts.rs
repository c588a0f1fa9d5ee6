//! An uplink that could segment and does not.

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

pub(super) static UPLINK_NO_TSO: Rule = Rule {
    id: "uplink-no-tso",
    family: Family::Uplink,
    title: "TSO or checksums of an uplink are off, and the host cuts for all VMs",
    mechanism: "What guests send as super-frames is cut by the host in front of a card that does \
        not do it",
    trigger: "Super-frames are cut on the way to an uplink whose TSO, checksums or scatter-gather \
        are off and can be switched on.",
    remedy: "Switch them on, checksums and scatter-gather first: TSO needs both.",
    cost: "Saves the work that is done now, for all VMs that send through it.",
    wrong_when: "it is off for a fault of this card or driver (transmit timeouts, bad checksums)",
    sources: &["Linux, net/core/dev.c: validate_xmit_skb, netdev_fix_features"],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Work, Need::Features],
    thresholds: share::CUT,
    check: Check::Port(On::Uplink, check),
    ..Rule::BASE
};

fn check(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    if !matches!(
        share::cause(window, port)?,
        Cause::Tso | Cause::Checksum | Cause::ScatterGather
    ) {
        return None;
    }
    const NEEDED: [Feature; 4] = [
        Feature::ScatterGather,
        Feature::TxChecksum,
        Feature::Tso,
        Feature::Tso6,
    ];
    let off = NEEDED
        .into_iter()
        .filter(|feature| port.can_be_turned_on(*feature) && !has_other_checksum(port, *feature));
    let off: Vec<(Feature, bool)> = off.map(|feature| (feature, true)).collect();
    if off.is_empty() {
        return None;
    }
    let text = format!(
        "the host cuts {} segments/s for {}{}, which could do it itself",
        rate(Some(window.per_s(port.cut()))),
        port.dev(),
        share::senders(window, port),
    );
    Some(
        Finding::new(Verdict::Change, text)
            .measured(share::cut_evidence(window, port))
            .measured(off.iter().map(|(feature, _)| make::feature(port, *feature)))
            .price(share::work_price(window, port))
            .fix(make::set_features(window, port, &off)),
    )
}

/// A card has checksums either of any protocol or of each.
fn has_other_checksum(port: &Port<'_>, feature: Feature) -> bool {
    feature == Feature::TxChecksum && port.is_on(Feature::TxChecksumIpv4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        advice::Action,
        testing::{Frames, Made, Scene},
    };

    #[test]
    fn only_what_can_be_switched_is_advised() {
        let says = |uplink: Made, cut| {
            let uplink = uplink.to(Frames::plain(1_000_000, 1514)).cut(cut);
            Scene::default().with(uplink).advice(&UPLINK_NO_TSO)
        };
        let uplink = || Made::uplink("eth0", 2, "ixgbe").off(&[Feature::Tso]);
        let found = says(uplink(), 50_000);
        let Action::SetFeatures { command, .. } = &found[0].fixes[0].action else {
            panic!("{found:?}");
        };
        assert_eq!(command, "ethtool -K eth0 tx-tcp-segmentation on");
        assert_eq!(says(uplink(), 49_990), []);
        assert_eq!(says(uplink().fixed(&[Feature::Tso]), 50_000), []);
        assert_eq!(says(Made::uplink("eth0", 2, "ixgbe"), 50_000), []);
    }
}
