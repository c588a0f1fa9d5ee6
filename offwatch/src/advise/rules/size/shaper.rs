//! Policers and shapers that do not take super-frames.

use crate::{
    advise::{
        advice::{Confidence, Persistence, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        rules::share::{self, Cause},
        window::{Port, Window},
    },
    facts::{
        device::Device,
        policer::{Place, Policer, Verdict as Exceed},
        qdisc::Shaper,
    },
    output::units::rate,
};

const BURST: Threshold = Threshold {
    name: "burst below",
    value: 65_536.0,
    unit: "bytes",
    why: "a super-frame has up to 64 KB, and one that exceeds the burst never passes",
};
const DROPS: Threshold = Threshold {
    name: "frames dropped on the way from or to the interface",
    value: 10.0,
    unit: "in the window",
    why: "a policer is there to drop now and then",
};

pub(super) static POLICER_BURST: Rule = Rule {
    id: "policer-burst",
    family: Family::Size,
    title: "A policer drops super-frames for their length",
    mechanism: "A policer counts a super-frame with all its bytes and drops it if these exceed \
        burst or mtu, at whatever rate: TCP then collapses far below the limit",
    trigger: "A policer with a burst or mtu below 64 KB is attached, super-frames of that length \
        arrive, and frames are dropped.",
    remedy: "Raise burst (and mtu) to 64 KB or more. With libvirt: burst of <outbound>, in KiB.",
    cost: "None; a burst more passes.",
    wrong_when: "the limit must hold for each burst, too: then the guest's TSO is to go",
    sources: &[
        "Linux, net/sched/act_police.c: tcf_police_act",
        "dokuwiki.fl8.jp: mtu 33000 for taps; timesinker (2011)",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso, Need::Drops, Need::Devices],
    thresholds: &[&BURST, &DROPS],
    check: Check::Port(On::Any, policer),
    ..Rule::BASE
};

fn policer(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let policers = port.device?.policers.known()?.iter();
    let mut tight = policers.filter_map(|policer| {
        let limit = longest(policer)?;
        let drops = dropped(port, policer)?;
        Some((policer, limit, drops))
    });
    let (policer, limit, drops) = tight.next()?;
    let text = format!(
        "a policer at {} drops {} frames/s: no frame above {limit} bytes passes it, and \
         super-frames are longer",
        port.dev(),
        rate(Some(window.per_s(drops))),
    );
    let xml = make::xml(
        window,
        port,
        "<bandwidth><outbound average='...' burst='128'/></bandwidth>",
    );
    let tc = make::people(
        make::scope(port),
        format!(
            "replace the {} policer of {} by one with burst 128k mtu 64kb (tc filter)",
            policer.filter,
            port.dev()
        ),
    );
    let found = Finding::new(Verdict::Change, text).measured([
        make::counted(window, "frames dropped", drops as f64, Unit::Frames),
        make::told(
            "longest frame that passes",
            limit as f64,
            Unit::Bytes,
            "tc netlink",
        ),
    ]);
    let is_libvirt = port.setup.and_then(|setup| setup.bandwidth.known());
    let is_libvirt = is_libvirt.is_some_and(|bandwidth| bandwidth.outbound.is_some());
    Some(match xml.filter(|_| is_libvirt) {
        Some(xml) => {
            let live = "virsh domiftune takes it for the running VM, too";
            found.fix(xml.lasting(Persistence::Lasting).when(live))
        }
        None => found.fix(tc),
    })
}

/// The longest frame that passes, if that is less than a super-frame may have.
fn longest(policer: &Policer) -> Option<u64> {
    let limits = [policer.burst_bytes, policer.mtu_bytes.map(u64::from)];
    let limit = limits.into_iter().flatten().min()?;
    ((limit as f64) < BURST.value && policer.exceed == Exceed::Drop).then_some(limit)
}

/// What it dropped, if super-frames that are too long came its way.
fn dropped(port: &Port<'_>, policer: &Policer) -> Option<u64> {
    let (flow, drops) = match policer.place {
        Place::Ingress => (&port.from, port.from.drops),
        Place::Egress | Place::Queue(_) => (&port.to, port.to.drops),
    };
    let limit = u32::try_from(longest(policer)?).ok()?;
    // Behind a policer only what passed it is counted.
    let has_long = flow.gso_packets != 0 && flow.frames_from(limit.next_power_of_two()) != 0
        || policer.place != Place::Ingress;
    let own = own_drops(port.device_before, policer);
    let drops = own.map_or(drops, |own| own.min(drops));
    (has_long && drops as f64 >= DROPS.value).then_some(drops)
}

/// By how much its own counter of drops has grown, if that is known.
fn own_drops(before: Option<&Device>, policer: &Policer) -> Option<u64> {
    let same = |other: &&Policer| {
        (other.place, other.preference, &other.filter)
            == (policer.place, policer.preference, &policer.filter)
    };
    let before = before?.policers.known()?.iter().find(same)?;
    let (now, before) = (policer.counters?, before.counters?);
    Some(now.overlimits.saturating_sub(before.overlimits))
}

pub(super) static TBF_BURST: Rule = Rule {
    id: "tbf-burst",
    family: Family::Size,
    title: "A token bucket with a small burst has super-frames cut",
    mechanism: "tbf cuts a GSO frame that is longer than its burst in software before it queues \
        it",
    trigger: "The root queueing discipline is tbf, its burst is below 64 KB, and super-frames are \
        cut on the way to the interface.",
    remedy: "Raise burst to 64 KB or more.",
    cost: "Saves the work that is done now; shaping is coarser by one frame.",
    wrong_when: "shaping must be as fine as it is: the cut is then its price",
    sources: &["Linux, net/sched/sch_tbf.c: tbf_segment"],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Work, Need::Features, Need::Devices],
    thresholds: &[&BURST, &share::CUT_RATE, &share::CUT_SHARE, &share::FEWEST],
    check: Check::Port(On::Any, token_bucket),
    ..Rule::BASE
};

fn token_bucket(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    if share::cause(window, port)? != Cause::Shaper {
        return None;
    }
    let Shaper::Tbf(bucket) = &port.device?.root_qdisc()?.shaper else {
        return None;
    };
    let burst = bucket.burst_bytes;
    if burst as f64 >= BURST.value {
        return None;
    }
    let text = format!(
        "tbf of {} has {} segments/s cut: its burst is {burst} bytes",
        port.dev(),
        rate(Some(window.per_s(port.cut()))),
    );
    let command = format!(
        "tc qdisc change dev {} root tbf rate {}bps burst 128k latency 50ms",
        make::shell(port),
        bucket.rate_bytes_per_s
    );
    Some(
        Finding::new(Verdict::Change, text)
            .measured(share::cut_evidence(window, port))
            .measured([make::told("burst", burst as f64, Unit::Bytes, "tc netlink")])
            .price(share::work_price(window, port))
            .fix(make::command(port, command)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advise::testing::{Frames, Made, Scene},
        facts::qdisc::{Handle, Qdisc, TokenBucket},
        sample::offloads::Fact,
    };

    #[test]
    fn a_policer_with_a_small_burst_is_found_by_its_drops() {
        let says = |burst, frames: Frames, drops| {
            let tap = Made::tap("vnet0", 7)
                .vm("web")
                .from(frames)
                .dropped(drops, 0);
            let tap = tap.device(|device| {
                device.policers = Fact::Known(vec![Policer {
                    burst_bytes: Some(burst),
                    filter: "u32".into(),
                    ..Policer::default()
                }]);
            });
            Scene::default().with(tap).advice(&POLICER_BURST)
        };
        let long = Frames::tcp(100, 44);
        assert_eq!(says(16_384, long, 10).len(), 1);
        assert_eq!(says(16_384, long, 9), []);
        // Longer than any super-frame, so that the burst alone decides.
        let longest = Frames::tcp(100, 46);
        assert_eq!(says(65_535, longest, 10).len(), 1);
        assert_eq!(says(65_536, longest, 10), []);
        assert_eq!(
            says(16_384, Frames::plain(100, 1514), 10),
            [],
            "it polices the rate"
        );
    }

    #[test]
    fn a_token_bucket_with_a_small_burst_cuts() {
        let says = |burst_bytes| {
            let tap = Made::tap("vnet1", 8)
                .vm("db")
                .to(Frames::plain(80_000, 1514));
            let tap = tap.cut(80_000).device(|device| {
                device.qdiscs = Fact::Known(vec![Qdisc {
                    kind: "tbf".into(),
                    parent: Handle::ROOT,
                    shaper: Shaper::Tbf(TokenBucket {
                        burst_bytes,
                        ..TokenBucket::default()
                    }),
                    ..Qdisc::default()
                }]);
            });
            Scene::default().with(tap).advice(&TBF_BURST)
        };
        assert_eq!(says(16_384).len(), 1);
        assert_eq!(says(65_536), []);
    }
}
