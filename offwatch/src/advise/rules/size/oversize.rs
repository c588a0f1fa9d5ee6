//! Single frames that are dropped for their length.

use super::mtu::FEW;
use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule},
        window::{Port, Window},
    },
    output::units::rate,
};

pub(super) static OVERSIZE_DROPPED: Rule = Rule {
    id: "oversize-dropped",
    family: Family::Size,
    title: "A guest sends frames longer than its tap's MTU, which the bridge drops silently",
    mechanism: "A bridge drops a frame that is not GSO and exceeds the MTU of the port it leaves \
        by, and tells nobody",
    trigger: "Frames that are not GSO and exceed the MTU come from a tap.",
    remedy: "Give guest and tap one MTU: in the guest, or with <mtu size='...'/> in its XML for \
        both.",
    cost: "None; what is dropped now arrives.",
    wrong_when: "the frames go to the host itself, which takes them",
    sources: &[
        "Linux, net/bridge/br_forward.c: br_dev_queue_push_xmit",
        "Linux, include/linux/netdevice.h: __is_skb_forwardable",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso, Need::Drops],
    thresholds: &[&FEW],
    check: Check::Port(On::Tap, oversize),
    ..Rule::BASE
};

fn oversize(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let frames = port.from.oversize_packets;
    if (frames as f64) < FEW.value {
        return None;
    }
    let bridge = window.master(port)?;
    let dropped: u64 = window.members(bridge).map(|port| port.to.drops).sum();
    let mtu = port.found.mtu;
    let text = format!(
        "{} sends {} frames/s longer than the MTU of {mtu}; {} frames/s were dropped on {}",
        port.dev(),
        rate(Some(window.per_s(frames))),
        rate(Some(window.per_s(dropped))),
        bridge.dev(),
    );
    let confidence = match dropped >= frames / 2 {
        true => Confidence::High,
        false => Confidence::Medium,
    };
    let guest = make::in_guest(format!("ip link set dev IFACE mtu {mtu}"));
    let xml = make::xml(window, port, "<mtu size='9000'/>");
    let xml = xml.map(|fix| fix.when("if jumbo frames are wanted, on every card of this bridge"));
    let found = Finding::new(Verdict::FixInGuest, text)
        .confidence(confidence)
        .measured([
            make::counted(
                window,
                "frames longer than the MTU",
                frames as f64,
                Unit::Frames,
            ),
            make::counted(
                window,
                "frames dropped by the bridge",
                dropped as f64,
                Unit::Frames,
            ),
            make::told("MTU", f64::from(mtu), Unit::Bytes, "rtnetlink"),
        ])
        .fix(guest);
    Some(xml.into_iter().fold(found, Finding::fix))
}

pub(super) static JUMBO_MIX: Rule = Rule {
    id: "jumbo-port-mix",
    family: Family::Size,
    title: "Ports of one bridge have different MTUs, and long frames are dropped between them",
    mechanism: "A bridge does not fragment: a long frame from a port with a large MTU is dropped \
        at a port with a small one, while GSO frames pass unchecked",
    trigger: "MTUs of a bridge's ports differ, a port with a large one sends long single frames, \
        and frames are dropped at one with a small one.",
    remedy: "Give all ports and their guests one MTU.",
    cost: "None; what is dropped now arrives.",
    wrong_when: "the drops have another reason, as a full ring",
    sources: &["Linux, include/linux/netdevice.h: __is_skb_forwardable"],
    confidence: Confidence::High,
    needs: &[Need::Gso, Need::Drops],
    thresholds: &[&FEW],
    check: Check::Port(On::Tap, jumbo_mix),
    ..Rule::BASE
};

fn jumbo_mix(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let bridge = window.master(port)?;
    let (mtu, dropped) = (port.found.mtu, port.to.drops);
    let others = dropped.saturating_sub(port.drops.full_ring.unwrap_or(0));
    if (others as f64) < FEW.value || !On::Bridge.includes(bridge) {
        return None;
    }
    let mut members = window.members(bridge);
    let sender = members
        .find(|sender| sender.found.mtu > mtu && long_singles(sender, mtu) as f64 >= FEW.value)?;
    let text = format!(
        "{} frames/s were dropped at {} (MTU {mtu}): {} has an MTU of {} and sends long frames",
        rate(Some(window.per_s(others))),
        port.dev(),
        sender.dev(),
        sender.found.mtu,
    );
    let command = format!(
        "ip link set dev {} mtu {}",
        make::shell(port),
        sender.found.mtu
    );
    let larger = make::command(port, command);
    let xml = make::xml(window, port, format!("<mtu size='{}'/>", sender.found.mtu));
    let xml = xml.map(|fix| fix.when("to keep it, and to tell the guest"));
    let found = Finding::new(Verdict::Change, text)
        .measured([
            make::counted(window, "frames dropped", others as f64, Unit::Frames),
            make::told("MTU", f64::from(mtu), Unit::Bytes, "rtnetlink"),
            make::told(
                "MTU of the sender",
                f64::from(sender.found.mtu),
                Unit::Bytes,
                "rtnetlink",
            ),
        ])
        .fix(larger);
    Some(xml.into_iter().fold(found, Finding::fix))
}

/// At least how many frames that are not GSO are longer than an MTU, if every
/// GSO frame is.
fn long_singles(sender: &Port<'_>, mtu: u32) -> u64 {
    let long = sender.from.frames_from(mtu.next_power_of_two());
    long.saturating_sub(sender.from.gso_packets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    fn scene(sender: Made, receiver: Made) -> Scene {
        Scene::default()
            .with(Made::bridge("br0", 3))
            .with(sender.vm("web").master(3))
            .with(receiver.vm("db").master(3))
    }

    #[test]
    fn a_guest_that_sends_too_long_frames_is_told() {
        let says = |frames| {
            let sender = Made::tap("vnet0", 7).from(Frames::plain(frames, 9_014).oversize());
            let receiver = Made::tap("vnet1", 8).dropped(0, frames);
            scene(sender, receiver).advice(&OVERSIZE_DROPPED)
        };
        let found = says(10);
        assert_eq!(found[0].verdict, Verdict::FixInGuest);
        assert_eq!(found[0].confidence, Confidence::High);
        assert_eq!(says(9), []);
    }

    #[test]
    fn different_mtus_matter_only_where_frames_are_dropped() {
        let says = |mtu, frames: Frames, dropped| {
            let sender = Made::tap("vnet0", 7).mtu(mtu).from(frames);
            scene(sender, Made::tap("vnet1", 8).dropped(0, dropped)).advice(&JUMBO_MIX)
        };
        let long = Frames::plain(1_000, 9_014);
        let found = says(9_000, long, 10);
        assert_eq!(found[0].subject.name(), "db");
        assert_eq!(says(9_000, long, 9), []);
        assert_eq!(
            says(1_500, long, 10),
            [],
            "that is what oversize-dropped is for"
        );
        assert_eq!(
            says(9_000, Frames::gso(1_000, 7, 8_948), 10),
            [],
            "GSO frames pass"
        );
    }
}
