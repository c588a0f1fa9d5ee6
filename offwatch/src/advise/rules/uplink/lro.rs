//! LRO where frames are forwarded.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        window::{Feature, Port, Window},
    },
    sample::evidence::Sign,
};

pub(super) static LRO_FORWARDING: Rule = Rule {
    id: "lro-forwarding",
    family: Family::Uplink,
    title: "LRO is on at an uplink whose frames go to VMs",
    mechanism: "LRO merges frames so that they cannot be cut again: forwarded ones are dropped, \
        or reach guests broken",
    trigger: "rx-lro is on at a port of a bridge or switch, or the kernel's log tells of frames \
        that LRO merged and that were to be forwarded.",
    remedy: "LRO off; GRO does the same without harm. The kernel turns it off when a bridge takes \
        the port, so find out who turned it on again.",
    cost: "None: GRO takes its place.",
    wrong_when: "never, where frames are forwarded",
    sources: &[
        "Linux commits 0187bdfb0567 and 4906f9985e31: LRO off where frames are forwarded",
        "ixgbe README: LRO is completely incompatible with forwarding",
        "moby#32023",
    ],
    confidence: Confidence::High,
    needs: &[Need::Features],
    check: Check::Port(On::Uplink, forwarding),
    ..Rule::BASE
};

fn is_switch(port: &Port<'_>) -> bool {
    On::Bridge.includes(port) || port.is_kind("openvswitch")
}

fn forwarding(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let master = window.master(port)?;
    if !port.is_on(Feature::Lro) || !is_switch(master) || port.driver() == Some("atlantic") {
        return None;
    }
    let text = format!(
        "LRO of {} is on, and {} forwards its frames",
        port.dev(),
        master.dev()
    );
    let mut found = Finding::new(Verdict::Change, text)
        .measured([make::feature(port, Feature::Lro)])
        .fix(make::set_features(window, port, &[(Feature::Lro, false)]));
    if window.host.has_sign(Sign::LroForwarding) {
        let by = "kernel log";
        found = found.measured([make::told("LRO frames refused", 1.0, Unit::Events, by)]);
    }
    Some(found)
}

pub(super) static LRO_UNDER_BOND: Rule = Rule {
    id: "lro-under-bond",
    family: Family::Uplink,
    title: "LRO is on at a port of a bond whose frames go to VMs",
    mechanism: "LRO of a bond is that of its ports: turned off at the bond alone it can stay on \
        below",
    trigger: "rx-lro is on at a port of a bond, or at a bond, that belongs to a bridge or switch.",
    remedy: "LRO off at the bond and at each of its ports.",
    cost: "None: GRO takes its place.",
    wrong_when: "never, where frames are forwarded",
    sources: &[
        "moby#32023",
        "Linux, include/linux/netdev_features.h: NETIF_F_UPPER_DISABLES",
    ],
    confidence: Confidence::High,
    needs: &[Need::Features],
    check: Check::Port(On::Uplink, under_bond),
    ..Rule::BASE
};

fn under_bond(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let bond = window.master(port)?;
    let is_bond = bond.is_kind("bond") || bond.is_kind("team");
    if !is_bond || !port.is_on(Feature::Lro) || !is_switch(window.master(bond)?) {
        return None;
    }
    let text = format!(
        "LRO of {} in {} is on, and its frames go to VMs",
        port.dev(),
        bond.dev()
    );
    let off = &[(Feature::Lro, false)];
    Some(
        Finding::new(Verdict::Change, text)
            .measured([make::feature(port, Feature::Lro)])
            .fix(make::set_features(window, port, off))
            .fix(make::set_features(window, bond, off).when("if the bond's own is on")),
    )
}

const LOPSIDED: Threshold = Threshold {
    name: "bytes sent for each received",
    value: 20.0,
    unit: "",
    why: "acknowledgements alone are 1 to 40 or so; what is received is lost",
};

pub(super) static ATLANTIC_LRO: Rule = Rule {
    id: "atlantic-lro",
    family: Family::Uplink,
    title: "An Aquantia card under a bridge receives next to nothing",
    mechanism: "LRO of the atlantic driver has broken forwarded frames in several of its versions",
    trigger: "Driver atlantic at a port of a bridge, and LRO on, or GRO on while far less is \
        received than sent and frames are dropped.",
    remedy: "LRO off; if that does not help, GRO off.",
    cost: "CPU time for what is received.",
    wrong_when: "the traffic is one-way by nature",
    sources: &[
        "Aquantia/AQtion#5, #12, #25 and #67",
        "Aquantia/AQtion-esxi#14",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Drops, Need::Features, Need::Driver],
    thresholds: &[&LOPSIDED],
    check: Check::Port(On::Uplink, atlantic),
    ..Rule::BASE
};

fn atlantic(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let is_port = window.master(port).is_some_and(is_switch);
    if port.driver()? != "atlantic" || !is_port {
        return None;
    }
    let lopsided = port.to.bytes as f64 >= LOPSIDED.value * port.from.bytes as f64;
    let (verdict, off) = if port.is_on(Feature::Lro) {
        (Verdict::Change, Feature::Lro)
    } else if port.is_on(Feature::Gro) && lopsided && port.from.drops != 0 {
        (Verdict::NeedsTrial, Feature::Gro)
    } else {
        return None;
    };
    let text = format!(
        "{} (atlantic) is a port of a bridge with {} on",
        port.dev(),
        off.name()
    );
    Some(
        Finding::new(verdict, text)
            .measured([
                make::feature(port, off),
                make::counted(
                    window,
                    "received",
                    window.per_s(port.from.bytes),
                    Unit::BytesPerS,
                ),
                make::counted(window, "sent", window.per_s(port.to.bytes), Unit::BytesPerS),
            ])
            .fix(make::set_features(window, port, &[(off, false)])),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        advice::Advice,
        testing::{Frames, Made, Scene},
    };

    fn uplink(driver: &str) -> Made {
        Made::uplink("eth0", 2, driver)
            .master(3)
            .to(Frames::plain(2_000, 1514))
    }

    fn says(uplink: Made, rule: &'static Rule) -> Vec<Advice> {
        Scene::default()
            .with(Made::bridge("br0", 3))
            .with(uplink)
            .advice(rule)
    }

    #[test]
    fn lro_is_wrong_under_a_bridge_only() {
        let on = || uplink("ixgbe").on(&[Feature::Lro]);
        assert_eq!(says(on(), &LRO_FORWARDING)[0].verdict, Verdict::Change);
        assert_eq!(says(uplink("ixgbe"), &LRO_FORWARDING), []);
        let alone = Made::uplink("eth0", 2, "ixgbe").on(&[Feature::Lro]);
        assert_eq!(says(alone.to(Frames::plain(10, 100)), &LRO_FORWARDING), []);
    }

    #[test]
    fn lro_is_found_below_a_bond() {
        let scene = |port: Made| {
            let bond = Made::other("bond0", 4, "bond").master(3);
            let port = port.master(4).from(Frames::plain(10, 100));
            Scene::default()
                .with(Made::bridge("br0", 3))
                .with(bond)
                .with(port)
        };
        let port = || Made::uplink("eth0", 2, "ixgbe");
        let found = scene(port().on(&[Feature::Lro])).advice(&LRO_UNDER_BOND);
        assert_eq!(found[0].subject.dev.as_deref(), Some("eth0"));
        assert_eq!(scene(port()).advice(&LRO_UNDER_BOND), []);
    }

    #[test]
    fn an_atlantic_card_is_looked_at_more_closely() {
        let gro = |received, drops| {
            uplink("atlantic")
                .from(Frames::plain(received, 1514))
                .dropped(drops, 0)
        };
        assert_eq!(
            says(uplink("atlantic").on(&[Feature::Lro]), &ATLANTIC_LRO).len(),
            1
        );
        assert_eq!(
            says(gro(100, 5), &ATLANTIC_LRO)[0].verdict,
            Verdict::NeedsTrial
        );
        assert_eq!(says(gro(101, 5), &ATLANTIC_LRO), []);
        assert_eq!(says(gro(100, 0), &ATLANTIC_LRO), []);
    }
}
