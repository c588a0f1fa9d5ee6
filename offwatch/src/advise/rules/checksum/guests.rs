//! Guests that cannot do with partial checksums.

use crate::advise::{
    advice::{Confidence, Unit, Verdict},
    make,
    need::Need,
    rule::{Check, Family, Finding, Rule, Threshold},
    window::{Vm, Window},
};

const MANY_VCPUS: Threshold = Threshold {
    name: "virtual CPUs",
    value: 60.0,
    unit: "",
    why: "the fewest with which it was reported",
};

pub(super) static NETKVM_RX_CHECKSUM: Rule = Rule {
    id: "netkvm-rx-checksum",
    family: Family::Checksum,
    title: "Windows with very many CPUs can lose its DHCP lease to partial checksums",
    mechanism: "NetKVM was reported to hand on UDP frames with the sum of the pseudo-header \
        alone, and Windows then drops them",
    trigger: "A Windows guest with 60 virtual CPUs or more receives frames with partial checksums.",
    remedy: "Update NetKVM. If leases are lost all the same: <guest csum='off'/> in the XML of \
        this VM alone.",
    cost: "The host sums and cuts for this guest: TSO goes with checksums.",
    wrong_when: "its leases are renewed, which only the guest can tell",
    sources: &["virtio-win#1630"],
    confidence: Confidence::Low,
    needs: &[Need::Frames, Need::Domains, Need::GuestOs],
    thresholds: &[&MANY_VCPUS],
    check: Check::Vm(netkvm),
    ..Rule::BASE
};

fn netkvm(window: &Window<'_>, vm: &Vm<'_>) -> Option<Finding> {
    let vcpus = vm.vcpus?;
    if !vm.is_windows() || (vcpus as f64) < MANY_VCPUS.value {
        return None;
    }
    let port = window
        .ports_of(vm)
        .find(|port| port.to.partial_packets.saturating_sub(port.to.gso_packets) != 0)?;
    let text = format!("Windows with {vcpus} CPUs gets partial checksums; look at its DHCP leases");
    let update = make::in_guest("update NetKVM (virtio-win); compare ipconfig /all with the lease");
    let off = "<driver><guest csum='off' tso4='off' tso6='off' ecn='off'/></driver>";
    let xml = make::xml(window, port, off);
    let xml = xml.map(|fix| fix.when("if leases are lost with the newest driver, too"));
    let found = Finding::new(Verdict::NeedsTrial, text)
        .about(make::port(window, port))
        .measured([make::counted(
            window,
            "frames with partial checksums to the guest",
            port.to.partial_packets as f64,
            Unit::Frames,
        )])
        .fix(update);
    Some(xml.into_iter().fold(found, Finding::fix))
}

const DROPS: Threshold = Threshold {
    name: "frames dropped for their checksum",
    value: 10.0,
    unit: "in the window",
    why: "a few come from the wire",
};

pub(super) static BSD_FORWARDS: Rule = Rule {
    id: "bsd-forwards",
    family: Family::Checksum,
    title: "A BSD firewall passes partial checksums on as if they were whole",
    mechanism: "vtnet of FreeBSD before its fix forwarded a frame whose checksum was not computed \
        yet without saying so, and whoever gets it drops it",
    trigger: "The guest is a BSD (FreeBSD, OPNsense, pfSense) and its frames are dropped for \
        wrong checksums.",
    remedy: "In the guest: ifconfig vtnetN -rxcsum -txcsum -tso -lro (pfSense and OPNsense: \
        Disable hardware checksum offload, and reboot). Or upgrade it.",
    cost: "What this firewall carries is cut and summed; no other VM is touched.",
    wrong_when: "the guest has the fix",
    version_bound: Some("FreeBSD without commit 3008f30d2c2c (PR 165059)"),
    sources: &[
        "docs.netgate.com: virtio driver support",
        "docs.opnsense.org: interface settings; opnsense/core#544",
        "FreeBSD PR 165059",
    ],
    confidence: Confidence::High,
    needs: &[
        Need::Frames,
        Need::ChecksumDrops,
        Need::Domains,
        Need::GuestOs,
    ],
    thresholds: &[&DROPS],
    check: Check::Vm(bsd),
    ..Rule::BASE
};

fn bsd(window: &Window<'_>, vm: &Vm<'_>) -> Option<Finding> {
    if !vm.is_bsd() {
        return None;
    }
    let drops = |port: &crate::advise::window::Port<'_>| port.drops.checksum.unwrap_or(0);
    let total: u64 = window.ports_of(vm).map(drops).sum();
    if (total as f64) < DROPS.value {
        return None;
    }
    let port = window.ports_of(vm).max_by_key(|port| drops(port))?;
    let text = format!("{total} frames of this BSD guest were dropped for wrong checksums");
    let off = "<driver><host csum='off' tso4='off' tso6='off'/>\
        <guest csum='off' tso4='off' tso6='off'/></driver>";
    let xml = make::xml(window, port, off);
    let xml = xml.map(|fix| fix.when("if that cannot be set in the guest"));
    let found = Finding::new(Verdict::FixInGuest, text)
        .about(make::port(window, port))
        .measured([make::counted(
            window,
            "frames dropped",
            total as f64,
            Unit::Frames,
        )])
        .fix(make::in_guest("ifconfig vtnetN -rxcsum -txcsum -tso -lro"));
    Some(xml.into_iter().fold(found, Finding::fix))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use offwatch_common::drop_class;

    use super::*;
    use crate::{
        advise::testing::{Frames, Made, Scene},
        sample::{Vcpu, VmStats},
    };

    #[test]
    fn many_cpus_and_windows_are_both_needed() {
        let says = |os: &str, vcpus: usize| {
            let tap = Made::tap("vnet0", 7).vm("big").to(Frames::partial(10, 342));
            let scene = Scene::default().with(tap).os("big", os);
            let scene = scene.change(|_, after, _| {
                let vcpus = Some(vec![Vcpu::default(); vcpus]);
                let stats = VmStats {
                    vcpus,
                    ..VmStats::default()
                };
                after.vms[0].stats = Some(Arc::new(stats));
            });
            scene.advice(&NETKVM_RX_CHECKSUM)
        };
        let windows = "http://microsoft.com/win/2k19";
        assert_eq!(says(windows, 60)[0].verdict, Verdict::NeedsTrial);
        assert_eq!(says(windows, 59), []);
        assert_eq!(says("http://debian.org/debian/12", 60), []);
    }

    #[test]
    fn a_bsd_is_at_fault_only_if_frames_are_dropped() {
        let says = |os: &str, drops| {
            let tap = Made::tap("vnet0", 7)
                .vm("fw")
                .from(Frames::plain(1_000, 1_514));
            let tap = tap.dropped_for(drop_class::CHECKSUM, drops);
            Scene::default()
                .with(tap)
                .os("fw", os)
                .advice(&BSD_FORWARDS)
        };
        assert_eq!(
            says("http://freebsd.org/freebsd/13.1", 10)[0].verdict,
            Verdict::FixInGuest
        );
        assert_eq!(says("http://freebsd.org/freebsd/13.1", 9), []);
        assert_eq!(says("http://debian.org/debian/12", 10), []);
    }
}
