//! Which interfaces are meant.

use globset::{Glob, GlobMatcher, GlobSet};

use crate::{
    enforce::target::{Target, Targets},
    error::Error,
    filter::shortened,
};

/// The interfaces that names of interfaces and VMs stand for, in the order of their
/// ifindexes; all without a name. Each name must stand for something.
pub(super) fn chosen<'t>(targets: &'t Targets, names: &[String]) -> Result<Vec<&'t Target>, Error> {
    let patterns: Vec<_> = names
        .iter()
        .map(|name| Pattern::new(name))
        .collect::<Result<_, _>>()?;
    let all = || targets.targets.iter();
    if let Some(unknown) = patterns
        .iter()
        .find(|pattern| !all().any(|target| pattern.means(target)))
    {
        return Err(unknown.unmatched(targets));
    }
    let is_meant = |target: &&Target| {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.means(target))
    };
    let mut chosen: Vec<_> = all().filter(is_meant).collect();
    chosen.sort_by_key(|target| target.id.ifindex);
    Ok(chosen)
}

struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, Error> {
        // A set reports a pattern that is too large where a single matcher panics.
        let glob = Glob::new(text)
            .and_then(|glob| GlobSet::builder().add(glob.clone()).build().map(|_| glob));
        let glob = glob.map_err(|error| Error::Name {
            name: shortened(text),
            reason: error.kind().to_string(),
        })?;
        Ok(Self {
            text: text.to_owned(),
            matcher: glob.compile_matcher(),
        })
    }

    fn means(&self, target: &Target) -> bool {
        let is = |name: &str| self.text == name || self.matcher.is_match(name);
        let of_owner = target.owner.as_ref();
        is(&target.id.dev)
            || of_owner.is_some_and(|owner| {
                is(&owner.vm) || owner.uuid.as_deref() == Some(self.text.as_str())
            })
    }

    fn unmatched(&self, targets: &Targets) -> Error {
        let targets_of = || targets.targets.iter();
        let vms = targets_of().filter_map(|target| target.owner.as_ref());
        Error::NoSuchInterface {
            name: shortened(&self.text),
            devs: distinct(targets_of().map(|target| target.id.dev.clone())),
            vms: distinct(vms.map(|owner| owner.vm.clone())),
            vms_unknown: targets.vms_unknown.clone(),
        }
    }
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        enforce::target::{Id, Owner},
        sample::{Kind, offloads::Features},
    };

    fn targets() -> Targets {
        let target = |(ifindex, dev, vm): (u32, &str, Option<&str>)| Target {
            id: Id {
                netns: 1,
                ifindex,
                dev: dev.into(),
            },
            owner: vm.map(|vm| Owner {
                vm: vm.into(),
                uuid: Some(format!("uuid-of-{vm}")),
                ..Owner::default()
            }),
            kind: Kind::Tap,
            driver: None,
            master: None,
            features: Features::default(),
            card: None,
        };
        let all = [
            (3, "vnet1", Some("web[1]")),
            (2, "vnet0", Some("db")),
            (1, "lo", None),
        ];
        Targets {
            targets: all.map(target).into(),
            ..Targets::default()
        }
    }

    fn devs(names: &[&str]) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        let targets = targets();
        let chosen = chosen(&targets, &names).map_err(|error| error.to_string())?;
        Ok(chosen.iter().map(|target| target.id.dev.clone()).collect())
    }

    #[test]
    fn names_are_of_interfaces_and_of_vms() {
        assert_eq!(devs(&[]).unwrap(), ["lo", "vnet0", "vnet1"]);
        assert_eq!(devs(&["vnet1", "lo"]).unwrap(), ["lo", "vnet1"]);
        assert_eq!(devs(&["db"]).unwrap(), ["vnet0"]);
        assert_eq!(devs(&["uuid-of-db"]).unwrap(), ["vnet0"]);
        assert_eq!(devs(&["vnet*"]).unwrap(), ["vnet0", "vnet1"]);
        // A name as it is, though it looks like a pattern.
        assert_eq!(devs(&["web[1]"]).unwrap(), ["vnet1"]);
    }

    #[test]
    fn a_name_of_nothing_is_told_what_there_is() {
        assert_eq!(
            devs(&["lo", "vnet9"]).unwrap_err(),
            "'vnet9' is no interface here and no VM with one; interfaces are lo, vnet0, vnet1, \
             VMs are db, web[1]"
        );
        assert!(
            devs(&["[a"])
                .unwrap_err()
                .starts_with("'[a' is not a valid pattern")
        );
    }
}
