//! Windows without RSC.

use crate::{
    advise::{
        advice::{Confidence, Verdict},
        make,
        need::Need,
        rule::{Check, Family, Finding, Rule},
        rules::share::{self, Cause},
        window::{Vm, Window},
    },
    output::units::rate,
};

pub(super) static WINDOWS_NO_RSC: Rule = Rule {
    id: "windows-no-rsc",
    family: Family::Offer,
    title: "A Windows guest does not merge what it receives (RSC)",
    mechanism: "NetKVM takes super-frames only as RSC, which needs guest_tso4 and guest_tso6 of \
        the card; without them the host cuts for it",
    trigger: "The guest is Windows, TSO of its tap is off, and super-frames are cut on the way.",
    remedy: "Offer TSO in the libvirt XML; in the guest Get-NetAdapterRsc then names no \
        FailureReason.",
    cost: "Saves the work that is done now.",
    wrong_when: "RSC was disabled in the guest on purpose",
    sources: &["virtio-win#1026: FailureReason Capability, and the XML that cures it"],
    confidence: Confidence::High,
    needs: &[Need::Domains, Need::GuestOs, Need::Work, Need::Features],
    thresholds: share::CUT,
    check: Check::Vm(check),
    ..Rule::BASE
};

fn check(window: &Window<'_>, vm: &Vm<'_>) -> Option<Finding> {
    if !vm.is_windows() {
        return None;
    }
    let mut ports = window.ports_of(vm);
    let port = ports.find(|port| share::cause(window, port) == Some(Cause::Tso))?;
    let text = format!(
        "the host cuts {} segments/s for {}: Windows does not take TSO frames (RSC)",
        rate(Some(window.per_s(port.cut()))),
        port.dev(),
    );
    let guest = make::in_guest("Enable-NetAdapterRsc -Name *; Get-NetAdapterRsc")
        .when("if the card offers it already");
    let found = Finding::new(Verdict::Change, text)
        .about(make::port(window, port))
        .measured(share::cut_evidence(window, port))
        .price(share::work_price(window, port));
    let fixes = make::xml(window, port, super::tap_no_tso::OFFER_ALL);
    Some(fixes.into_iter().chain([guest]).fold(found, Finding::fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        testing::{Frames, Made, Scene},
        window::Feature,
    };

    #[test]
    fn only_windows_is_told_of_rsc() {
        let scene = |os: &str, cut| {
            let tap = Made::tap("vnet1", 8)
                .vm("ad")
                .off(&[Feature::Tso, Feature::Tso6]);
            let tap = tap.to(Frames::plain(1_000_000, 1514)).cut(cut);
            Scene::default()
                .with(tap)
                .os("ad", os)
                .advice(&WINDOWS_NO_RSC)
        };
        let windows = "http://microsoft.com/win/2k22";
        let found = scene(windows, 50_000);
        assert_eq!(found[0].subject.dev.as_deref(), Some("vnet1"));
        assert_eq!(scene(windows, 49_000), []);
        assert_eq!(scene("http://debian.org/debian/12", 50_000), []);
    }

    #[test]
    fn an_unknown_system_is_told_as_such() {
        let tap = Made::tap("vnet1", 8)
            .vm("ad")
            .to(Frames::plain(1_000, 1514));
        let (before, after) = Scene::default().with(tap).samples();
        let window = Window::new(&before, &after);
        let report = crate::advise::evaluate(&window, &[&WINDOWS_NO_RSC]);
        assert!(report.cannot_see[0].because.contains("libosinfo"));
        assert_eq!(report.cannot_see[0].of, ["ad"]);
    }
}
