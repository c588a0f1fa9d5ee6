//! Settings of tunnels and of what is merged for them.

use crate::{
    advise::{
        advice::{Confidence, Scope, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        window::{Feature, Port, Release, Window},
    },
    facts::topology::Topology,
    output::units::rate,
};

const RECEIVED: Threshold = Threshold {
    name: "frames of full size from the tunnel",
    value: 10_000.0,
    unit: "per second",
    why: "with less traffic there is little to merge",
};
const FULL_SIZE: Threshold = Threshold {
    name: "mean length",
    value: 1_000.0,
    unit: "bytes",
    why: "shorter frames are not bulk traffic, which is what GRO merges",
};
const MERGED: Threshold = Threshold {
    name: "share of bytes in GSO frames below",
    value: 0.05,
    unit: "of bytes",
    why: "where GRO works on bulk traffic, nearly all bytes are in merged frames",
};

pub(super) static OUTER_CHECKSUM_OFF: Rule = Rule {
    id: "outer-checksum-off",
    family: Family::Tunnel,
    title: "A tunnel without outer UDP checksums is not merged where it is received",
    mechanism: "GRO of the inner frames needs a checksum that the card verified; with an outer \
        checksum the kernel gets it for nothing",
    trigger: "The VXLAN device sends without outer checksums (udp_csum off), and what it receives \
        in bulk is not merged.",
    remedy: "Try outer checksums at both ends: ip link (udpcsum), with Open vSwitch options:csum=true.",
    cost: "2.6 became 5.2 Gbit/s in one report; a checksum a frame where the card has none.",
    wrong_when: "it is UDP inside, or the other end sends with checksums and something else keeps \
        GRO from working",
    sources: &["antrea#1048"],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Gso, Need::Devices],
    thresholds: &[&RECEIVED, &FULL_SIZE, &MERGED],
    check: Check::Port(On::Tunnel, outer_checksum),
    ..Rule::BASE
};

fn outer_checksum(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let Topology::Vxlan(vxlan) = &port.device?.topology else {
        return None;
    };
    let per_s = window.per_s(port.from.single_packets());
    if vxlan.udp_csum != Some(false)
        || per_s < RECEIVED.value
        || port.from.mean_single_bytes() < FULL_SIZE.value
        || port.from.gso_share() >= MERGED.value
    {
        return None;
    }
    let text = format!(
        "{} receives {} frames/s of full size, none merged; it sends without outer checksums",
        port.dev(),
        rate(Some(per_s)),
    );
    let how = format!(
        "make {} anew with udpcsum (ip link add ... type vxlan ... udpcsum), at both ends",
        port.dev()
    );
    Some(
        Finding::new(Verdict::NeedsTrial, text)
            .measured([
                make::counted(window, "single frames received", per_s, Unit::FramesPerS),
                make::told("outer UDP checksums", 0.0, Unit::OnOff, "rtnetlink"),
            ])
            .fix(make::people(Scope::Device, how)),
    )
}

pub(super) static UDP_GRO_FORWARDING: Rule = Rule {
    id: "udp-gro-forwarding",
    family: Family::Tunnel,
    title: "UDP is merged for forwarding while tunnels end on the host",
    mechanism: "rx-udp-gro-forwarding and rx-gro-list merge frames of tunnels as well; a tunnel \
        that ends in another namespace then got frames it could not take apart, and the kernel \
        could be stopped",
    trigger: "One of the two is on at an uplink, there is a UDP tunnel, and the kernel is older than \
        the fix.",
    remedy: "Switch them off unless the kernel has the fix. For hosts that only forward UDP they \
        are good.",
    cost: "CPU time for UDP that is forwarded.",
    wrong_when: "the kernel has the fix, which distributions bring to older ones",
    version_bound: Some("Linux before 6.9 without commit 3d010c8 (2024)"),
    sources: &["GHSA-fw47-mxv2-w4h2", "Linux commit 3d010c8"],
    confidence: Confidence::Medium,
    needs: &[Need::Features, Need::Release],
    check: Check::Port(On::Uplink, udp_forwarding),
    ..Rule::BASE
};

/// The first release with the fix.
const FIXED: Release = Release(6, 9, 0);

fn udp_forwarding(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    const MERGING: [Feature; 2] = [Feature::GroUdpForward, Feature::GroList];
    if window.host.release? >= FIXED {
        return None;
    }
    let on: Vec<Feature> = MERGING
        .into_iter()
        .filter(|feature| port.is_on(*feature))
        .collect();
    let tunnel = window
        .ports
        .iter()
        .find(|port| port.is_kind("vxlan") || port.is_kind("geneve"))?;
    let first = on.first()?;
    let text = format!(
        "{} of {} is on, and {} is a UDP tunnel",
        first.name(),
        port.dev(),
        tunnel.dev()
    );
    let off: Vec<(Feature, bool)> = on.iter().map(|feature| (*feature, false)).collect();
    Some(
        Finding::new(Verdict::NeedsTrial, text)
            .measured(on.iter().map(|feature| make::feature(port, *feature)))
            .fix(make::upgrade(
                "Linux 6.9 or later, or a kernel with commit 3d010c8",
            ))
            .fix(make::set_features(window, port, &off).when("until then")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advise::testing::{Frames, Made, Scene},
        facts::topology::Vxlan,
    };

    #[test]
    fn a_tunnel_that_is_not_merged_needs_a_trial() {
        let says = |udp_csum, frames| {
            let vxlan = Made::other("vxlan7", 9, "vxlan")
                .from(frames)
                .device(|device| {
                    device.topology = Topology::Vxlan(Vxlan {
                        udp_csum: Some(udp_csum),
                        ..Vxlan::default()
                    });
                });
            Scene::default().with(vxlan).advice(&OUTER_CHECKSUM_OFF)
        };
        let bulk = |count| Frames::plain(count, 1_464);
        assert_eq!(says(false, bulk(100_000))[0].verdict, Verdict::NeedsTrial);
        assert_eq!(says(false, bulk(99_990)), []);
        assert_eq!(says(true, bulk(100_000)), []);
        assert_eq!(says(false, Frames::plain(100_000, 999)), []);
        assert_eq!(says(false, Frames::tcp(10_000, 20)), []);
    }

    #[test]
    fn merging_udp_is_a_hazard_with_tunnels_only() {
        let uplink = |on: &[Feature]| {
            Made::uplink("eth0", 2, "ice")
                .on(on)
                .from(Frames::plain(9, 99))
        };
        let tunnel = || Made::other("vxlan7", 9, "vxlan");
        let on = &[Feature::GroUdpForward];
        let old = || Scene::default().kernel("6.8.12-generic");
        let both = |scene: Scene| scene.with(uplink(on)).with(tunnel());
        let found = both(old()).advice(&UDP_GRO_FORWARDING);
        assert_eq!(found[0].verdict, Verdict::NeedsTrial);
        let fixed = both(Scene::default().kernel("6.9.0"));
        assert_eq!(fixed.advice(&UDP_GRO_FORWARDING), [], "it has the fix");
        let off = old().with(uplink(&[])).with(tunnel());
        assert_eq!(off.advice(&UDP_GRO_FORWARDING), []);
        assert_eq!(old().with(uplink(on)).advice(&UDP_GRO_FORWARDING), []);
    }
}
