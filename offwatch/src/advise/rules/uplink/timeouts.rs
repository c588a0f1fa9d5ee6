//! Cards whose transmit queue gets stuck.

use crate::advise::{
    advice::{Confidence, Unit, Verdict},
    make,
    need::Need,
    rule::{Check, Family, Finding, On, Rule, Threshold},
    window::{Feature, Port, Window},
};

const TIMEOUTS: Threshold = Threshold {
    name: "transmit timeouts",
    value: 1.0,
    unit: "in the window",
    why: "a queue that is stuck once stands still for seconds; there is no harmless one",
};

pub(super) static E1000E_HANG: Rule = Rule {
    id: "e1000e-hang",
    family: Family::Uplink,
    title: "An Intel card of e1000e hangs while it segments",
    mechanism: "Some cards of this driver (I217 to I219) stop transmitting in the middle of a TSO \
        frame until the driver resets them",
    trigger: "Driver e1000e, a transmit timeout in the window, and TSO on.",
    remedy: "TSO off; if it hangs again, GSO and GRO off as well.",
    cost: "CPU time: for i219 the kernel does so by itself, as its workaround costs more.",
    wrong_when: "cable, switch or power saving of the link are at fault",
    sources: &[
        "Linux commits f29801030ac6 and 67d47b95119a: TSO of i219 off",
        "community-scripts/ProxmoxVE#5155",
        "majabojarska.dev: hang of e1000e on Proxmox",
    ],
    confidence: Confidence::High,
    needs: &[Need::Driver, Need::TxTimeouts, Need::Features],
    thresholds: &[&TIMEOUTS],
    check: Check::Port(On::Uplink, e1000e),
    ..Rule::BASE
};

fn e1000e(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    if port.driver()? != "e1000e" || !port.is_on(Feature::Tso) {
        return None;
    }
    let more = [(Feature::Gso, false), (Feature::Gro, false)];
    let tso = [(Feature::Tso, false), (Feature::Tso6, false)];
    let more = make::set_features(window, port, &more);
    Some(
        hang(port)?
            .fix(make::set_features(window, port, &tso))
            .fix(more.when("if it hangs again")),
    )
}

pub(super) static R8169_HANG: Rule = Rule {
    id: "r8169-hang",
    family: Family::Uplink,
    title: "A Realtek card of r8169 hangs while it segments",
    mechanism: "Several chips of this driver have faults with TSO; with TSO off and \
        scatter-gather on, RTL8168evl becomes very slow",
    trigger: "Driver r8169, a transmit timeout in the window, and TSO or scatter-gather on.",
    remedy: "TSO and scatter-gather off, both together.",
    cost: "CPU time and copies.",
    wrong_when: "power saving of the link (ASPM) is at fault",
    sources: &[
        "Linux commits a7eb6a4f2560, 773235f4e1cc and b423e9ae49d7",
        "Linux commit 7cb83b21fd3b: checksums and TSO off with jumbo frames",
    ],
    confidence: Confidence::High,
    needs: &[Need::Driver, Need::TxTimeouts, Need::Features],
    thresholds: &[&TIMEOUTS],
    check: Check::Port(On::Uplink, r8169),
    ..Rule::BASE
};

fn r8169(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let is_on = port.is_on(Feature::Tso) || port.is_on(Feature::ScatterGather);
    if port.driver()? != "r8169" || !is_on {
        return None;
    }
    let off = [
        (Feature::Tso, false),
        (Feature::Tso6, false),
        (Feature::ScatterGather, false),
    ];
    Some(hang(port)?.fix(make::set_features(window, port, &off)))
}

pub(super) static TX_TIMEOUT: Rule = Rule {
    id: "tx-timeout",
    family: Family::Uplink,
    title: "The transmit queue of a card gets stuck",
    mechanism: "The kernel found the card not to transmit for seconds and had the driver reset \
        it; super-frames are one of several causes",
    trigger: "A transmit timeout in the window, TSO on, and a driver without a rule of its own.",
    remedy: "Try TSO off, and measure: keep it only if the timeouts end. Then look for newer \
        firmware and kernel.",
    cost: "CPU time for all that the card segments now.",
    wrong_when: "cable, switch, power saving or flow control are at fault, as is likely",
    sources: &["Linux, net/sched/sch_generic.c: dev_watchdog"],
    confidence: Confidence::Low,
    needs: &[Need::TxTimeouts, Need::Features],
    thresholds: &[&TIMEOUTS],
    check: Check::Port(On::Uplink, other),
    ..Rule::BASE
};

fn other(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let has_own = port
        .driver()
        .is_some_and(|name| ["e1000e", "r8169"].contains(&name));
    if has_own || !port.is_on(Feature::Tso) {
        return None;
    }
    let tso = [(Feature::Tso, false), (Feature::Tso6, false)];
    let mut found = hang(port)?.fix(make::set_features(window, port, &tso));
    found.verdict = Verdict::NeedsTrial;
    Some(found)
}

fn hang(port: &Port<'_>) -> Option<Finding> {
    let timeouts = port.tx_timeouts?;
    if (timeouts.grown as f64) < TIMEOUTS.value {
        return None;
    }
    let text = format!(
        "the transmit queue of {} ({}) was stuck {} times in the window, {} times in all",
        port.dev(),
        port.driver().unwrap_or("unknown driver"),
        timeouts.grown,
        timeouts.total,
    );
    Some(Finding::new(Verdict::Change, text).measured([
        make::told(
            "transmit timeouts",
            timeouts.grown as f64,
            Unit::Events,
            "sysfs",
        ),
        make::feature(port, Feature::Tso),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        advice::Advice,
        testing::{Frames, Made, Scene},
    };

    fn says(driver: &str, timeouts: u64, off: &[Feature], rule: &'static Rule) -> Vec<Advice> {
        let uplink = Made::uplink("eth0", 2, driver).off(off).timeouts(timeouts);
        Scene::default()
            .with(uplink.to(Frames::tcp(10, 40)))
            .advice(rule)
    }

    #[test]
    fn a_driver_is_at_fault_only_with_a_sign() {
        let tso = &[Feature::Tso, Feature::Tso6];
        assert_eq!(
            says("e1000e", 1, &[], &E1000E_HANG)[0].verdict,
            Verdict::Change
        );
        assert_eq!(says("e1000e", 0, &[], &E1000E_HANG), []);
        assert_eq!(
            says("e1000e", 1, tso, &E1000E_HANG),
            [],
            "TSO is off already"
        );
        assert_eq!(says("igb", 1, &[], &E1000E_HANG), []);
        assert_eq!(
            says("r8169", 1, tso, &R8169_HANG).len(),
            1,
            "sg is still on"
        );
        assert_eq!(says("r8169", 0, &[], &R8169_HANG), []);
    }

    #[test]
    fn of_other_drivers_a_trial_decides() {
        assert_eq!(
            says("igb", 1, &[], &TX_TIMEOUT)[0].verdict,
            Verdict::NeedsTrial
        );
        assert_eq!(says("igb", 0, &[], &TX_TIMEOUT), []);
        assert_eq!(says("e1000e", 1, &[], &TX_TIMEOUT), []);
    }
}
