//! Faults of certain kernels, and checksums that cannot be trusted.

use offwatch_common::class;

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        window::{Feature, Port, Release, Window},
    },
    output::units::rate,
};

pub(super) static BNX2X_OVERSIZE: Rule = Rule {
    id: "bnx2x-oversize",
    family: Family::Uplink,
    title: "A guest can stop a bnx2x card with large segments",
    mechanism: "Segments of more than 9,000 bytes make the card's firmware stop; an untrusted \
        guest can send them (CVE-2018-1000026)",
    trigger: "Driver bnx2x, a kernel without the fix, and segments that large on the way to it.",
    remedy: "Upgrade the kernel; until then TSO of the card off.",
    cost: "CPU time for all that the card segments now.",
    wrong_when: "the distribution brought the fix to its older kernel",
    version_bound: Some(
        "Linux before 4.16; offwatch itself needs a later one, so only a kernel \
        with a misleading release is told",
    ),
    sources: &["Linux commit 8914a595110a"],
    confidence: Confidence::High,
    needs: &[Need::Driver, Need::Release, Need::Gso],
    thresholds: &[&LARGE],
    check: Check::Port(On::Uplink, bnx2x),
    ..Rule::BASE
};

const LARGE: Threshold = Threshold {
    name: "segments longer than",
    value: 9_000.0,
    unit: "bytes",
    why: "the length from which the card's firmware stops; the histogram tells surely from 10,240 on",
};
const BNX2X_FIXED: Release = Release(4, 16, 0);

fn bnx2x(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let large = port.to.gso_sizes_from(LARGE.value as u32);
    if port.driver()? != "bnx2x" || window.host.release? >= BNX2X_FIXED || large == 0 {
        return None;
    }
    let text = format!(
        "{large} frames with segments above 9,000 bytes went to {}",
        port.dev()
    );
    let off = make::set_features(
        window,
        port,
        &[(Feature::Tso, false), (Feature::Tso6, false)],
    );
    Some(
        Finding::new(Verdict::Upgrade, text)
            .fix(make::upgrade("Linux 4.16 or later"))
            .fix(off.when("until then")),
    )
}

pub(super) static UDP_GSO_REGRESSION: Rule = Rule {
    id: "udp-gso-regression",
    family: Family::Uplink,
    title: "A kernel that gives UDP segments wrong checksums",
    mechanism: "Kernels from 7.0 on had a fault in cutting UDP super-frames; receivers drop the \
        segments for their checksums",
    trigger: "A kernel of the range, USO frames, and UDP checksum errors or drops for checksums \
        in the window.",
    remedy: "Upgrade the kernel; until then USO off at the device that sends them.",
    cost: "USO off can halve the throughput of QUIC and VPNs.",
    wrong_when: "the distribution brought the fix to its kernel",
    version_bound: Some(
        "Linux 7.0 to 7.1.4 (fixed upstream in 7.1-rc5; Tailscale takes 7.0 to \
        7.1.4 for affected)",
    ),
    sources: &["tailscale commit 8b58bd6c645c: fault b10b446, fixes 78effd8 and 5f17ae0"],
    confidence: Confidence::Medium,
    needs: &[Need::Release, Need::Gso],
    thresholds: &[&CHECKSUM_ERRORS],
    check: Check::Host(udp_regression),
    ..Rule::BASE
};

const CHECKSUM_ERRORS: Threshold = Threshold {
    name: "UDP checksum errors and drops for checksums",
    value: 10.0,
    unit: "in the window",
    why: "a few come from the wire",
};
const AFFECTED: (Release, Release) = (Release(7, 0, 0), Release(7, 1, 5));

/// Whether a kernel's fault explains wrong checksums of UDP.
pub(in crate::advise::rules) fn is_udp_regression(window: &Window<'_>) -> bool {
    udp_regression(window).is_some()
}

fn udp_regression(window: &Window<'_>) -> Option<Finding> {
    let release = window.host.release?;
    if release < AFFECTED.0 || release >= AFFECTED.1 {
        return None;
    }
    let uso: u64 = window
        .ports
        .iter()
        .map(|port| port.from.classes[class::USO])
        .sum();
    let protocols = window.host.protocols.as_ref();
    let errors = protocols.and_then(|known| known.udp4_in_csum_errors_per_s);
    let errors = errors.unwrap_or(0.0) * window.seconds;
    let drops = window.ports.iter().filter_map(|port| port.drops.checksum);
    let bad = errors + drops.sum::<u64>() as f64;
    if uso == 0 || bad < CHECKSUM_ERRORS.value {
        return None;
    }
    let text = format!(
        "Linux {}, {} USO frames/s, and {bad:.0} UDP checksum errors or drops",
        window.host.kernel,
        rate(Some(window.per_s(uso))),
    );
    Some(
        Finding::new(Verdict::Upgrade, text)
            .measured([make::told(
                "checksum errors",
                bad,
                Unit::Events,
                "kernel counters",
            )])
            .fix(make::upgrade("Linux 7.1.5 or later")),
    )
}

pub(super) static SUSPECT_TX_CHECKSUM: Rule = Rule {
    id: "suspect-tx-checksum",
    family: Family::Uplink,
    title: "The host's own TCP sends much again: a card's checksums may be wrong",
    mechanism: "A card that computes wrong checksums has its frames dropped by whoever gets them, \
        and they are sent again",
    trigger: "More than 2 % of the host's own TCP segments are sent again, and one uplink alone \
        has traffic, with checksums left to it.",
    remedy: "Try tx checksums off for 60 s. Keep it only if what is sent again falls to a fifth.",
    cost: "CPU time for all checksums, and TSO goes with it.",
    wrong_when: "the network loses frames, which is far more likely",
    sources: &["xcp-ng/xcp#506: bnx2"],
    confidence: Confidence::Low,
    needs: &[Need::Protocols, Need::Features],
    thresholds: &[&RETRANSMITTED, &SENT],
    shortest_window_s: 10.0,
    check: Check::Host(suspect),
    ..Rule::BASE
};

const RETRANSMITTED: Threshold = Threshold {
    name: "share of segments sent again",
    value: 0.02,
    unit: "of segments sent",
    why: "a healthy local network loses far less than 1 %",
};
const SENT: Threshold = Threshold {
    name: "segments sent by the host itself",
    value: 1_000.0,
    unit: "in the window",
    why: "shares of fewer say nothing",
};

fn suspect(window: &Window<'_>) -> Option<Finding> {
    let protocols = window.host.protocols.as_ref()?;
    let sent = protocols.tcp_out_segs_per_s? * window.seconds;
    let again = protocols.tcp_retrans_segs_per_s? * window.seconds;
    if sent < SENT.value || again / sent <= RETRANSMITTED.value {
        return None;
    }
    let mut uplinks = window
        .ports
        .iter()
        .filter(|port| On::Uplink.includes(port) && port.to.partial_packets != 0);
    let (uplink, None) = (uplinks.next()?, uplinks.next()) else {
        return None;
    };
    if !uplink.is_on(Feature::TxChecksum) {
        return None;
    }
    let share = again / sent;
    let text = format!(
        "{:.1} % of the host's own TCP segments are sent again; {} computes their checksums",
        share * 100.0,
        uplink.dev(),
    );
    let off = make::set_features(window, uplink, &[(Feature::TxChecksum, false)]);
    Some(
        Finding::new(Verdict::NeedsTrial, text)
            .about(make::port(window, uplink))
            .measured([make::told(
                "segments sent again",
                share,
                Unit::Share,
                "kernel counters",
            )])
            .fix(off.when("for 60 s, and only if it then falls to a fifth for good")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advise::testing::{Frames, Made, Scene},
        sample::evidence::ProtocolCounters,
    };

    #[test]
    fn an_old_kernel_and_large_segments_are_needed_for_the_cve() {
        let says = |kernel: &str, size| {
            let uplink = Made::uplink("eth0", 2, "bnx2x").to(Frames::gso(1, 3, size));
            Scene::default()
                .with(uplink)
                .kernel(kernel)
                .advice(&BNX2X_OVERSIZE)
        };
        assert_eq!(says("4.15.0-20", 10_300).len(), 1);
        assert_eq!(says("4.15.0-20", 1_448), []);
        assert_eq!(says("4.16.0", 10_300), []);
    }

    #[test]
    fn the_regression_is_bound_to_its_kernels() {
        let says = |kernel: &str, errors| {
            let tap = Made::tap("vnet0", 7).vm("vpn");
            let tap = tap.from(Frames::tcp(10, 20).class(class::USO));
            let counters = ProtocolCounters {
                udp4_in_csum_errors: Some(errors),
                ..ProtocolCounters::default()
            };
            Scene::default()
                .with(tap)
                .kernel(kernel)
                .change(|before, after, _| {
                    let zero = ProtocolCounters {
                        udp4_in_csum_errors: Some(0),
                        ..ProtocolCounters::default()
                    };
                    let known = crate::sample::offloads::Fact::Known;
                    before.host.evidence.protocols = known(zero);
                    after.host.evidence.protocols = known(counters);
                })
        };
        assert_eq!(
            says("7.1.4", 10).advice(&UDP_GSO_REGRESSION)[0].verdict,
            Verdict::Upgrade
        );
        assert_eq!(says("7.1.4", 9).advice(&UDP_GSO_REGRESSION), []);
        assert_eq!(says("7.1.5", 10).advice(&UDP_GSO_REGRESSION), []);
        assert_eq!(says("6.18.0", 10).advice(&UDP_GSO_REGRESSION), []);
    }

    #[test]
    fn retransmissions_alone_ask_for_a_trial() {
        let says = |again| {
            let uplink = Made::uplink("eth0", 2, "bnx2").to(Frames::tcp(100, 20));
            let counters = ProtocolCounters {
                tcp_out_segs: Some(10_000),
                tcp_retrans_segs: Some(again),
                ..ProtocolCounters::default()
            };
            Scene::default()
                .with(uplink)
                .protocols(counters)
                .advice(&SUSPECT_TX_CHECKSUM)
        };
        assert_eq!(says(201)[0].verdict, Verdict::NeedsTrial);
        assert_eq!(says(200), []);
    }
}
