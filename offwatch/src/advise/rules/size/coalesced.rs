//! Sizes that look odd, and are not.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        rules::share::FEWEST,
        window::{Port, Window, ratio},
    },
    model::histogram::percentile,
    output::units::rate,
};

const SMALL: Threshold = Threshold {
    name: "median size of segments below",
    value: 536.0,
    unit: "bytes",
    why: "the least that TCP assumes of a path (RFC 9293): below it something keeps the MSS small",
};
const SHORT: Threshold = Threshold {
    name: "mean segments of a GSO frame below",
    value: 2.0,
    unit: "segments",
    why: "with two a frame, TSO halves the work at most",
};

pub(super) static SMALL_SEGMENTS: Rule = Rule {
    id: "small-segments",
    family: Family::Size,
    title: "GSO frames hold small or few segments: that is the application, not an offload",
    mechanism: "How large segments are and how many come at once is decided by the MSS and by how \
        the application writes",
    trigger: "Half of the GSO frames have segments below 536 bytes, or they hold less than two \
        segments in the mean.",
    remedy: "No offload helps. Look at the MSS (MTU of the path, clamping) and at the application.",
    cost: "None.",
    wrong_when: "never: offloads neither cause nor cure it",
    sources: &[
        "RFC 9293",
        "Linux, net/ipv4/tcp_output.c: tcp_mss_split_point",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Gso],
    thresholds: &[&SMALL, &SHORT, &FEWEST],
    check: Check::Port(On::Tap, small),
    ..Rule::BASE
};

fn small(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let flow = &port.from;
    if (flow.gso_packets as f64) < FEWEST.value {
        return None;
    }
    let median = percentile(&flow.gso_sizes, 50).and_then(|range| range.1);
    let is_small = median.is_some_and(|high| f64::from(high) < SMALL.value);
    let segments = ratio(flow.gso_segments, flow.gso_packets);
    if !is_small && segments >= SHORT.value {
        return None;
    }
    let median = median.map_or_else(String::new, |high| {
        format!(", half of them of at most {high} bytes")
    });
    let text = format!(
        "GSO frames from {} hold {segments:.1} segments{median}: look at MSS and application",
        port.dev(),
    );
    Some(Finding::new(Verdict::Keep, text).measured([make::counted(
        window,
        "GSO frames from the guest",
        window.per_s(flow.gso_packets),
        Unit::FramesPerS,
    )]))
}

pub(super) static COALESCED_FRAMES: Rule = Rule {
    id: "coalesced-frames",
    family: Family::Trap,
    title: "Frames of about 2,900 bytes in a capture are two segments, and no fault",
    mechanism: "A capture shows frames before they are cut or after they are merged: 2 x 1448 \
        bytes and one header are 2,962, and on the wire they are two frames",
    trigger: "GSO frames of 2,048 to 4,095 bytes pass an interface with a usual MTU, and no \
        single frame exceeds the MTU.",
    remedy: "None. If single frames exceeded the MTU, another rule would say so.",
    cost: "None.",
    wrong_when: "frames that are not GSO exceed the MTU as well",
    sources: &[
        "kris.io: 2,900-byte packets taken for a fault of TSO",
        "Stack Overflow 22369022",
    ],
    confidence: Confidence::High,
    needs: &[Need::Gso],
    thresholds: &[&FEWEST],
    check: Check::Host(coalesced),
    ..Rule::BASE
};

/// The range of the histogram in which two coalesced segments lie.
const TWO_SEGMENTS: u32 = 2048;
/// An MTU with which they would not fit into one frame.
const USUAL_MTU: u32 = 1_600;

fn coalesced(window: &Window<'_>) -> Option<Finding> {
    let frames = |port: &Port<'_>| {
        let of = |rows: &[crate::model::HistogramRow]| {
            rows.iter()
                .find(|row| row.0 == TWO_SEGMENTS)
                .map_or(0, |row| row.2)
        };
        of(&port.from.lengths) + of(&port.to.lengths)
    };
    let harmless = window.ports.iter().filter(|port| {
        let oversize = port.from.oversize_packets + port.to.oversize_packets;
        port.found.mtu <= USUAL_MTU && oversize == 0
    });
    let (port, count) = harmless
        .map(|port| (port, frames(port)))
        .max_by_key(|(_, count)| *count)?;
    if (count as f64) < FEWEST.value {
        return None;
    }
    let text = format!(
        "frames of 2 to 4 KB, {}/s at {}, are merged segments; no single frame exceeds the MTU",
        rate(Some(window.per_s(count))),
        port.dev(),
    );
    let evidence = make::counted(window, "frames of 2 to 4 KB", count as f64, Unit::Frames);
    Some(Finding::new(Verdict::Keep, text).measured([evidence]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        advice::Advice,
        testing::{Frames, Made, Scene},
    };

    fn says(frames: Frames, rule: &'static Rule) -> Vec<Advice> {
        let tap = Made::tap("vnet0", 7).vm("web").from(frames);
        Scene::default().with(tap).advice(rule)
    }

    #[test]
    fn small_segments_are_no_fault_of_offloads() {
        assert_eq!(
            says(Frames::gso(100, 40, 400), &SMALL_SEGMENTS)[0].verdict,
            Verdict::Keep
        );
        assert_eq!(says(Frames::gso(99, 40, 400), &SMALL_SEGMENTS), []);
        assert_eq!(says(Frames::gso(100, 40, 1448), &SMALL_SEGMENTS), []);
        assert_eq!(says(Frames::gso(100, 2, 1448), &SMALL_SEGMENTS), []);
        assert_eq!(says(Frames::gso(100, 1, 1448), &SMALL_SEGMENTS).len(), 1);
    }

    #[test]
    fn two_coalesced_segments_are_harmless_and_a_long_frame_is_not() {
        let found = says(Frames::gso(100, 2, 1448), &COALESCED_FRAMES);
        assert_eq!(found[0].verdict, Verdict::Keep);
        assert_eq!(says(Frames::gso(99, 2, 1448), &COALESCED_FRAMES), []);
        assert_eq!(
            says(Frames::plain(100, 2_962).oversize(), &COALESCED_FRAMES),
            []
        );
    }
}
