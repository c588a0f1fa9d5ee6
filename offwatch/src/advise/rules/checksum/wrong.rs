//! Checksums that are wrong.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        rules,
        window::{Feature, Port, Window},
    },
    output::units::rate,
    sample::evidence::Sign,
};

const DROPS: Threshold = Threshold {
    name: "frames dropped for their checksum",
    value: 10.0,
    unit: "in the window",
    why: "a few come from the wire",
};

pub(super) static CHECKSUM_DROPS: Rule = Rule {
    id: "checksum-drops",
    family: Family::Checksum,
    title: "Frames of a VM are dropped for wrong checksums: these are really bad",
    mechanism: "Unlike a checksum that is not computed yet, a wrong one gets the frame dropped \
        where it is looked at; a guest that leaves sums undone without saying so makes them",
    trigger: "Frames that came from or went to a tap were dropped for their checksum.",
    remedy: "Find out what in the guest sends them (a firewall, a packet generator); try checksum \
        offload off in that guest, and measure.",
    cost: "CPU time in the guest, and its TSO goes with it.",
    wrong_when: "the frames were broken on a wire, or are a test's",
    sources: &["Linux, include/net/dropreason-core.h: SKB_CSUM, TCP_CSUM, UDP_CSUM, IP_CSUM"],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Drops, Need::ChecksumDrops],
    thresholds: &[&DROPS],
    check: Check::Port(On::Tap, drops),
    ..Rule::BASE
};

fn drops(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let drops = port.drops.checksum?;
    // Of a BSD there is a rule of its own.
    let is_bsd = window.vm_of(port).is_some_and(|vm| vm.is_bsd());
    if (drops as f64) < DROPS.value || is_bsd || rules::uplink::is_udp_regression(window) {
        return None;
    }
    let text = format!(
        "{} frames/s of {} were dropped for wrong checksums",
        rate(Some(window.per_s(drops))),
        port.dev(),
    );
    Some(
        Finding::new(Verdict::NeedsTrial, text)
            .measured([make::counted(
                window,
                "frames dropped",
                drops as f64,
                Unit::Frames,
            )])
            .fix(make::in_guest(
                "ethtool -K IFACE tx off, for as long as the trial lasts",
            )),
    )
}

pub(super) static UPLINK_RX_CHECKSUM: Rule = Rule {
    id: "uplink-rx-checksum",
    family: Family::Checksum,
    title: "A card vouches for checksums that are wrong",
    mechanism: "The kernel summed a frame itself and found the card's sum to be wrong (hw csum \
        failure); guests get such frames as verified",
    trigger: "The kernel's log got 'hw csum failure' within the window.",
    remedy: "rx-checksum of the uplink off, or a newer driver or firmware.",
    cost: "CPU time for all that is received.",
    wrong_when: "a tunnel or VLAN in between changed the frame: then a newer kernel is the fix",
    sources: &["Linux, net/core/dev.c: netdev_rx_csum_fault"],
    confidence: Confidence::Medium,
    needs: &[Need::Log],
    check: Check::Host(rx_checksum),
    ..Rule::BASE
};

fn rx_checksum(window: &Window<'_>) -> Option<Finding> {
    if !window.host.has_sign(Sign::RxChecksum) {
        return None;
    }
    let mut uplinks = window.ports.iter().filter(|port| {
        On::Uplink.includes(port) && port.has_traffic() && port.is_on(Feature::RxChecksum)
    });
    let text = "the kernel found checksums to be wrong for which a card had vouched";
    let found = Finding::new(Verdict::NeedsTrial, text);
    let found = found.measured([make::told(
        "hw csum failure",
        1.0,
        Unit::Events,
        "kernel log",
    )]);
    // With several the log's own line names the device.
    let (Some(uplink), None) = (uplinks.next(), uplinks.next()) else {
        let look = "dmesg names the device; then: ethtool -K DEVICE rx off";
        return Some(found.fix(make::people(crate::advise::advice::Scope::Uplink, look)));
    };
    let mut found = found
        .about(make::port(window, uplink))
        .fix(make::set_features(
            window,
            uplink,
            &[(Feature::RxChecksum, false)],
        ));
    found.verdict = Verdict::Change;
    Some(found)
}

#[cfg(test)]
mod tests {
    use offwatch_common::drop_class;

    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn really_bad_checksums_are_told_from_those_not_computed() {
        let says = |drops| {
            let tap = Made::tap("vnet0", 7)
                .vm("web")
                .from(Frames::plain(1_000, 100));
            let tap = tap.dropped_for(drop_class::CHECKSUM, drops);
            Scene::default().with(tap).advice(&CHECKSUM_DROPS)
        };
        assert_eq!(says(10)[0].verdict, Verdict::NeedsTrial);
        assert_eq!(says(9), []);
    }

    #[test]
    fn a_card_is_at_fault_only_if_the_kernel_says_so() {
        let scene = || {
            let uplink = Made::uplink("eth0", 2, "mlx5_core").on(&[Feature::RxChecksum]);
            Scene::default().with(uplink.from(Frames::plain(10, 100)))
        };
        let found = scene()
            .sign(Sign::RxChecksum, 1)
            .advice(&UPLINK_RX_CHECKSUM);
        assert_eq!(found[0].subject.dev.as_deref(), Some("eth0"));
        assert_eq!(found[0].verdict, Verdict::Change);
        assert_eq!(scene().advice(&UPLINK_RX_CHECKSUM), []);
        assert_eq!(
            scene()
                .sign(Sign::BadOffload, 1)
                .advice(&UPLINK_RX_CHECKSUM),
            []
        );
    }
}
