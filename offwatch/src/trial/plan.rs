//! What a trial is about, and what is to be changed, by the planner of `enforce`.

use std::collections::{BTreeMap, BTreeSet};

use super::{error::TrialError, outcome::Subject, outcome::Tried};
use crate::{
    cli::trial::Features,
    enforce::{
        apply::around,
        kernel::Request,
        plan::{Change, Sources, Why, make},
        policy::{Glob, Match, Policy, Rule, Switches, Wish},
        target::{Id, Target, Targets},
    },
    error::Error,
    sample::{self, offloads::FeatureNames},
};

/// What is to be changed.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// The changes; of each something is sent.
    pub changes: Vec<Change>,
    /// Interfaces that change with it.
    pub around: Vec<Id>,
    /// The same in words.
    pub tried: Tried,
    /// What is left as it is, with the reason.
    pub left: Vec<String>,
}

/// The interfaces of a VM, or one by its name.
pub fn subject(
    targets: &Targets,
    vm: Option<&str>,
    dev: Option<&str>,
) -> Result<(Subject, Vec<Id>), Error> {
    let is_chosen = |target: &&Target| match (dev, &target.owner) {
        (Some(dev), _) => target.id.dev == dev,
        (None, Some(owner)) => Some(&*owner.vm) == vm,
        (None, None) => false,
    };
    let chosen: Vec<&Target> = targets.targets.iter().filter(is_chosen).collect();
    let Some(first) = chosen.first() else {
        return Err(unmatched(targets, vm, dev));
    };
    let owner = first.owner.as_ref();
    let uuids: BTreeSet<&str> = chosen
        .iter()
        .filter_map(|target| target.owner.as_ref()?.uuid.as_deref())
        .collect();
    if let (Some(vm), true) = (vm, uuids.len() > 1) {
        let devs: Vec<&str> = chosen.iter().map(|target| &*target.id.dev).collect();
        return Err(TrialError::SeveralVms {
            vm: vm.to_owned(),
            devs: devs.join(", "),
        }
        .into());
    }
    let subject = Subject {
        vm: owner.map(|owner| owner.vm.clone()),
        vm_uuid: owner.and_then(|owner| owner.uuid.clone()),
        devs: chosen
            .iter()
            .map(|target| (target.id.dev.clone(), target.id.ifindex))
            .collect(),
    };
    Ok((
        subject,
        chosen.iter().map(|target| target.id.clone()).collect(),
    ))
}

fn unmatched(targets: &Targets, vm: Option<&str>, dev: Option<&str>) -> Error {
    let all = targets.targets.iter();
    if let (Some(vm), Some(unknown)) = (vm, &targets.vms_unknown) {
        let (vm, unknown) = (vm.to_owned(), unknown.clone());
        return TrialError::VmsUnknown { vm, unknown }.into();
    }
    let mut known_names: Vec<String> = match dev {
        Some(_) => all.map(|target| target.id.dev.clone()).collect(),
        None => all
            .filter_map(|target| Some(target.owner.as_ref()?.vm.clone()))
            .collect(),
    };
    known_names.sort();
    known_names.dedup();
    let (option, what) = match dev {
        Some(_) => ("dev", "interface"),
        None => ("vm", "VM"),
    };
    Error::NoMatch {
        option,
        pattern: dev.or(vm).unwrap_or_default().to_owned(),
        what,
        known_names,
    }
}

/// Plans a change of these interfaces.
pub fn plan(targets: &Targets, of: &[Id], set: &Features) -> Result<Planned, TrialError> {
    let policy = policy(of, set);
    let sources = Sources {
        policy: Some(("--set", &policy)),
        advice: None,
    };
    let plan = make(targets, sources).map_err(|error| TrialError::Plan {
        set: set.text.clone(),
        error: error.into(),
    })?;
    let names = &plan.names;
    let mut planned = Planned::default();
    for mut change in plan.changes {
        if !of.contains(&change.id) {
            continue;
        }
        change.why = Why {
            file: Some(format!("offwatch trial --set {}", set.text)),
            ..Why::default()
        };
        match idle(&change, names, set) {
            Some(because) => planned.left.push(because),
            None => planned.changes.push(change),
        }
    }
    if planned.changes.is_empty() {
        return Err(TrialError::Nothing {
            set: set.text.clone(),
            because: planned.left.join("; "),
        });
    }
    let masters: Vec<(Id, Option<u32>)> = targets
        .targets
        .iter()
        .map(|target| (target.id.clone(), target.master))
        .collect();
    planned.around = around(&planned.changes, &masters, names);
    let changes = planned.changes.iter();
    let asked = changes.clone().map(|change| named(change.asked, names));
    planned.tried = Tried {
        set: set.text.clone(),
        features: asked.flatten().collect(),
        also: changes
            .clone()
            .flat_map(|change| {
                let on = change.predicted_active;
                let mask = change.collateral();
                named(Request { mask, on }, names)
            })
            .collect(),
        commands: changes.filter_map(|change| change.command(names)).collect(),
    };
    Ok(planned)
}

/// Names of what is switched, and how.
pub fn named(request: Request, names: &FeatureNames) -> BTreeMap<String, bool> {
    let bits = request.mask.iter();
    bits.filter_map(|bit| Some((names.name(bit)?.to_owned(), request.on.contains(bit))))
        .collect()
}

/// Why nothing comes of a change, if so.
fn idle(change: &Change, names: &FeatureNames, set: &Features) -> Option<String> {
    let dev = &change.id.dev;
    let unmet = change.unmet.iter().map(|unmet| {
        let name = names.name(unmet.bit).unwrap_or("a feature without a name");
        format!("{name} {}", unmet.because.told(names))
    });
    let unmet: Vec<String> = unmet.collect();
    let told = |otherwise: String| match unmet.is_empty() {
        true => otherwise,
        false => format!("{dev}: {}", unmet.join(", ")),
    };
    if change.send.is_empty() {
        return Some(told(format!("{dev} has {} already", set.text)));
    }
    let stays = change.predicted_active == change.before.active && change.uncertain.is_empty();
    stays.then(|| told(format!("{dev} works as with {} already", set.text)))
}

/// One rule for each interface, which it names.
fn policy(of: &[Id], set: &Features) -> Policy {
    let wishes = || {
        let each = set.each.iter();
        each.map(|(name, on)| Wish {
            name: name.clone(),
            on: *on,
            line: 1,
        })
        .collect()
    };
    let rules = of.iter().filter_map(|id| {
        Some(Rule {
            line: 1,
            matches: Match {
                device: Some(Glob::new(&id.dev).ok()?),
                ..Match::default()
            },
            features: wishes(),
            definition: Switches::default(),
            reason: None,
        })
    });
    Policy {
        rules: rules.collect(),
        ..Policy::default()
    }
}

/// Features as they will be with a change, most likely.
pub fn features_with(change: &Change) -> sample::offloads::Features {
    sample::offloads::Features {
        wanted: change.send.applied_to(change.before.wanted),
        active: change.predicted_active,
        ..change.before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::trial::features,
        enforce::target::Owner,
        sample::{
            Kind,
            offloads::{FeatureSet, Features as Now},
        },
    };

    const NAMES: [&str; 3] = ["tx-tcp-segmentation", "rx-gro", "loopback"];

    /// Two taps of a VM with `rx-gro` on, the first one with TSO, too, and one of nobody.
    fn targets() -> Targets {
        let set = |bits: &[usize]| bits.iter().copied().collect::<FeatureSet>();
        let target = |index: u32, on: &[usize], vm: Option<&str>| Target {
            id: Id {
                netns: 1,
                ifindex: index,
                dev: format!("tap{index}"),
            },
            kind: Kind::Tap,
            owner: vm.map(|vm| Owner {
                vm: vm.into(),
                uuid: Some("a uuid".into()),
                ..Owner::default()
            }),
            features: Now {
                changeable: set(&[0, 1]),
                wanted: set(on),
                active: set(on),
                never_changed: set(&[2]),
            },
            ..Target::default()
        };
        Targets {
            names: FeatureNames(NAMES.map(String::from).to_vec()),
            targets: vec![
                target(1, &[0, 1], Some("web")),
                target(2, &[1], Some("web")),
                target(3, &[0, 1], None),
            ],
            vms_unknown: None,
        }
    }

    fn of(vm: Option<&str>, dev: Option<&str>, set: &str) -> Result<Planned, String> {
        let targets = targets();
        let (_, ids) = subject(&targets, vm, dev).map_err(|error| error.to_string())?;
        let set = features(set)?;
        plan(&targets, &ids, &set).map_err(|error| error.to_string())
    }

    #[test]
    fn all_interfaces_of_a_vm_are_meant_or_one() {
        let targets = targets();
        let (whole, ids) = subject(&targets, Some("web"), None).expect("a VM");
        assert_eq!(ids.len(), 2);
        assert_eq!(whole.vm_uuid.as_deref(), Some("a uuid"));
        let (one, _) = subject(&targets, None, Some("tap1")).expect("an interface");
        assert_eq!((one.vm.as_deref(), one.devs.len()), (Some("web"), 1));
        let (nobodys, _) = subject(&targets, None, Some("tap3")).expect("an interface");
        assert_eq!(nobodys.vm, None);
        let told = |vm, dev| match subject(&targets, vm, dev) {
            Ok(_) => panic!("there is none"),
            Err(error) => error.to_string(),
        };
        // A name is no pattern: what is meant is named.
        let expected = "--dev 'tap*' matches no interface; there are tap1, tap2, tap3";
        assert_eq!(told(None, Some("tap*")), expected);
        assert_eq!(
            told(Some("db"), None),
            "--vm 'db' matches no VM; there are web"
        );
        let unknown = Targets {
            vms_unknown: Some("libvirt: no daemon".into()),
            ..targets.clone()
        };
        let error = subject(&unknown, Some("db"), None).expect_err("not known");
        assert!(
            error
                .to_string()
                .ends_with("not all are known: libvirt: no daemon")
        );
    }

    #[test]
    fn only_what_changes_something_is_tried() {
        let planned = of(Some("web"), None, "tso=off").expect("a plan");
        let devs: Vec<_> = planned.changes.iter().map(|it| &*it.id.dev).collect();
        assert_eq!(devs, ["tap1"]);
        assert_eq!(planned.left, ["tap2 has tso=off already"]);
        let tried = &planned.tried;
        assert_eq!(
            tried.features,
            [("tx-tcp-segmentation".into(), false)].into()
        );
        assert_eq!(tried.commands, ["ethtool -K tap1 tx-tcp-segmentation off"]);
        let why = planned.changes[0].why.place();
        assert_eq!(why, "offwatch trial --set tso=off");
        let with = features_with(&planned.changes[0]);
        assert_eq!(with.active.iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_changes_nothing_is_told() {
        let told = |dev, set| of(None, Some(dev), set).expect_err("nothing to try");
        assert_eq!(
            told("tap2", "tso=off"),
            "--set tso=off changes nothing: tap2 has tso=off already"
        );
        let fixed = told("tap1", "loopback=on");
        assert!(
            fixed.ends_with("loopback cannot be switched on this interface"),
            "{fixed}"
        );
        let unknown = told("tap1", "tsoo=off");
        assert!(
            unknown.starts_with("--set tsoo=off: `tsoo` is no feature"),
            "{unknown}"
        );
        let both = told("tap1", "tso=off,tx-tcp-segmentation=on");
        assert!(both.ends_with("of tap1 is to be off, and on"), "{both}");
    }
}
