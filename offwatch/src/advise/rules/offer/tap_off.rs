//! Taps from which somebody took more than TSO.

use crate::{
    advise::{
        advice::{Confidence, Persistence, Scope, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        rules::share::{self, Cause},
        window::{Feature, Owner, Port, Window},
    },
    output::units::rate,
};

/// Bytes summed in software for one interface.
const SUMMED: Threshold = Threshold {
    name: "bytes checksummed",
    value: 10_000_000.0,
    unit: "per second",
    why: "at 0.07 ns a byte these are 0.07 % of a CPU, and with TSO gone as well much more",
};

pub(super) static TAP_CSUM_OFF: Rule = Rule {
    id: "tap-csum-off",
    family: Family::Offer,
    title: "Checksum offload of a tap is off, and TSO went with it",
    mechanism: "Without tx-checksum-ip-generic the kernel takes TSO away as well: the host sums \
        every frame for the guest, and cuts every super-frame",
    trigger: "tx-checksum-ip-generic of the tap is off, and the host cuts or sums for it.",
    remedy: "Switch checksums and TSO of the tap on. Where that does not take, the guest's driver \
        declines checksums: offer them in the libvirt XML, or let the driver accept them.",
    cost: "Saves the work that is done now; KubeVirt measured 60 against 15 Gbit/s between VMs.",
    wrong_when: "it is off for a guest that cannot do with partial checksums: an old DHCP client, \
        NetKVM with very many vCPUs, a BSD firewall",
    sources: &[
        "KubeVirt commit 67e5225697: tx checksums on again, throughput four times as high",
        "Mirantis/virtlet#882",
        "Linux, net/core/dev.c: netdev_fix_features drops TSO without checksums",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Work, Need::Features],
    thresholds: &[&SUMMED, &share::CUT_RATE, &share::CUT_SHARE, &share::FEWEST],
    check: Check::Port(On::Tap, checksum_off),
    ..Rule::BASE
};

fn checksum_off(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let is_cut = share::cause(window, port) == Some(Cause::Checksum);
    let is_summed = port.is_off(Feature::TxChecksum)
        && port.is_on(Feature::ScatterGather)
        && window.per_s(port.summed()) >= SUMMED.value;
    if !is_cut && !is_summed || port.tap().is_some_and(|tap| !tap.vnet_hdr) {
        return None;
    }
    let text = format!(
        "the host sums {}B/s and cuts {} segments/s for {}{}: its checksums are off",
        rate(Some(window.per_s(port.summed()))),
        rate(Some(window.per_s(port.cut()))),
        port.dev(),
        share::senders(window, port),
    );
    const ALL: [(Feature, bool); 4] = [
        (Feature::TxChecksum, true),
        (Feature::Tso, true),
        (Feature::TsoEcn, true),
        (Feature::Tso6, true),
    ];
    let xml = make::xml(window, port, super::tap_no_tso::OFFER_ALL);
    let mut found = Finding::new(Verdict::Change, text)
        .measured(share::cut_evidence(window, port))
        .measured([make::feature(port, Feature::TxChecksum)])
        .price(share::work_price(window, port));
    if port.xml_guest("csum") == Some(false) {
        found = found.confidence(Confidence::High);
    } else {
        found = found.fix(make::set_features(window, port, &ALL));
    }
    let xml = xml.map(|xml| match found.fixes.is_empty() {
        true => xml,
        false => xml.when("if ethtool then says off [requested on]"),
    });
    Some(xml.into_iter().fold(found, Finding::fix))
}

pub(super) static TAP_SG_OFF: Rule = Rule {
    id: "tap-sg-off",
    family: Family::Offer,
    title: "Scatter-gather of a tap is off, which takes TSO and GSO away",
    mechanism: "A device without scatter-gather gets frames in one piece: the kernel takes TSO \
        away and the host cuts and copies every super-frame",
    trigger: "tx-scatter-gather of the tap is off, and super-frames are cut on the way to it. \
        Guests do not negotiate it, so somebody switched it off.",
    remedy: "Switch scatter-gather of the tap on; TSO comes back by itself where it is asked for.",
    cost: "Saves the work that is done now. Turning sg off is advised by articles; it never \
        cures more than turning TSO off does, and costs copies on top.",
    wrong_when: "somebody keeps TSO away from this guest on purpose: sg off outlasts the guest's \
        negotiations, TSO off does not",
    sources: &[
        "Linux, net/core/dev.c: netdev_fix_features",
        "offwatch's own measurement: sender tx, sg, TSO and GSO off, 0.6 to 1.6 of 6.8 to 9.1 Gbit/s",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Work, Need::Features],
    thresholds: share::CUT,
    check: Check::Port(On::Tap, scatter_gather_off),
    ..Rule::BASE
};

fn scatter_gather_off(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    if share::cause(window, port)? != Cause::ScatterGather {
        return None;
    }
    let text = format!(
        "the host cuts {} segments/s for {}{}: its scatter-gather is off",
        rate(Some(window.per_s(port.cut()))),
        port.dev(),
        share::senders(window, port),
    );
    let on = make::set_features(window, port, &[(Feature::ScatterGather, true)]);
    let tso = [(Feature::Tso, true), (Feature::Tso6, true)];
    Some(
        Finding::new(Verdict::Change, text)
            .measured(share::cut_evidence(window, port))
            .measured([make::feature(port, Feature::ScatterGather)])
            .price(share::work_price(window, port))
            .fix(on)
            .fix(make::set_features(window, port, &tso).when("if TSO stays off")),
    )
}

pub(super) static TAP_NO_VNET_HDR: Rule = Rule {
    id: "tap-no-vnet-hdr",
    family: Family::Offer,
    title: "A tap was made without virtio headers, so nothing can be offloaded",
    mechanism: "Without IFF_VNET_HDR a frame cannot say that it is to be cut or summed later, so \
        guest and host do both for every frame",
    trigger: "The tap's flags lack IFF_VNET_HDR, and it carries frames of full size. Of a tap \
        that is no known VM's, as a VPN's, there is no verdict.",
    remedy: "Have whoever makes the tap set IFF_VNET_HDR (QEMU: vnet_hdr=on, which is its default \
        with virtio), and start the VM again.",
    cost: "What host and guest now do for each frame; large.",
    wrong_when: "the card is not virtio: then there is nothing to offload, and a virtio card is \
        the fix",
    sources: &[
        "hyperhq/runv#674",
        "systemd#579",
        "GRNET snf-ganeti: vnet_hdr as an option, off for guests with broken drivers",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::TapFlags],
    thresholds: &[&FULL_SIZE, &FULL_SIZE_RATE],
    check: Check::Port(On::Tap, no_vnet_hdr),
    ..Rule::BASE
};

const FULL_SIZE: Threshold = Threshold {
    name: "mean length of frames",
    value: 500.0,
    unit: "bytes",
    why: "shorter frames would not be merged",
};
const FULL_SIZE_RATE: Threshold = Threshold {
    name: "frames in either direction",
    value: 1_000.0,
    unit: "per second",
    why: "less is no load that anybody would notice",
};

fn no_vnet_hdr(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    if port.tap()?.vnet_hdr {
        return None;
    }
    let is_load = |flow: &crate::advise::window::Flow| {
        window.per_s(flow.packets) >= FULL_SIZE_RATE.value
            && flow.mean_single_bytes() >= FULL_SIZE.value
    };
    if !is_load(&port.from) && !is_load(&port.to) {
        return None;
    }
    let frames = window.per_s(port.from.packets + port.to.packets);
    let text = format!(
        "{} carries {} frames/s, none of them GSO: it was made without virtio headers",
        port.dev(),
        rate(Some(frames)),
    );
    if port.owner == Owner::Unknown {
        let text = format!("{text}; whether it is a VM's is not known (a VPN's is so by design)");
        let found = Finding::new(Verdict::CannotSee, text).confidence(Confidence::Low);
        return Some(found.measured([make::counted(window, "frames", frames, Unit::FramesPerS)]));
    }
    let fix = make::people(
        Scope::Tap,
        "make the tap with IFF_VNET_HDR: with QEMU a virtio card and vnet_hdr=on, with libvirt \
         <model type='virtio'/>",
    );
    Some(
        Finding::new(Verdict::Change, text)
            .measured([make::counted(window, "frames", frames, Unit::FramesPerS)])
            .price(share::work_price(window, port))
            .fix(fix.lasting(Persistence::AtColdStart)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        advice::{Action, Advice},
        testing::{Frames, Made, Scene},
    };

    const TSO: [Feature; 3] = [Feature::Tso, Feature::TsoEcn, Feature::Tso6];

    fn tap() -> Made {
        Made::tap("vnet1", 8)
            .vm("db")
            .to(Frames::plain(100_000, 1514))
    }

    fn says(tap: Made, rule: &'static Rule) -> Vec<Advice> {
        Scene::default().with(tap).advice(rule)
    }

    fn command(advice: &Advice) -> &str {
        match &advice.fixes[0].action {
            Action::SetFeatures { command, .. } => command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn checksums_off_is_found_by_what_is_summed_or_cut() {
        let off = || tap().off(&[Feature::TxChecksum]).off(&TSO);
        assert_eq!(says(off().summed(99_999_990), &TAP_CSUM_OFF), []);
        let found = says(off().summed(100_000_000), &TAP_CSUM_OFF);
        assert!(command(&found[0]).starts_with("ethtool -K vnet1 tx-checksum-ip-generic on"));
        assert_eq!(says(off().cut(100_000), &TAP_CSUM_OFF).len(), 1);
        assert_eq!(says(tap().summed(100_000_000), &TAP_CSUM_OFF), []);
    }

    #[test]
    fn scatter_gather_off_is_the_first_cause() {
        let off = || tap().off(&[Feature::ScatterGather]).off(&TSO);
        let found = says(off().cut(50_000), &TAP_SG_OFF);
        assert_eq!(command(&found[0]), "ethtool -K vnet1 tx-scatter-gather on");
        assert_eq!(found[0].fixes[0].persistence, Persistence::UntilRecreated);
        assert_eq!(says(off().cut(5_000), &TAP_SG_OFF), [], "too few");
        assert_eq!(
            says(off().cut(50_000), &super::super::tap_no_tso::TAP_NO_TSO),
            []
        );
        assert_eq!(says(tap().off(&TSO).cut(50_000), &TAP_SG_OFF), []);
    }

    #[test]
    fn a_tap_without_virtio_headers_is_found_under_load() {
        let made = |frames| {
            let tap = Made::tap("vnet1", 8).flags(|tap| tap.vnet_hdr = false);
            tap.vm("db").to(frames)
        };
        assert_eq!(
            says(made(Frames::plain(10_000, 1514)), &TAP_NO_VNET_HDR).len(),
            1
        );
        assert_eq!(says(made(Frames::plain(9_990, 1514)), &TAP_NO_VNET_HDR), []);
        assert_eq!(says(made(Frames::plain(10_000, 499)), &TAP_NO_VNET_HDR), []);
        assert_eq!(says(tap(), &TAP_NO_VNET_HDR), []);
    }

    #[test]
    fn a_tap_of_a_vpn_is_no_fault() {
        let tap = Made::tap("tap0", 8).flags(|tap| tap.vnet_hdr = false);
        let found = says(tap.to(Frames::plain(90_000, 1514)), &TAP_NO_VNET_HDR);
        assert_eq!(found[0].verdict, Verdict::CannotSee);
        assert_eq!(found[0].fixes, []);
    }
}
