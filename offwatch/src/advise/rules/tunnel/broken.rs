//! Tunnels that lose frames.

use offwatch_common::class;

use crate::advise::{
    advice::{Confidence, Unit, Verdict},
    make,
    need::Need,
    rule::{Check, Family, Finding, On, Rule, Threshold},
    window::{Feature, Port, Release, Window},
};

const FIXED: Release = Release(5, 7, 0);
const ERRORS: Threshold = Threshold {
    name: "UDP checksum errors and drops for checksums",
    value: 1.0,
    unit: "in the window",
    why: "each frame of a natted tunnel has the fault, and connections wait for seconds",
};

pub(super) static NATTED_VXLAN_CHECKSUM: Rule = Rule {
    id: "natted-vxlan-checksum",
    family: Family::Tunnel,
    title: "VXLAN frames get wrong outer checksums when they are natted",
    mechanism: "Old kernels computed the outer checksum of a VXLAN frame before source NAT \
        changed its address: connections then take 3 or 63 seconds",
    trigger: "A kernel before 5.7, a VXLAN device with checksums on, and UDP checksum errors.",
    remedy: "Upgrade to 5.7 or later; until then tx-checksum-ip-generic off at the VXLAN device.",
    cost: "TSO of that device goes as well.",
    wrong_when: "the distribution brought the fix to its older kernel, or nothing is natted",
    version_bound: Some("Linux before 5.7 (commit ea64d8d6c675)"),
    sources: &[
        "flannel#1279 and #1929",
        "calico#3145",
        "kops#9074",
        "k3s#2013",
        "Linux commit ea64d8d6c675",
    ],
    confidence: Confidence::High,
    needs: &[Need::Release, Need::Features, Need::Protocols],
    thresholds: &[&ERRORS],
    check: Check::Port(On::Tunnel, natted),
    ..Rule::BASE
};

fn natted(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let is_old = window.host.release? < FIXED;
    if !is_old || !port.is_kind("vxlan") || !port.is_on(Feature::TxChecksum) {
        return None;
    }
    let protocols = window.host.protocols.as_ref()?;
    let errors = protocols.udp4_in_csum_errors_per_s.unwrap_or(0.0) * window.seconds;
    let errors = errors.round() + port.drops.checksum.unwrap_or(0) as f64;
    if errors < ERRORS.value {
        return None;
    }
    let text = format!(
        "{errors} UDP checksum errors with {} on Linux {}",
        port.dev(),
        window.host.kernel
    );
    let off = make::set_features(window, port, &[(Feature::TxChecksum, false)]);
    Some(
        Finding::new(Verdict::Upgrade, text)
            .measured([make::told(
                "checksum errors",
                errors,
                Unit::Events,
                "kernel counters",
            )])
            .fix(make::upgrade("Linux 5.7 or later"))
            .fix(off.when("until then")),
    )
}

const ONE_WAY: Threshold = Threshold {
    name: "frames sent for each received, in the tunnel",
    value: 20.0,
    unit: "",
    why: "nothing comes back but pings and handshakes",
};

pub(super) static VMXNET3_OVERLAY: Rule = Rule {
    id: "vmxnet3-overlay",
    family: Family::Tunnel,
    title: "Tunnels over a vmxnet3 card (a host inside VMware) lose TCP",
    mechanism: "vmxnet3 offers to segment tunnels and VMware's switch drops the frames unless it \
        is of the right version and port",
    trigger: "Driver vmxnet3 with tunnel segmentation on, tunnel frames sent, and next to none \
        received.",
    remedy: "Try tunnel segmentation off at the card; then its checksums; or another UDP port.",
    cost: "CPU time for what is in tunnels.",
    wrong_when: "the other end does not answer for another reason",
    sources: &[
        "calico#9433 and #4727",
        "deckhouse#10087",
        "eks-anywhere#2840",
        "rancher#33399",
    ],
    confidence: Confidence::Low,
    needs: &[Need::Frames, Need::Gso, Need::Driver, Need::Features],
    thresholds: &[&ONE_WAY],
    check: Check::Port(On::Uplink, vmxnet3),
    ..Rule::BASE
};

fn vmxnet3(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    const TUNNEL: [Feature; 2] = [Feature::UdpTunnel, Feature::UdpTunnelCsum];
    let sent = port.to.classes[class::TUNNEL];
    if port.driver()? != "vmxnet3" || sent == 0 {
        return None;
    }
    let on: Vec<Feature> = TUNNEL
        .into_iter()
        .filter(|feature| port.is_on(*feature))
        .collect();
    let tunnels = || window.ports.iter().filter(|port| On::Tunnel.includes(port));
    let received: u64 = tunnels().map(|tunnel| tunnel.from.packets).sum();
    let sent_all: u64 = tunnels().map(|tunnel| tunnel.to.packets).sum();
    if on.is_empty() || (sent_all as f64) < ONE_WAY.value * received.max(1) as f64 {
        return None;
    }
    let text = format!(
        "{} (vmxnet3) segments tunnels; {sent_all} frames went into them and {received} came back",
        port.dev(),
    );
    let off: Vec<(Feature, bool)> = on.iter().map(|feature| (*feature, false)).collect();
    let checksums = make::set_features(window, port, &[(Feature::TxChecksum, false)]);
    Some(
        Finding::new(Verdict::NeedsTrial, text)
            .measured(on.iter().map(|feature| make::feature(port, *feature)))
            .fix(make::set_features(window, port, &off))
            .fix(checksums.when("if that does not help")),
    )
}

const DROPS: Threshold = Threshold {
    name: "frames dropped on the way from the uplink",
    value: 10.0,
    unit: "in the window",
    why: "a host drops some frames that nobody listens to",
};

pub(super) static OVERLAY_GRO_HW: Rule = Rule {
    id: "overlay-gro-hw",
    family: Family::Tunnel,
    title: "A virtio uplink (a nested host) merges, and its tunnels drop",
    mechanism: "rx-gro-hw of virtio takes super-frames from the outer host, and a tunnel with a \
        large MTU could not take them",
    trigger: "Driver virtio_net with rx-gro-hw on and changeable, a tunnel device, and frames \
        dropped on the way from the uplink.",
    remedy: "Try rx-gro-hw off at the uplink; software GRO stays on.",
    cost: "CPU time for what is received.",
    wrong_when: "the drops have another reason",
    sources: &["lxc/incus-os#1160"],
    confidence: Confidence::Low,
    needs: &[Need::Frames, Need::Drops, Need::Driver, Need::Features],
    thresholds: &[&DROPS],
    check: Check::Port(On::Uplink, gro_hw),
    ..Rule::BASE
};

fn gro_hw(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let has_tunnel = window
        .ports
        .iter()
        .any(|tunnel| On::Tunnel.includes(tunnel) && tunnel.has_traffic());
    if port.driver()? != "virtio_net"
        || !port.is_on(Feature::GroHw)
        || port.features?.is_fixed(Feature::GroHw)
        || !has_tunnel
        || (port.from.drops as f64) < DROPS.value
    {
        return None;
    }
    let text = format!(
        "{} frames from {} (virtio, rx-gro-hw on) were dropped, and there are tunnels",
        port.from.drops,
        port.dev(),
    );
    Some(
        Finding::new(Verdict::NeedsTrial, text)
            .measured([
                make::counted(
                    window,
                    "frames dropped",
                    port.from.drops as f64,
                    Unit::Frames,
                ),
                make::feature(port, Feature::GroHw),
            ])
            .fix(make::set_features(window, port, &[(Feature::GroHw, false)])),
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
    fn natted_tunnels_are_bound_to_old_kernels() {
        let says = |kernel: &str, errors| {
            let vxlan = Made::other("flannel.1", 9, "vxlan").to(Frames::plain(100, 100));
            let counters = ProtocolCounters {
                udp4_in_csum_errors: Some(errors),
                ..ProtocolCounters::default()
            };
            let scene = Scene::default()
                .with(vxlan)
                .kernel(kernel)
                .protocols(counters);
            scene.advice(&NATTED_VXLAN_CHECKSUM)
        };
        assert_eq!(says("5.4.0-100", 1)[0].verdict, Verdict::Upgrade);
        assert_eq!(says("5.4.0-100", 0), []);
        assert_eq!(says("5.7.0", 1), []);
    }

    #[test]
    fn a_tunnel_that_gets_no_answer_needs_a_trial() {
        let says = |driver: &str, received| {
            let uplink = Made::uplink("eth0", 2, driver);
            let uplink = uplink.to(Frames::tcp(20, 10).class(class::TUNNEL));
            let vxlan = Made::other("vxlan7", 9, "vxlan").to(Frames::tcp(20, 10));
            let vxlan = vxlan.from(Frames::plain(received, 100));
            Scene::default()
                .with(uplink)
                .with(vxlan)
                .advice(&VMXNET3_OVERLAY)
        };
        assert_eq!(says("vmxnet3", 1)[0].verdict, Verdict::NeedsTrial);
        assert_eq!(says("vmxnet3", 2), []);
        assert_eq!(says("ixgbe", 1), []);
    }

    #[test]
    fn a_nested_host_with_tunnels_and_drops_needs_a_trial() {
        let says = |drops, fixed: &[Feature]| {
            let uplink = Made::uplink("eth0", 2, "virtio_net")
                .on(&[Feature::GroHw])
                .fixed(fixed);
            let vxlan = Made::other("vxlan7", 9, "vxlan").to(Frames::plain(20, 100));
            Scene::default()
                .with(uplink.dropped(drops, 0))
                .with(vxlan)
                .advice(&OVERLAY_GRO_HW)
        };
        assert_eq!(says(10, &[])[0].verdict, Verdict::NeedsTrial);
        assert_eq!(says(9, &[]), []);
        assert_eq!(says(10, &[Feature::GroHw]), []);
    }
}
