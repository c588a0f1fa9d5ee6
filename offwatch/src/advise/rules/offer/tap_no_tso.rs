//! TSO of a tap is off, and the host cuts for it.

use crate::{
    advise::{
        advice::{Confidence, Fix, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule},
        rules::share::{self, Cause},
        window::{Feature, Port, Window},
    },
    output::units::rate,
};

pub(super) static TAP_NO_TSO: Rule = Rule {
    id: "tap-no-tso",
    family: Family::Offer,
    title: "A guest receives no TSO frames, and the host cuts them for it",
    mechanism: "TSO of the tap is what the guest's driver accepts, less what somebody switched \
        off; without it the host cuts every super-frame before the guest gets it",
    trigger: "tx-tcp-segmentation of the tap is off, checksums and scatter-gather are on, and \
        super-frames are cut on the way to it.",
    remedy: "Switch TSO of the tap on. Where that does not take, the guest's driver declines it: \
        let it accept it in the guest, or offer it in the libvirt XML.",
    cost: "The work that is done now is saved; 2 to 4 times the throughput was reported.",
    wrong_when: "the guest is a router, a firewall or runs XDP, and declines TSO on purpose",
    sources: &[
        "Mirantis/virtlet#882: checksum and TSO off on taps, 2 to 3 times slower",
        "virtio-win#1026: the XML that offers all of it",
        "Linux, drivers/net/tun.c: set_offload, tun_net_fix_features",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Work, Need::Features],
    thresholds: share::CUT,
    check: Check::Port(On::Tap, check),
    ..Rule::BASE
};

/// What a card has to offer for TSO to reach the guest.
pub(super) const OFFER_ALL: &str =
    "<driver><guest csum='on' tso4='on' tso6='on' ecn='on'/></driver>";

const TSO: [(Feature, bool); 3] = [
    (Feature::Tso, true),
    (Feature::TsoEcn, true),
    (Feature::Tso6, true),
];

fn check(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    // Of Windows there is a rule of its own.
    let is_windows = window.vm_of(port).is_some_and(|vm| vm.is_windows());
    if is_windows || share::cause(window, port)? != Cause::Tso {
        return None;
    }
    let features = port.features?;
    let text = format!(
        "the host cuts {} segments/s for {}{}: its TSO is off",
        rate(Some(window.per_s(port.cut()))),
        port.dev(),
        share::senders(window, port),
    );
    let (verdict, confidence, fixes) = remedy(window, port, features.is_wanted(Feature::Tso));
    let found = Finding::new(verdict, text)
        .confidence(confidence)
        .measured(share::cut_evidence(window, port))
        .measured([
            make::feature(port, Feature::Tso),
            make::feature(port, Feature::Tso6),
        ])
        .price(share::work_price(window, port));
    Some(fixes.into_iter().fold(found, Finding::fix))
}

fn remedy(
    window: &Window<'_>,
    port: &Port<'_>,
    is_wanted: bool,
) -> (Verdict, Confidence, Vec<Fix>) {
    let guest = make::in_guest(
        "ethtool -K IFACE rx-gro-hw on (Linux 4.20 and later; before that: lro on), or end the \
         XDP program; in Windows: Enable-NetAdapterRsc",
    );
    let xml = make::xml(window, port, OFFER_ALL);
    let tap = make::set_features(window, port, &TSO);
    let declined = "if ethtool then says off [requested on]: the guest's driver declines it";
    let is_denied = ["tso4", "csum"]
        .iter()
        .any(|name| port.xml_guest(name) == Some(false));
    if let Some(xml) = xml.clone().filter(|_| is_denied) {
        return (Verdict::Change, Confidence::High, vec![xml]);
    }
    // Somebody asked for it, and the guest does not take it.
    if is_wanted {
        let fixes = [
            Some(guest),
            xml.map(|xml| xml.when("if QEMU does not offer it")),
        ];
        let fixes = fixes.into_iter().flatten().collect();
        return (Verdict::FixInGuest, Confidence::High, fixes);
    }
    let last = xml.map(|xml| xml.when("if QEMU does not offer it"));
    let fixes = [Some(tap), Some(guest.when(declined)), last];
    let fixes = fixes.into_iter().flatten().collect();
    // Declined and switched off look alike.
    (Verdict::Change, Confidence::Medium, fixes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advise::{
            advice::{Action, Advice, Scope},
            testing::{Frames, Made, Scene},
        },
        sample::offloads::Fact,
    };

    const OFF: [Feature; 3] = [Feature::Tso, Feature::TsoEcn, Feature::Tso6];

    fn tap() -> Made {
        Made::tap("vnet1", 8).vm("legacy").master(3)
    }

    fn advice(tap: Made) -> Vec<Advice> {
        let sender = Made::tap("vnet0", 7).vm("web").master(3);
        Scene::default()
            .with(sender.from(Frames::tcp(2_000, 40)).caused(80_000))
            .with(tap)
            .advice(&TAP_NO_TSO)
    }

    #[test]
    fn cut_segments_are_found_from_the_threshold_on() {
        let cut = |segments| {
            tap()
                .off(&OFF)
                .to(Frames::plain(1_000_000, 1514))
                .cut(segments)
        };
        assert_eq!(
            advice(cut(49_990)),
            [],
            "less than 5,000 a second, and 10 %"
        );
        let found = advice(cut(50_000));
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .finding
                .contains("5.00k segments/s for vnet1, for frames from web")
        );
        assert_eq!(found[0].subject.vm.as_deref(), Some("legacy"));
        // A slow guest all of whose traffic is cut.
        let slow = |segments| tap().off(&OFF).to(Frames::plain(1_000, 1514)).cut(segments);
        assert_eq!(advice(slow(99)), []);
        assert_eq!(advice(slow(100)).len(), 1);
    }

    #[test]
    fn with_tso_on_it_is_not_the_cause() {
        let whole = tap().to(Frames::plain(80_000, 1514)).cut(80_000);
        assert_eq!(advice(whole), []);
    }

    #[test]
    fn the_smallest_fix_comes_first() {
        let cut = || tap().to(Frames::plain(80_000, 1514)).cut(80_000);
        let unknown = advice(cut().off(&OFF));
        let Action::SetFeatures {
            command, features, ..
        } = &unknown[0].fixes[0].action
        else {
            panic!("the tap first: {:?}", unknown[0].fixes);
        };
        let expected = "ethtool -K vnet1 tx-tcp-segmentation on tx-tcp-ecn-segmentation on \
            tx-tcp6-segmentation on";
        assert_eq!(command, expected);
        assert!(features.values().all(|on| *on));
        assert_eq!(unknown[0].confidence, Confidence::Medium);

        let declined = advice(cut().declined(&OFF));
        assert_eq!(declined[0].verdict, Verdict::FixInGuest);
        assert_eq!(declined[0].fixes[0].scope, Scope::Guest);

        let denied = cut().off(&OFF).setup(|setup| {
            let mut driver = crate::facts::nic::DriverSetup::default();
            driver.guest.insert("tso4".into(), false);
            setup.driver = Fact::Known(driver);
        });
        let denied = advice(denied);
        assert_eq!(denied[0].fixes.len(), 1);
        assert_eq!(denied[0].fixes[0].scope, Scope::LibvirtXml);
    }
}
