//! What captures call incorrect.

use crate::{
    advise::{
        advice::{Confidence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, Rule},
        rules::share::FEWEST,
        window::Window,
    },
    output::units::rate,
    sample::evidence::Sign,
};

pub(super) static BAD_CKSUM_IN_CAPTURES: Rule = Rule {
    id: "bad-cksum-in-captures",
    family: Family::Trap,
    title: "'cksum incorrect' in a capture on this host is a checksum not computed yet",
    mechanism: "A frame between guests carries the sum of its pseudo-header until somebody needs \
        the whole; tcpdump takes that for wrong",
    trigger: "Frames whose checksum is still to be computed pass, and nothing was dropped for a \
        wrong checksum, neither here nor by the host's own TCP and UDP.",
    remedy: "None. Capture in the guest, or with tcpdump --dont-verify-checksums.",
    cost: "None.",
    wrong_when: "a consumer on this host reads frames past the kernel's transmit path",
    sources: &[
        "Linux, include/linux/skbuff.h: CHECKSUM_PARTIAL",
        "sokratisg.net, moonpoint.com and oneuptime.com on incorrect checksums in captures",
    ],
    confidence: Confidence::High,
    needs: &[Need::Protocols],
    thresholds: &[&FEWEST],
    check: Check::Host(check),
    ..Rule::BASE
};

fn check(window: &Window<'_>) -> Option<Finding> {
    let partial = window.ports.iter().map(|port| port.from.partial_packets);
    let partial: u64 = partial.sum();
    let dropped = window.ports.iter().filter_map(|port| port.drops.checksum);
    let protocols = window.host.protocols.as_ref()?;
    let errors = [
        protocols.tcp_in_csum_errors_per_s,
        protocols.udp4_in_csum_errors_per_s,
    ];
    let errors: f64 = errors.into_iter().flatten().sum();
    if (partial as f64) < FEWEST.value
        || dropped.sum::<u64>() != 0
        || errors > 0.0
        || window.host.has_sign(Sign::RxChecksum)
    {
        return None;
    }
    let per_s = window.per_s(partial);
    let text = format!(
        "a capture calls the checksums of {} frames/s incorrect: they are not computed yet, and \
         none was dropped for it",
        rate(Some(per_s)),
    );
    Some(Finding::new(Verdict::Keep, text).measured([make::counted(
        window,
        "frames with their checksum to be computed",
        per_s,
        Unit::FramesPerS,
    )]))
}

#[cfg(test)]
mod tests {
    use offwatch_common::drop_class;

    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn partial_checksums_are_harmless_until_something_is_dropped() {
        let tap = |count| {
            Made::tap("vnet0", 7)
                .vm("web")
                .from(Frames::partial(count, 400))
        };
        let says = |tap: Made| Scene::default().with(tap).advice(&BAD_CKSUM_IN_CAPTURES);
        assert_eq!(says(tap(100))[0].verdict, Verdict::Keep);
        assert_eq!(says(tap(99)), []);
        assert_eq!(says(tap(100).dropped_for(drop_class::CHECKSUM, 1)), []);
    }
}
