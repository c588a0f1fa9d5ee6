//! Segments that are longer than the MTU.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        window::{Port, Window},
    },
    output::units::rate,
};

pub(super) const FEW: Threshold = Threshold {
    name: "frames that do not fit",
    value: 10.0,
    unit: "in the window",
    why: "one is a probe for the path's MTU, and is answered",
};

/// A header of IPv4: a fragment of UDP has no other, and no segment has less.
const HEADERS: u32 = 20;

pub(super) static GSO_ABOVE_MTU: Rule = Rule {
    id: "gso-above-mtu",
    family: Family::Size,
    title: "GSO frames hold segments that are longer than the MTU of where they go",
    mechanism: "A bridge does not check a GSO frame against the MTU, so it passes, and its \
        segments are too long for the wire behind it",
    trigger: "Frames sent to an interface have a gso_size that with headers exceeds its MTU, or \
        single frames longer than its MTU were cut from such.",
    remedy: "Give all that share the segment one MTU: the guest's (<mtu size='...'/> in its XML, \
        DHCP), or that of the device. TSO off is no cure: the cut frames are dropped instead.",
    cost: "None; connections that hang after the handshake work again.",
    wrong_when: "the guest behind the tap has the larger MTU and the tap's own is just not set",
    sources: &[
        "Linux commits b210de4f8c97 and 9ee6c5dc816a: GSO sizes set by another network stack",
        "Linux, include/linux/netdevice.h: __is_skb_forwardable lets GSO frames pass",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso],
    thresholds: &[&FEW],
    check: Check::Port(On::Any, check),
    ..Rule::BASE
};

fn check(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let mtu = port.found.mtu;
    let whole = port.to.gso_sizes_from(mtu.saturating_sub(HEADERS) + 1);
    let frames = whole + port.to.oversize_packets;
    // What is merely passed up a bridge is told where it leaves.
    if (frames as f64) < FEW.value || mtu == 0 || On::Bridge.includes(port) {
        return None;
    }
    let text = format!(
        "{} frames/s to {} hold segments longer than its MTU of {mtu}",
        rate(Some(window.per_s(frames))),
        port.dev(),
    );
    let found = Finding::new(Verdict::Change, text).measured([
        make::counted(
            window,
            "GSO frames with too long segments",
            whole as f64,
            Unit::Frames,
        ),
        make::counted(
            window,
            "single frames longer than the MTU",
            port.to.oversize_packets as f64,
            Unit::Frames,
        ),
        make::told("MTU", f64::from(mtu), Unit::Bytes, "rtnetlink"),
    ]);
    let larger = make::command(
        port,
        format!("ip link set dev {} mtu 9000", make::shell(port)),
    );
    if port.is_tap() {
        let lower = make::xml(window, port, format!("<mtu size='{mtu}'/>"));
        let lower = lower.map(|fix| fix.when("if the guest is to have the smaller MTU"));
        let found = found.confidence(Confidence::Medium).fix(larger);
        return Some(lower.into_iter().fold(found, Finding::fix));
    }
    let guests = make::in_guest(format!("ip link set dev IFACE mtu {mtu}"));
    let wire = larger.when("if the wire behind it takes jumbo frames");
    Some(found.fix(guests).fix(wire))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn segments_longer_than_the_mtu_are_found() {
        let says = |frames| {
            let uplink = Made::uplink("eth0", 2, "ixgbe").to(frames);
            Scene::default().with(uplink).advice(&GSO_ABOVE_MTU)
        };
        assert_eq!(says(Frames::gso(10, 7, 8948)).len(), 1);
        assert_eq!(says(Frames::gso(9, 7, 8948)), []);
        assert_eq!(says(Frames::gso(1_000, 44, 1448)), []);
        assert_eq!(says(Frames::plain(10, 9_014).oversize()).len(), 1);
    }

    #[test]
    fn udp_has_shorter_headers_than_tcp() {
        // The range of the histogram begins at 1,280.
        let says = |mtu, size| {
            let uplink = Made::uplink("eth0", 2, "ixgbe").mtu(mtu);
            let uplink = uplink.to(Frames::gso(1_000, 40, size));
            !Scene::default()
                .with(uplink)
                .advice(&GSO_ABOVE_MTU)
                .is_empty()
        };
        assert!(!says(1_310, 1_310 - 28), "USO");
        assert!(!says(1_300, 1_300 - 20), "UFO");
        assert!(says(1_299, 1_280));
    }

    #[test]
    fn a_jumbo_interface_takes_them() {
        let uplink = Made::uplink("eth0", 2, "ixgbe").mtu(9000);
        let scene = Scene::default().with(uplink.to(Frames::gso(1_000, 7, 8948)));
        assert_eq!(scene.advice(&GSO_ABOVE_MTU), []);
    }
}
