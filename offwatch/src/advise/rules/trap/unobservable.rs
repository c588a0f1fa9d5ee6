//! Cards that no hook sees.

use crate::advise::{
    advice::{Confidence, Verdict},
    rule::{Check, Family, Finding, Rule},
    window::{Vm, Window},
};

pub(super) static NOT_OBSERVABLE: Rule = Rule {
    id: "not-observable",
    family: Family::Trap,
    title: "A card moves its frames past the host's kernel: nothing can be said",
    mechanism: "macvtap, vhost-user (DPDK, Open vSwitch in userspace), VFIO, SR-IOV, vDPA and \
        user networking carry frames where no hook sees them",
    trigger: "A VM has such a card.",
    remedy: "Ask what carries the frames: the switch in userspace, or the card.",
    cost: "None.",
    wrong_when: "never",
    sources: &["offwatch's README: what it needs, and what it cannot see"],
    confidence: Confidence::High,
    check: Check::Vm(check),
    holds_in_mixed_windows: true,
    ..Rule::BASE
};

fn check(_: &Window<'_>, vm: &Vm<'_>) -> Option<Finding> {
    let (backend, reason) = vm.unseen.first()?;
    let count = vm.unseen.len();
    let text = format!("{count} of its cards cannot be observed ({backend}): {reason}");
    Some(Finding::new(Verdict::CannotSee, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn what_no_hook_sees_is_said() {
        let tap = || Made::tap("vnet0", 7).vm("web").from(Frames::plain(10, 100));
        let found = Scene::default().with(tap()).unseen("dpdk", "vhost-user");
        let found = found.advice(&NOT_OBSERVABLE);
        assert_eq!(found[0].verdict, Verdict::CannotSee);
        assert_eq!(found[0].subject.name(), "dpdk");
        assert_eq!(Scene::default().with(tap()).advice(&NOT_OBSERVABLE), []);
    }
}
