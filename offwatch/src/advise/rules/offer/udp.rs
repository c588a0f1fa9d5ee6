//! UDP: USO and UFO.

use offwatch_common::class;

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        rules::share::{self, Cause},
        window::{Feature, Port, Window},
    },
    output::units::rate,
};

const CUT_RATE: Threshold = Threshold {
    name: "UDP segments cut",
    value: 10_000.0,
    unit: "per second",
    why: "the fix needs a newer QEMU and limits where the VM can migrate to: it must be worth it",
};

pub(super) static UDP_NO_USO: Rule = Rule {
    id: "udp-no-uso",
    family: Family::Offer,
    title: "UDP super-frames are cut for a guest or card without USO",
    mechanism: "QUIC and VPNs send UDP super-frames (USO); a device without tx-udp-segmentation \
        gets each datagram by itself",
    trigger: "A sender on the same bridge sends USO frames, and segments are cut for an interface \
        whose tx-udp-segmentation is off while its TSO is on.",
    remedy: "Let the guest accept USO: Linux 6.2 or later as host and guest, and a QEMU that \
        has guest_uso4, guest_uso6 and host_uso (7.2 has not). Of a card that has it, switch it on.",
    cost: "Up to 4 times the throughput for a VPN (not a VM) was reported.",
    wrong_when: "VMs migrate to hosts without USO: they then cannot; or a kernel of 7.0 to 7.1.4 \
        drops UDP segments (udp-gso-regression)",
    version_bound: Some("Linux 6.2 or later for USO of taps; a QEMU later than 7.2"),
    sources: &[
        "Linux merge 93c60b597493: USO for tun and virtio-net",
        "wireguard-go: 2.92 to 12.46 Gbit/s",
        "qemu-devel: features 0x1c0010130afffa7 unsupported after migration",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Gso, Need::Work, Need::Features],
    thresholds: &[&CUT_RATE],
    check: Check::Port(On::Any, no_uso),
    ..Rule::BASE
};

fn no_uso(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    if share::cause(window, port)? != Cause::Uso || window.per_s(port.cut()) < CUT_RATE.value {
        return None;
    }
    let text = format!(
        "the host cuts {} segments/s for {}{}: it does not take UDP super-frames (USO)",
        rate(Some(window.per_s(port.cut()))),
        port.dev(),
        share::senders(window, port),
    );
    let found = Finding::new(Verdict::Upgrade, text)
        .measured(share::cut_evidence(window, port))
        .measured([make::feature(port, Feature::Uso)])
        .price(share::work_price(window, port));
    if !port.is_tap() && port.can_be_turned_on(Feature::Uso) {
        let mut found = found.fix(make::set_features(window, port, &[(Feature::Uso, true)]));
        found.verdict = Verdict::Change;
        return Some(found);
    }
    Some(found.fix(make::upgrade(
        "Linux 6.2 on host and guest, and a QEMU with guest_uso4=on,guest_uso6=on,host_uso=on \
         of the card (libvirt: <qemu:commandline>), on every host the VM may migrate to",
    )))
}

pub(super) static UFO_GUEST: Rule = Rule {
    id: "ufo-guest",
    family: Family::Trap,
    title: "A guest sends UDP to be fragmented (UFO): the host must do it, whatever is set",
    mechanism: "Linux withdrew UFO from devices in 4.14 and still takes such frames from guests \
        that negotiated it: they are always fragmented in software",
    trigger: "UFO frames from a guest.",
    remedy: "Nothing on the host: 'ethtool -K tap ufo off' fails. A newer guest kernel does not \
        send them; <host ufo='off'/> in the libvirt XML keeps an old one from doing so.",
    cost: "The fragments are made in the guest instead.",
    wrong_when: "there are very many such frames: then take the offer away in the XML",
    sources: &["Linux commit 0c19f846d582: tun takes UFO again, for live migration"],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso],
    thresholds: &[&share::FEWEST],
    check: Check::Port(On::Tap, ufo),
    ..Rule::BASE
};

fn ufo(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let frames = port.from.classes[class::UFO];
    if (frames as f64) < share::FEWEST.value {
        return None;
    }
    let per_s = window.per_s(frames);
    let text = format!(
        "{} sends {} UFO frames/s, which are always fragmented by the host",
        port.dev(),
        rate(Some(per_s)),
    );
    Some(Finding::new(Verdict::Keep, text).measured([make::counted(
        window,
        "UFO frames from the guest",
        per_s,
        Unit::FramesPerS,
    )]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        advice::Action,
        testing::{Frames, Made, Scene},
    };

    fn scene(frames: Frames, to: Made) -> Scene {
        let sender = Made::tap("vnet0", 7).vm("vpn").master(3);
        Scene::default()
            .with(sender.from(frames).caused(100_000))
            .with(to.master(3).to(Frames::plain(100_000, 1514)))
    }

    fn uso() -> Frames {
        Frames::tcp(5_000, 20).class(class::USO)
    }

    #[test]
    fn uso_frames_for_a_guest_without_uso_ask_for_an_upgrade() {
        let tap = |cut| Made::tap("vnet1", 8).vm("db").off(&[Feature::Uso]).cut(cut);
        let found = scene(uso(), tap(100_000)).advice(&UDP_NO_USO);
        assert_eq!(found[0].verdict, Verdict::Upgrade);
        assert!(
            found[0]
                .version_bound
                .as_deref()
                .is_some_and(|bound| bound.contains("6.2"))
        );
        assert_eq!(scene(uso(), tap(99_990)).advice(&UDP_NO_USO), []);
        let tcp = scene(Frames::tcp(5_000, 20), tap(100_000));
        assert_eq!(tcp.advice(&UDP_NO_USO), []);
    }

    #[test]
    fn a_card_that_has_uso_is_to_use_it() {
        let card = Made::uplink("eth0", 2, "ice")
            .off(&[Feature::Uso])
            .cut(100_000);
        let found = scene(uso(), card).advice(&UDP_NO_USO);
        assert!(matches!(
            found[0].fixes[0].action,
            Action::SetFeatures { .. }
        ));
        assert_eq!(found[0].verdict, Verdict::Change);
    }

    #[test]
    fn ufo_is_explained_and_left_alone() {
        let from = |count| Frames::tcp(count, 5).class(class::UFO);
        let tap = || Made::tap("vnet1", 8).vm("db");
        let found = scene(from(100), tap()).advice(&UFO_GUEST);
        assert_eq!(found[0].verdict, Verdict::Keep);
        assert_eq!(scene(from(99), tap()).advice(&UFO_GUEST), []);
    }
}
