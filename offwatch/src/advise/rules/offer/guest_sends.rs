//! Guests that do not use TSO when they send.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        price::{Effect, Price, UnitCost},
        rule::{Check, Family, Finding, On, Rule, Threshold},
        window::{Port, Window, ratio},
    },
    output::units::rate,
};

const RATE: Threshold = Threshold {
    name: "frames of full size from the guest",
    value: 5_000.0,
    unit: "per second",
    why: "60 Mbit/s: below it TSO saves nothing worth a word",
};
const SIZE: Threshold = Threshold {
    name: "mean length",
    value: 1_000.0,
    unit: "bytes",
    why: "bulk TCP fills its segments; shorter frames are requests, voice or acknowledgements",
};
const GSO_SHARE: Threshold = Threshold {
    name: "share of bytes in GSO frames below",
    value: 0.05,
    unit: "of bytes",
    why: "a guest with TSO sends nearly all of its bulk traffic in GSO frames",
};

const ANSWERS: Threshold = Threshold {
    name: "frames to the guest for each from it",
    value: 0.01,
    unit: "",
    why: "TCP is acknowledged, at the least once in 64 KB; a stream of UDP often is not",
};

pub(super) static GUEST_SENDS_NO_TSO: Rule = Rule {
    id: "guest-sends-no-tso",
    family: Family::Offer,
    title: "A guest sends bulk traffic in single frames: its own TSO is off",
    mechanism: "What a guest sends is cut in the guest unless its driver has TSO (the card's \
        host_tso4); no setting of the tap or bridge changes that",
    trigger: "Many frames of full size from the guest, next to none of them GSO, and answers as TCP \
        has them.",
    remedy: "In the guest: ethtool -K IFACE tx on sg on tso on gso on. Where that is fixed off, \
        offer it in the libvirt XML.",
    cost: "Each frame passes tap and bridge by itself instead of 44 at once.",
    wrong_when: "the traffic is UDP, or the guest forwards what it got in single frames (router, \
        firewall), or a BSD or Windows firewall has offloads off on purpose",
    sources: &[
        "Linux, drivers/net/virtio_net.c: VIRTIO_NET_F_HOST_TSO4",
        "Linux commit 398f187d74b8 (lguest): 1 GB guest to host 5.73 s with, 9.99 s without",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Gso, Need::TapFlags],
    thresholds: &[&RATE, &SIZE, &GSO_SHARE, &ANSWERS],
    check: Check::Port(On::Tap, check),
    ..Rule::BASE
};

const OFFER: &str =
    "<driver><host csum='on' gso='on' tso4='on' tso6='on' ecn='on' mrg_rxbuf='on'/></driver>";

fn check(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let single = port.from.single_packets();
    let per_s = window.per_s(single);
    let is_bulk = per_s >= RATE.value && port.from.mean_single_bytes() >= SIZE.value;
    if !is_bulk
        || port.from.gso_share() >= GSO_SHARE.value
        || ratio(port.to.packets, port.from.packets) < ANSWERS.value
        || port.tap().is_some_and(|tap| !tap.vnet_hdr)
    {
        return None;
    }
    let text = format!(
        "{} sends {} frames/s of {:.0} bytes, {:.0} % of the bytes in GSO frames",
        port.dev(),
        rate(Some(per_s)),
        port.from.mean_single_bytes(),
        port.from.gso_share() * 100.0,
    );
    let price = Price::new("frames that need not be, if it is TCP", Effect::Saves).part(
        "frames to carry",
        per_s * (1.0 - 1.0 / 44.0),
        UnitCost::frame(window, window.carrier(port)),
    );
    let found = Finding::new(Verdict::FixInGuest, text)
        .measured([
            make::counted(
                window,
                "single frames from the guest",
                per_s,
                Unit::FramesPerS,
            ),
            make::counted(
                window,
                "share of bytes in GSO frames",
                port.from.gso_share(),
                Unit::Share,
            ),
        ])
        .price(price);
    let is_denied = ["csum", "tso4", "gso"]
        .iter()
        .any(|name| port.xml_host(name) == Some(false));
    let guest = make::in_guest("ethtool -K IFACE tx on sg on tso on gso on");
    let xml = make::xml(window, port, OFFER);
    if is_denied {
        let mut found = found.confidence(Confidence::High);
        found.verdict = Verdict::Change;
        return Some(xml.into_iter().fold(found, Finding::fix));
    }
    let xml = xml.map(|xml| xml.when("if ethtool in the guest says [fixed]"));
    Some(xml.into_iter().fold(found.fix(guest), Finding::fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        advice::{Advice, Scope},
        testing::{Frames, Made, Scene},
    };

    fn says(frames: &[Frames]) -> Vec<Advice> {
        let answers = Frames::plain(500, 66);
        let tap = Made::tap("vnet0", 7).vm("old").to(answers);
        let tap = frames.iter().fold(tap, |tap, frames| tap.from(*frames));
        Scene::default().with(tap).advice(&GUEST_SENDS_NO_TSO)
    }

    #[test]
    fn bulk_in_single_frames_is_found() {
        let found = says(&[Frames::plain(50_000, 1514)]);
        assert_eq!(found[0].verdict, Verdict::FixInGuest);
        assert_eq!(found[0].fixes[0].scope, Scope::Guest);
        assert_eq!(says(&[Frames::plain(49_990, 1514)]), []);
        assert_eq!(says(&[Frames::plain(50_000, 999)]), []);
        assert_eq!(says(&[Frames::plain(50_001, 1514)]), [], "hardly answered");
        let mixed = [Frames::plain(50_000, 1514), Frames::tcp(100, 44)];
        assert_eq!(says(&mixed), [], "8 % of the bytes are GSO");
    }
}
