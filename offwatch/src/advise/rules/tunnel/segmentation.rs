//! Uplinks that do not segment tunnels.

use crate::{
    advise::{
        advice::{Confidence, Scope, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        rules::share,
        window::{Feature, Port, Window},
    },
    output::units::rate,
};

const CUT_RATE: Threshold = Threshold {
    name: "segments cut at the uplink",
    value: 20_000.0,
    unit: "per second",
    why: "5 % of a CPU at 2.5 us a segment: below it the change is not worth its risk",
};

pub(super) static UPLINK_NO_TUNNEL_TSO: Rule = Rule {
    id: "uplink-no-tunnel-tso",
    family: Family::Tunnel,
    title: "An uplink does not segment what is in tunnels, and the host does",
    mechanism: "A tunnel hands its super-frames whole to the device below, which cuts them only \
        if it has segmentation for that kind of tunnel",
    trigger: "Segments are cut on the way to an uplink with TSO on, tunnel segmentation off, and \
        a tunnel above it that carries GSO frames.",
    remedy: "Switch tunnel segmentation on: at the uplink, and at a bond above it. A card that \
        cannot do it stays as it is.",
    cost: "7.5 became 10.2 Gbit/s for GRE over a bond; saves the work that is done now.",
    wrong_when: "it is off for a fault of the card with tunnels",
    sources: &[
        "Linux commit 24f87d4ce1c5: tunnel segmentation of bonds",
        "Linux commit 77b11c8bf3a2: VLAN over bond lost it until December 2024",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso, Need::Work, Need::Features],
    thresholds: &[&CUT_RATE],
    check: Check::Port(On::Any, check),
    ..Rule::BASE
};

/// What an uplink needs for each kind of tunnel.
fn needed(tunnel: &Port<'_>) -> Vec<Feature> {
    match tunnel.found.kind.name() {
        "vxlan" | "geneve" => vec![Feature::UdpTunnel, Feature::UdpTunnelCsum],
        kind if kind.contains("gre") => vec![Feature::Gre],
        _ => Vec::new(),
    }
}

/// Tunnels that leave by an interface, as far as facts tell; without facts all
/// may leave by any uplink.
fn tunnels<'w, 's>(window: &'w Window<'s>, uplink: &Port<'_>) -> Vec<&'w Port<'s>> {
    let below = |tunnel: &Port<'_>| {
        let lower = tunnel.device.and_then(|device| device.lower);
        lower.and_then(crate::facts::topology::Lower::ifindex)
    };
    let all = window.ports.iter().filter(|port| On::Tunnel.includes(port));
    let ifindex = uplink.found.ifindex;
    let is_uplink = On::Uplink.includes(uplink);
    all.filter(|tunnel| below(tunnel).map_or(is_uplink, |lower| lower == ifindex))
        .filter(|tunnel| tunnel.to.gso_packets != 0)
        .collect()
}

fn check(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let per_s = window.per_s(port.cut());
    if per_s < CUT_RATE.value || !port.is_on(Feature::Tso) {
        return None;
    }
    let lacking = |tunnel: &Port<'_>| {
        let mut needed = needed(tunnel);
        needed.retain(|feature| port.is_off(*feature));
        needed
    };
    let tunnels = tunnels(window, port);
    let mut tunnels = tunnels.iter().map(|tunnel| (tunnel, lacking(tunnel)));
    let (tunnel, off) = tunnels.find(|(_, off)| !off.is_empty())?;
    let text = format!(
        "the host cuts {} segments/s at {} for {}, whose tunnel frames it does not segment",
        rate(Some(per_s)),
        port.dev(),
        tunnel.dev(),
    );
    let can = off
        .iter()
        .filter(|feature| port.can_be_turned_on(**feature));
    let on: Vec<(Feature, bool)> = can.map(|feature| (*feature, true)).collect();
    let measured = off.iter().map(|feature| make::feature(port, *feature));
    let mut found = Finding::new(Verdict::Change, text)
        .measured(share::cut_evidence(window, port))
        .measured(measured)
        .price(share::work_price(window, port));
    if on.is_empty() {
        // The card cannot: that is a price, not a fault.
        found.verdict = Verdict::Keep;
        let buy = "a card with segmentation of tunnels, at the next purchase";
        return Some(found.fix(make::people(Scope::Uplink, buy)));
    }
    Some(found.fix(make::set_features(window, port, &on)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advise::testing::{Frames, Made, Scene},
        facts::topology::Lower,
    };

    const TUNNEL: [Feature; 2] = [Feature::UdpTunnel, Feature::UdpTunnelCsum];

    fn scene(uplink: Made, cut: u64, lower: u32) -> Scene {
        scene_of(Scene::default(), uplink, cut, lower)
    }

    fn scene_of(first: Scene, uplink: Made, cut: u64, lower: u32) -> Scene {
        let vxlan = Made::other("vxlan7", 9, "vxlan").to(Frames::tcp(5_000, 40));
        let vxlan = vxlan.device(|device| device.lower = Some(Lower::Route(lower)));
        let uplink = uplink.to(Frames::plain(200_000, 1_564)).cut(cut);
        first.with(uplink).with(vxlan)
    }

    #[test]
    fn tunnels_are_left_to_a_card_that_can() {
        let uplink = || Made::uplink("eth0", 2, "ice").off(&TUNNEL);
        let found = scene(uplink(), 200_000, 2).advice(&UPLINK_NO_TUNNEL_TSO);
        assert_eq!(found[0].verdict, Verdict::Change);
        assert_eq!(
            scene(uplink(), 199_990, 2).advice(&UPLINK_NO_TUNNEL_TSO),
            []
        );
        assert_eq!(
            scene(uplink(), 200_000, 4).advice(&UPLINK_NO_TUNNEL_TSO),
            [],
            "not its tunnel"
        );
        let ipip = Made::other("tunl0", 8, "ipip").to(Frames::tcp(100, 40));
        let first = Scene::default().with(ipip);
        let both = scene_of(first, uplink(), 200_000, 2).advice(&UPLINK_NO_TUNNEL_TSO);
        assert_eq!(both.len(), 1, "another tunnel hides nothing");
        let able = Made::uplink("eth0", 2, "ice").on(&TUNNEL);
        assert_eq!(scene(able, 200_000, 2).advice(&UPLINK_NO_TUNNEL_TSO), []);
    }

    #[test]
    fn a_card_that_cannot_is_kept() {
        let fixed = Made::uplink("eth0", 2, "e1000e")
            .off(&TUNNEL)
            .fixed(&TUNNEL);
        let found = scene(fixed, 200_000, 2).advice(&UPLINK_NO_TUNNEL_TSO);
        assert_eq!(found[0].verdict, Verdict::Keep);
    }
}
