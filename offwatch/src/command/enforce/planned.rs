//! The plan that the command line asks for.

use crate::{
    cli::enforce::EnforceArgs,
    enforce::{
        gather::Gatherer,
        input::Input,
        kernel::Kernel,
        plan::{Left, Plan},
        target::{Target, Targets},
    },
    error::Error,
    filter::Filter,
};

/// Makes the plan, for what `--vm` and `--dev` choose; and the interfaces that there
/// are.
pub(super) fn plan(
    args: &EnforceArgs,
    input: &Input,
    kernel: &mut dyn Kernel,
) -> Result<(Plan, Targets), Error> {
    let filter = Filter::new(&args.vm, &args.dev)?;
    let mut gatherer = Gatherer::new(args.connect.clone());
    let (mut plan, targets) = input.plan(&mut gatherer, kernel, !args.vm.is_empty())?;
    filter.check_targets(&targets)?;
    narrow(&mut plan, &targets, &filter);
    Ok((plan, targets))
}

/// Contradictions are those of all interfaces: what is chosen changes nothing about
/// what is meant.
pub(super) fn narrow(plan: &mut Plan, targets: &Targets, filter: &Filter) {
    plan.changes.retain(|change| {
        let vm = change.owner.as_ref().map(|owner| &*owner.vm);
        filter.shows(vm, Some(&change.id.dev))
    });
    plan.definitions.retain(|definition| {
        let mut cards = targets.targets.iter().filter(|target| {
            let owner = target.owner.as_ref();
            owner.is_some_and(|owner| {
                owner.vm == definition.vm
                    && (definition.mac.is_none() || owner.mac == definition.mac)
            })
        });
        cards.any(|target| filter.shows(Some(&definition.vm), Some(&target.id.dev)))
            || filter.shows(Some(&definition.vm), None) && !filter.chooses_devices()
    });
    plan.left
        .retain(|left| is_left_shown(left, targets, filter));
}

/// It is about an interface, a VM, or neither.
fn is_left_shown(left: &Left, targets: &Targets, filter: &Filter) -> bool {
    let targets = &targets.targets;
    let vm_of = |target: &Target| target.owner.as_ref().map(|owner| owner.vm.clone());
    if let Some(dev) = &left.missing {
        return filter.shows(None, Some(dev));
    }
    if let Some(target) = targets.iter().find(|target| target.id.dev == left.what) {
        return filter.shows(vm_of(target).as_deref(), Some(&left.what));
    }
    let is_vm = targets
        .iter()
        .any(|target| vm_of(target).as_ref() == Some(&left.what));
    !is_vm || filter.shows(Some(&left.what), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::{
        plan::{Change, Definition, Why},
        target::{Id, Owner},
    };

    fn owner(vm: &str) -> Owner {
        Owner {
            vm: vm.into(),
            mac: Some(format!("mac-{vm}")),
            ..Owner::default()
        }
    }

    fn id(dev: &str) -> Id {
        Id {
            netns: 1,
            ifindex: 1,
            dev: dev.into(),
        }
    }

    /// What of a plan about two VMs and an uplink is left.
    fn chosen(vms: &[&str], devs: &[&str]) -> (Vec<String>, usize, usize) {
        let ports = [("vnet0", Some("a")), ("vnet1", Some("b")), ("eth0", None)];
        let targets = ports.map(|(dev, vm)| Target {
            id: id(dev),
            owner: vm.map(owner),
            ..Target::default()
        });
        let changes = targets.iter().map(|target| Change {
            id: target.id.clone(),
            owner: target.owner.clone(),
            ..Change::default()
        });
        let left = |what: &str| Left {
            what: what.into(),
            because: String::new(),
            missing: (what == "policy.toml:9").then(|| "tap9".into()),
            why: Why::default(),
        };
        let definitions = ["a", "b"].map(|vm| Definition {
            vm: vm.into(),
            mac: Some(format!("mac-{vm}")),
            host: Vec::new(),
            guest: Vec::new(),
            why: Why::default(),
        });
        let mut plan = Plan {
            changes: changes.collect(),
            definitions: definitions.into(),
            left: ["vnet0", "b", "policy.toml:3", "policy.toml:9"]
                .map(left)
                .into(),
            ..Plan::default()
        };
        let targets = Targets {
            targets: targets.into(),
            ..Targets::default()
        };
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let filter = Filter::new(&owned(vms), &owned(devs)).expect("patterns");
        filter.check_targets(&targets).expect("all match something");
        narrow(&mut plan, &targets, &filter);
        let devs = plan.changes.iter().map(|change| change.id.dev.clone());
        (devs.collect(), plan.definitions.len(), plan.left.len())
    }

    #[test]
    fn what_is_chosen_is_planned() {
        let all = ["vnet0", "vnet1", "eth0"].map(String::from);
        assert_eq!(chosen(&[], &[]), (all.into(), 2, 4));
        // What is not there is not chosen.
        assert_eq!(chosen(&["a"], &[]), (vec!["vnet0".into()], 1, 2));
        assert_eq!(chosen(&[], &["eth0"]), (vec!["eth0".into()], 0, 2));
        assert_eq!(chosen(&[], &["vnet1"]), (vec!["vnet1".into()], 1, 2));
        assert_eq!(chosen(&["b"], &["vnet1"]), (vec!["vnet1".into()], 1, 2));
    }

    #[test]
    fn a_name_that_is_not_there_is_told() {
        let filter = Filter::new(&[], &["vnet7".into()]).expect("a pattern");
        assert!(filter.check_targets(&Targets::default()).is_err());
    }
}
