//! Guests that do not read what they get.

use crate::{
    advise::{
        advice::{Confidence, Scope, Unit, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, On, Rule, Threshold},
        window::{Port, Window, ratio},
    },
    output::units::rate,
};

const STUCK: Threshold = Threshold {
    name: "frames dropped for a full ring",
    value: 10.0,
    unit: "in the window",
    why: "a ring holds hundreds of frames: once it is full, a living guest has read some in a second",
};

const READ: Threshold = Threshold {
    name: "frames that seem to be read",
    value: 0.001,
    unit: "of those dropped",
    why: "a frame counts as read until it is dropped: each processor may have one on its way, \
        and more than those are never taken for that",
};

pub(super) static GUEST_STOPPED_READING: Rule = Rule {
    id: "guest-stopped-reading",
    family: Family::Stability,
    title: "A guest neither reads nor sends: its network has stopped",
    mechanism: "The ring of its tap is full and stays so; the guest hangs, or its driver lost an \
        interrupt, as old virtio drivers did under load",
    trigger: "Frames are dropped for a full ring, the guest reads none, and sends none.",
    remedy: "Look at the guest's console. If it lives, reload its driver; then upgrade guest \
        kernel and QEMU. Offloads off are for guests of 2012 that cannot be upgraded.",
    cost: "None.",
    wrong_when: "the VM is paused, or boots",
    sources: &[
        "Launchpad 997978",
        "Red Hat Bugzilla 665293",
        "Linux, drivers/net/tun.c: FULL_RING",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Drops, Need::FullRing],
    thresholds: &[&STUCK, &READ],
    check: Check::Port(On::Tap, stopped),
    ..Rule::BASE
};

fn full_ring(window: &Window<'_>, port: &Port<'_>) -> Option<(u64, String)> {
    let drops = port.drops.full_ring?;
    (drops as f64 >= STUCK.value).then(|| (drops, rate(Some(window.per_s(drops)))))
}

/// Whether the guest neither reads nor sends.
fn is_dead(window: &Window<'_>, port: &Port<'_>, drops: u64) -> bool {
    let on_their_way = u64::from(window.host.online_cpus).max(1);
    let at_most = (drops as f64 * READ.value).min(on_their_way as f64);
    port.from.packets == 0 && port.to.packets as f64 <= at_most
}

fn stopped(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let (drops, per_s) = full_ring(window, port)?;
    if !is_dead(window, port, drops) {
        return None;
    }
    let text = format!(
        "{} reads nothing and sends nothing; {per_s} frames/s for it are dropped",
        port.dev(),
    );
    let console = make::in_guest(
        "look at its console; if it lives: modprobe -r virtio_net; modprobe virtio_net",
    );
    Some(
        Finding::new(Verdict::FixInGuest, text)
            .measured([make::counted(
                window,
                "frames dropped for a full ring",
                drops as f64,
                Unit::Frames,
            )])
            .fix(console)
            .fix(make::upgrade("a current guest kernel and QEMU").when("if it comes back")),
    )
}

const SHARE: Threshold = Threshold {
    name: "share of frames dropped for a full ring",
    value: 0.01,
    unit: "of frames to the guest",
    why: "1 % of loss halves what TCP carries, and less is its usual way to find the rate",
};

pub(super) static RING_OVERFLOWS: Rule = Rule {
    id: "ring-overflows",
    family: Family::Stability,
    title: "A guest reads more slowly than frames come, and some are dropped",
    mechanism: "The tap's queue is full whenever the guest's CPU or vhost thread is late; single \
        frames fill it faster than super-frames do",
    trigger: "More than 1 % of the frames for a guest are dropped for a full ring.",
    remedy: "Not offloads off: that makes more frames. Give the guest CPU time or queues \
        (<driver queues=/>), or a longer queue (ip link set DEV txqueuelen 10000).",
    cost: "Memory for the queue; latency under load.",
    wrong_when: "the sender is a flood of small UDP frames: no queue holds that",
    sources: &[
        "Linux, drivers/net/tun.c: tun_net_xmit",
        "RHEL 7 Virtualization Tuning: multi-queue",
    ],
    confidence: Confidence::Medium,
    needs: &[Need::Frames, Need::Drops, Need::FullRing],
    thresholds: &[&STUCK, &SHARE],
    check: Check::Port(On::Tap, overflows),
    ..Rule::BASE
};

fn overflows(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let (drops, per_s) = full_ring(window, port)?;
    let share = ratio(drops, drops + port.to.packets);
    if is_dead(window, port, drops) || share < SHARE.value {
        return None;
    }
    let text = format!(
        "{} drops {per_s} frames/s, {:.1} %, as the guest reads too slowly",
        port.dev(),
        share * 100.0,
    );
    let queue = make::command(
        port,
        format!("ip link set dev {} txqueuelen 10000", make::shell(port)),
    );
    let xml = make::xml(window, port, "<driver queues='4'/>");
    let xml = xml.map(|fix| fix.when("if the guest has CPUs to read with"));
    let found = Finding::new(Verdict::NeedsTrial, text)
        .measured([
            make::counted(
                window,
                "frames dropped for a full ring",
                drops as f64,
                Unit::Frames,
            ),
            make::counted(window, "share of frames for the guest", share, Unit::Share),
        ])
        .fix(queue);
    let found = xml.into_iter().fold(found, Finding::fix);
    let cpu = make::people(Scope::Host, "give its vhost thread and vCPUs CPU time");
    Some(found.fix(cpu.when("if they wait for one")))
}

#[cfg(test)]
mod tests {
    use offwatch_common::drop_class;

    use super::*;
    use crate::advise::{
        advice::Advice,
        testing::{Frames, Made, Scene},
    };

    fn says(read: u64, drops: u64, rule: &'static Rule) -> Vec<Advice> {
        let tap = Made::tap("vnet0", 7).vm("slow").dropped(0, drops);
        let tap = tap.dropped_for(drop_class::FULL_RING, drops);
        let tap = match read {
            0 => tap,
            read => tap.to(Frames::plain(read, 1_514)),
        };
        Scene::default().with(tap).advice(rule)
    }

    #[test]
    fn a_guest_that_reads_nothing_has_stopped() {
        assert_eq!(
            says(0, 10, &GUEST_STOPPED_READING)[0].verdict,
            Verdict::FixInGuest
        );
        assert_eq!(says(0, 9, &GUEST_STOPPED_READING), []);
        assert_eq!(says(1, 10, &GUEST_STOPPED_READING), []);
        assert_eq!(says(3, 2_999, &GUEST_STOPPED_READING), []);
        let on_their_way = says(3, 3_000, &GUEST_STOPPED_READING);
        assert_eq!(on_their_way[0].verdict, Verdict::FixInGuest);
        // One for each of the host's eight processors.
        assert_eq!(says(8, 1_000_000, &GUEST_STOPPED_READING).len(), 1);
        assert_eq!(says(9, 1_000_000, &GUEST_STOPPED_READING), []);
    }

    #[test]
    fn a_slow_reader_is_told_from_one_percent_on() {
        assert_eq!(
            says(990, 10, &RING_OVERFLOWS)[0].verdict,
            Verdict::NeedsTrial
        );
        assert_eq!(says(1_100, 10, &RING_OVERFLOWS), []);
        assert_eq!(says(0, 10, &RING_OVERFLOWS), []);
        assert_eq!(says(3, 3_000, &RING_OVERFLOWS), []);
        assert_eq!(says(3, 2_999, &RING_OVERFLOWS).len(), 1);
    }
}
