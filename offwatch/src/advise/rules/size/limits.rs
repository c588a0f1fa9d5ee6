//! Limits of GSO frames.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        rules::share::{self, Cause},
        window::{Port, Window},
    },
    output::units::rate,
};

pub(super) static GSO_LIMIT_LOWERED: Rule = Rule {
    id: "gso-limit-lowered",
    family: Family::Size,
    title: "The GSO limits of an interface are lower than frames are long",
    mechanism: "A frame longer than gso_max_size, or with more segments than gso_max_segs, is cut \
        in software down to the MSS, whatever the features say",
    trigger: "Super-frames are cut on the way to an interface with TSO on, and its limits are \
        below the usual.",
    remedy: "Raise the limits to the usual ones.",
    cost: "Saves the work that is done now.",
    wrong_when: "the limit works around a fault of the device",
    sources: &[
        "Linux, net/core/dev.c: gso_features_check",
        "kernel meetup Bangalore 2026: macvtap from guest to guest",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Work, Need::Features, Need::Limits],
    thresholds: share::CUT,
    check: Check::Port(On::Any, lowered),
    ..Rule::BASE
};

fn lowered(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    if share::cause(window, port)? != Cause::Limits {
        return None;
    }
    let limits = port.limits()?;
    let size = limits.gso_max_size_bytes.unwrap_or(share::DEFAULT_SIZE);
    let text = format!(
        "the host cuts {} segments/s for {}{}: its gso_max_size is {size}, gso_max_segs {}",
        rate(Some(window.per_s(port.cut()))),
        port.dev(),
        share::senders(window, port),
        limits.gso_max_segs.unwrap_or(65_535),
    );
    // Up to 64 KB it sets the limit for IPv4 as well, which `ip` has a word for only since 6.3.
    let command = format!(
        "ip link set dev {} gso_max_size 65536 gso_max_segs 65535",
        make::shell(port)
    );
    Some(
        Finding::new(Verdict::Change, text)
            .measured(share::cut_evidence(window, port))
            .measured([make::told(
                "gso_max_size",
                f64::from(size),
                Unit::Bytes,
                "rtnetlink",
            )])
            .price(share::work_price(window, port))
            .fix(make::command(port, command)),
    )
}

const LONG: Threshold = Threshold {
    name: "frames of 64 KB and more from the uplink",
    value: 10.0,
    unit: "in the window",
    why: "a few are merged by chance",
};

pub(super) static BIG_TCP_UPLINK: Rule = Rule {
    id: "big-tcp-uplink",
    family: Family::Size,
    title: "An uplink merges to more than 64 KB (BIG TCP), which every tap has cut",
    mechanism: "A tap takes frames of up to 65,536 bytes; what GRO of the uplink merged to more \
        is cut in software down to the MSS at each of them",
    trigger: "gro_max_size or gro_ipv4_max_size of the uplink exceeds 65,536, it receives such \
        frames, and segments are cut for them.",
    remedy: "Set the uplink's GRO limits back to 65,536.",
    cost: "Saves the work that is done now; what the host itself receives is merged less.",
    wrong_when: "next to all traffic of the uplink is the host's own",
    version_bound: Some("Linux 5.19 (IPv6) and 6.3 (IPv4) or later"),
    sources: &[
        "Linux, net/core/gro.c and net/core/dev.c: gso_features_check",
        "Linux, Documentation/networking: gro_max_size, gso_max_size",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso, Need::Work, Need::Limits],
    thresholds: &[&LONG, &share::CUT_RATE],
    check: Check::Port(On::Any, big_tcp),
    ..Rule::BASE
};

fn big_tcp(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let long = port.from.frames_from(share::DEFAULT_SIZE);
    if port.is_tap()
        || !port.merges_beyond(share::DEFAULT_SIZE)
        || (long as f64) < LONG.value
        || window.per_s(port.caused_cut()) < share::CUT_RATE.value
    {
        return None;
    }
    let text = format!(
        "{} merges to more than 64 KB: {} segments/s are cut again for taps",
        port.dev(),
        rate(Some(window.per_s(port.caused_cut()))),
    );
    // As above.
    let command = format!("ip link set dev {} gro_max_size 65536", make::shell(port));
    Some(
        Finding::new(Verdict::Change, text)
            .measured([
                make::counted(
                    window,
                    "frames of 64 KB and more",
                    long as f64,
                    Unit::Frames,
                ),
                make::counted(
                    window,
                    "segments cut for its frames",
                    window.per_s(port.caused_cut()),
                    Unit::SegmentsPerS,
                ),
            ])
            .fix(make::command(port, command)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        advice::Action,
        testing::{Frames, Made, Scene},
    };

    #[test]
    fn a_lowered_limit_is_found_where_frames_are_cut() {
        let says = |limit, cut| {
            let tap = Made::tap("vnet1", 8)
                .vm("db")
                .to(Frames::plain(1_000_000, 1514));
            let tap = tap
                .cut(cut)
                .limits(|limits| limits.gso_max_size_bytes = Some(limit));
            Scene::default().with(tap).advice(&GSO_LIMIT_LOWERED)
        };
        let found = says(16_384, 50_000);
        let Action::Command { command } = &found[0].fixes[0].action else {
            panic!("{found:?}");
        };
        assert!(command.starts_with("ip link set dev vnet1 gso_max_size 65536"));
        assert_eq!(says(16_384, 49_990), []);
        assert_eq!(says(65_536, 50_000), []);
    }

    #[test]
    fn big_tcp_is_found_at_the_uplink() {
        let says = |limit, long| {
            let uplink = Made::uplink("eth0", 2, "mlx5_core")
                .master(3)
                .caused(50_000);
            let uplink = uplink.limits(|limits| limits.gro_max_size_bytes = Some(limit));
            let uplink = uplink.from(Frames::tcp(long, 100));
            let tap = Made::tap("vnet1", 8).vm("db").master(3).cut(50_000);
            let tap = tap.to(Frames::plain(50_000, 1514));
            Scene::default().with(uplink).with(tap)
        };
        assert_eq!(says(185_000, 10).advice(&BIG_TCP_UPLINK).len(), 1);
        assert_eq!(says(185_000, 9).advice(&BIG_TCP_UPLINK), []);
        assert_eq!(says(65_536, 10).advice(&BIG_TCP_UPLINK), []);
        // Nothing else explains the tap's work, and nothing else does.
        let tap_rules = says(185_000, 10).report();
        assert!(
            tap_rules
                .advice
                .iter()
                .all(|advice| advice.rule != "mangleid-gap")
        );
    }
}
