//! Leave offloads on.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        forecast::Amount,
        make,
        need::Need,
        price::Effect,
        rule::{Check, Family, Finding, Rule, Threshold},
        window::{Vm, Window, ratio},
    },
    output::units::rate,
};

const FEWEST_GSO: Threshold = Threshold {
    name: "fewest GSO frames",
    value: 10.0,
    unit: "in the window",
    why: "a VM that sends and receives next to no GSO frames has nothing to lose or gain",
};

pub(super) static KEEP_ON: Rule = Rule {
    id: "keep-on",
    family: Family::Keep,
    title: "TSO, GSO and checksum offload earn their keep: leave them on",
    mechanism: "A super-frame passes bridge, tap and guest as one frame; with offloads off, each \
        of its segments does, and the host cuts and sums them",
    trigger: "The VM sends or receives GSO frames, and no rule found evidence against them.",
    remedy: "None. Articles say that virtio is slow with TSO and GSO on; the price of turning tx, \
        TSO and GSO off is told instead.",
    cost: "Segments a second times what cutting one takes, frames more times what a frame takes, \
        and bytes times what summing one takes.",
    wrong_when: "a fault shows only in the guest, or in traffic that was not there in the window",
    sources: &[
        "RHEL 10 documentation, Configuring network adapter offload settings: disable only \
         temporarily to troubleshoot, or where a feature has a negative effect",
        "KubeVirt commit 67e5225697 (2025): turning tx checksums off for all VMs is taken back",
        "Linux commit 0a6b2a1dc2a2: TCP is developed with TSO in mind",
        "Linux, Documentation/networking/segmentation-offloads.rst",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso],
    thresholds: &[&FEWEST_GSO],
    check: Check::Vm(check),
    ..Rule::BASE
};

fn check(window: &Window<'_>, vm: &Vm<'_>) -> Option<Finding> {
    let ports = || window.ports_of(vm);
    let sum = |value: fn(&crate::advise::window::Port<'_>) -> u64| ports().map(value).sum::<u64>();
    let to = sum(|port| port.to.gso_packets);
    let from = sum(|port| port.from.gso_packets);
    if ((to + from) as f64) < FEWEST_GSO.value {
        return None;
    }
    let to_segments = sum(|port| port.to.gso_segments);
    let from_segments = sum(|port| port.from.gso_segments);
    let added = (to_segments + from_segments).saturating_sub(to + from);
    let partial = sum(|port| port.to.partial_bytes);
    let bits = 8 * sum(|port| port.to.bytes + port.from.bytes);
    let segments_per_s = window.per_s(to_segments);
    let off = Amount {
        segments_per_s,
        frames_per_s: window.per_s(added),
        checksum_bytes_per_s: window.per_s(partial),
    };
    let price = off
        .price(
            window,
            vm.carrier,
            "turning tx, TSO and GSO off",
            Effect::Avoids,
        )
        .on_top_of(window.per_s(bits), vm.vhost_cpus);
    let bytes = sum(|port| port.to.bytes + port.from.bytes);
    let share = ratio(sum(|port| port.to.gso_bytes + port.from.gso_bytes), bytes);
    let text = format!(
        "{:.0} % of its bytes in GSO frames; off would be {} segments/s to cut, {} frames/s more",
        share * 100.0,
        rate(Some(segments_per_s)),
        rate(Some(window.per_s(added))),
    );
    let found = Finding::new(Verdict::Keep, text)
        .price(price)
        .trial("tx=off,tso=off,gso=off");
    Some(found.measured([
        make::counted(window, "traffic", window.per_s(bits), Unit::BitsPerS),
        make::counted(window, "share of bytes in GSO frames", share, Unit::Share),
        make::counted(
            window,
            "segments of GSO frames to the guest",
            segments_per_s,
            Unit::SegmentsPerS,
        ),
        make::counted(
            window,
            "segments of GSO frames from the guest",
            window.per_s(from_segments),
            Unit::SegmentsPerS,
        ),
        make::counted(
            window,
            "bytes to the guest with the checksum left to it",
            window.per_s(partial),
            Unit::BytesPerS,
        ),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn gso_traffic_is_kept_and_priced() {
        let tap = || Made::tap("vnet0", 7).vm("web");
        let advice = Scene::default()
            .with(
                tap()
                    .to(Frames::tcp(1_000, 40))
                    .from(Frames::plain(500, 66)),
            )
            .advice(&KEEP_ON);
        let [advice] = &advice[..] else {
            panic!("one verdict: {advice:?}");
        };
        assert_eq!(advice.verdict, Verdict::Keep);
        assert_eq!(advice.subject.name(), "web");
        let price = advice.price.as_ref().expect("it has its price");
        assert_eq!(
            price.parts[0].per_s, 4_000.0,
            "1,000 frames of 40 segments in 10 s"
        );
        assert_eq!(price.parts[1].per_s, 3_900.0);
        let expected = (4_000.0 * 460.0 + 3_900.0 * 2_000.0 + price.parts[2].per_s * 0.07) / 1e9;
        assert!((price.cores.value - expected).abs() < 1e-9);

        let few = Scene::default().with(tap().to(Frames::tcp(9, 40)));
        assert_eq!(few.advice(&KEEP_ON), []);
    }

    #[test]
    fn what_was_timed_here_is_preferred_to_tables() {
        let cut = Made::tap("vnet1", 8)
            .vm("db")
            .to(Frames::plain(40_000, 1514))
            .cut(40_000);
        let advice = Scene::default()
            .with(Made::tap("vnet0", 7).vm("web").to(Frames::tcp(1_000, 40)))
            .with(cut)
            .advice(&KEEP_ON);
        let price = advice[0].price.as_ref().expect("it has its price");
        assert_eq!(price.parts[0].ns_each.value, 500.0);
        assert_eq!(price.parts[0].basis.name(), "measured on this host");
        assert_eq!(price.parts[1].basis.name(), "table");
    }
}
