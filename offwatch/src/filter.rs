//! `--vm` and `--dev`.

use std::borrow::Cow;

use globset::{Glob, GlobSet};

use crate::{
    enforce::target::Targets,
    error::Error,
    model::{Model, Port},
    sample::Sample,
};

/// Which VMs and interfaces to show.
#[derive(Clone)]
pub struct Filter {
    vms: Vec<Pattern>,
    devs: Vec<Pattern>,
}

/// A name, or a pattern of names.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    matcher: GlobSet,
}

impl Pattern {
    /// Compiles it.
    pub(crate) fn new(text: &str) -> Result<Self, globset::Error> {
        // A set reports a pattern that is too large where a single matcher panics.
        let matcher = GlobSet::builder().add(Glob::new(text)?).build()?;
        Ok(Self {
            text: text.to_owned(),
            matcher,
        })
    }

    /// Whether a name is meant. A name may hold what a pattern would take for a
    /// wildcard.
    pub(crate) fn is_match(&self, name: &str) -> bool {
        self.text == name || self.matcher.is_match(name)
    }

    /// As it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Filter {
    /// Compiles the patterns. No pattern shows everything.
    pub fn new(vms: &[String], devs: &[String]) -> Result<Self, Error> {
        Ok(Self {
            vms: patterns("vm", vms)?,
            devs: patterns("dev", devs)?,
        })
    }

    /// Every pattern must match something, or the user mistyped it.
    pub fn check(&self, model: &Model) -> Result<(), Error> {
        let vms = || model.vms.iter().map(|vm| &*vm.name);
        let devs = || {
            let of_vms = model.vms.iter().flat_map(|vm| &vm.interfaces);
            of_vms.chain(&model.other_interfaces).filter_map(Port::dev)
        };
        self.check_names(vms, devs)
    }

    /// Every pattern must match one of these names, too.
    pub(crate) fn check_names<'name, Vms, Devs>(
        &self,
        vms: impl Fn() -> Vms,
        devs: impl Fn() -> Devs,
    ) -> Result<(), Error>
    where
        Vms: Iterator<Item = &'name str>,
        Devs: Iterator<Item = &'name str>,
    {
        if let Some(pattern) = unmatched(&self.vms, &vms) {
            return no_match("vm", "VM", pattern, vms());
        }
        match unmatched(&self.devs, &devs) {
            Some(pattern) => no_match("dev", "interface", pattern, devs()),
            None => Ok(()),
        }
    }

    /// Every pattern must match something of a sample, too.
    pub fn check_sample(&self, sample: &Sample) -> Result<(), Error> {
        let vms = || sample.vms.iter().map(|vm| &*vm.name);
        let devs = || {
            let of_vms = sample.vms.iter().flat_map(|vm| vm.nics.iter());
            let of_vms = of_vms.filter_map(|nic| nic.dev.as_deref());
            of_vms.chain(sample.interfaces.iter().map(|found| &*found.dev))
        };
        self.check_names(vms, devs)
    }

    /// Every pattern must match something of the interfaces that may be changed, too.
    pub fn check_targets(&self, targets: &Targets) -> Result<(), Error> {
        let targets = &targets.targets;
        let owners = || targets.iter().filter_map(|target| target.owner.as_ref());
        self.check_names(
            || owners().map(|owner| &*owner.vm),
            || targets.iter().map(|target| &*target.id.dev),
        )
    }

    /// Whether interfaces are chosen by name.
    pub fn chooses_devices(&self) -> bool {
        !self.devs.is_empty()
    }

    /// The sample with those VMs only that match, by name and by the name of
    /// an interface.
    pub fn narrowed<'sample>(&self, sample: &'sample Sample) -> Cow<'sample, Sample> {
        if self.vms.is_empty() && self.devs.is_empty() {
            return Cow::Borrowed(sample);
        }
        let mut narrowed = sample.clone();
        narrowed.vms.retain(|vm| {
            let mut devs = vm.nics.iter().filter_map(|nic| nic.dev.as_deref());
            (self.vms.is_empty() || any(&self.vms, &vm.name))
                && (self.devs.is_empty() || devs.any(|dev| any(&self.devs, dev)))
        });
        Cow::Owned(narrowed)
    }

    /// Whether something about a VM or an interface is to be shown. What is
    /// about neither is, and with `--vm` alone other interfaces are not.
    pub fn shows(&self, vm: Option<&str>, dev: Option<&str>) -> bool {
        let matches = |patterns: &[Pattern], name: Option<&str>| {
            patterns.is_empty() || name.is_none_or(|name| any(patterns, name))
        };
        let is_other = vm.is_none() && dev.is_some();
        matches(&self.vms, vm)
            && matches(&self.devs, dev)
            && !(is_other && self.devs.is_empty() && !self.vms.is_empty())
    }

    /// Leaves only what matches. With `--vm` alone, other interfaces go.
    pub fn apply(&self, model: &mut Model) {
        let dev_matches = |interface: &Port| {
            self.devs.is_empty() || interface.dev().is_some_and(|dev| any(&self.devs, dev))
        };
        if !self.vms.is_empty() {
            model.vms.retain(|vm| any(&self.vms, &vm.name));
            if self.devs.is_empty() {
                model.other_interfaces.clear();
            }
        }
        if !self.devs.is_empty() {
            for vm in &mut model.vms {
                vm.interfaces.retain(dev_matches);
            }
            model.vms.retain(|vm| !vm.interfaces.is_empty());
            model.other_interfaces.retain(dev_matches);
        }
    }
}

/// Compiles the patterns of an option.
pub(crate) fn patterns(option: &'static str, patterns: &[String]) -> Result<Vec<Pattern>, Error> {
    let compile = |text: &String| {
        Pattern::new(text).map_err(|error| Error::Pattern {
            option,
            pattern: shortened(text),
            reason: error.kind().to_string(),
        })
    };
    patterns.iter().map(compile).collect()
}

/// A pattern as it fits into a message.
pub(crate) fn shortened(pattern: &str) -> String {
    const LONGEST: usize = 80;
    match pattern.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &pattern[..end]),
        None => pattern.to_owned(),
    }
}

/// Whether any of them means the name.
pub(crate) fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.is_match(name))
}

fn unmatched<'pattern, 'name, Names: Iterator<Item = &'name str>>(
    patterns: &'pattern [Pattern],
    names: impl Fn() -> Names,
) -> Option<&'pattern Pattern> {
    patterns
        .iter()
        .find(|pattern| !names().any(|name| any(std::slice::from_ref(pattern), name)))
}

/// Tells what there is instead.
pub(crate) fn no_match<'name>(
    option: &'static str,
    what: &'static str,
    pattern: &Pattern,
    names: impl Iterator<Item = &'name str>,
) -> Result<(), Error> {
    let mut known_names: Vec<String> = names.map(ToOwned::to_owned).collect();
    known_names.sort();
    known_names.dedup();
    Err(Error::NoMatch {
        option,
        pattern: shortened(&pattern.text),
        what,
        known_names,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sample::{self, Nic};

    fn model() -> Model {
        Model::new(&sample(), None)
    }

    fn sample() -> Sample {
        let interface = |dev: &str, ifindex| {
            Arc::new(sample::Interface {
                dev: dev.into(),
                ifindex,
                ..sample::Interface::default()
            })
        };
        let vm = |name: &str, dev: &str| sample::Vm {
            name: name.into(),
            nics: vec![Nic {
                dev: Some(dev.into()),
                ..Nic::default()
            }]
            .into(),
            ..sample::Vm::default()
        };
        Sample {
            interfaces: vec![interface("t0", 1), interface("t1", 2), interface("br0", 3)],
            vms: vec![vm("web[1]", "t0"), vm("db", "t1")],
            ..Sample::default()
        }
    }

    fn shown(vms: &[&str], devs: &[&str]) -> Result<(Vec<String>, usize), Error> {
        let owned =
            |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
        let filter = Filter::new(&owned(vms), &owned(devs))?;
        let mut model = model();
        filter.check(&model)?;
        filter.apply(&mut model);
        let names = model.vms.iter().map(|vm| vm.name.to_string()).collect();
        Ok((names, model.other_interfaces.len()))
    }

    #[test]
    fn shows_what_matches() {
        assert_eq!(
            shown(&[], &[]).expect("all"),
            (vec!["web[1]".into(), "db".into()], 1)
        );
        assert_eq!(shown(&["d*"], &[]).expect("one VM"), (vec!["db".into()], 0));
        assert_eq!(
            shown(&["web[1]"], &[]).expect("a name as it is"),
            (vec!["web[1]".into()], 0)
        );
        assert_eq!(shown(&[], &["br*"]).expect("a bridge"), (vec![], 1));
        assert_eq!(
            shown(&["db"], &["t1"]).expect("both"),
            (vec!["db".into()], 0)
        );
    }

    #[test]
    fn a_pattern_without_a_match_names_what_there_is() {
        let error = shown(&["dbb"], &[]).expect_err("no such VM").to_string();
        assert_eq!(error, "--vm 'dbb' matches no VM; there are db, web[1]");
        let error = shown(&[], &["t0", "eth7"])
            .expect_err("no such interface")
            .to_string();
        assert_eq!(
            error,
            "--dev 'eth7' matches no interface; there are br0, t0, t1"
        );
    }

    #[test]
    fn samples_are_narrowed_and_checked_alike() {
        let owned =
            |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
        let names = |vms: &[&str], devs: &[&str]| {
            let filter = Filter::new(&owned(vms), &owned(devs))?;
            let sample = sample();
            filter.check_sample(&sample)?;
            let narrowed = filter.narrowed(&sample);
            let names = narrowed.vms.iter().map(|vm| vm.name.to_string());
            Ok::<_, Error>(names.collect::<Vec<_>>())
        };
        assert_eq!(names(&[], &[]).expect("all"), ["web[1]", "db"]);
        assert_eq!(names(&["d*"], &[]).expect("one VM"), ["db"]);
        assert_eq!(names(&[], &["t0"]).expect("its VM"), ["web[1]"]);
        assert_eq!(names(&["db"], &["t0"]).expect("both"), [] as [&str; 0]);
        let error = names(&["dbb"], &[]).expect_err("no such VM").to_string();
        assert!(error.ends_with("there are db, web[1]"), "{error}");
        assert!(names(&[], &["eth7"]).is_err());
    }

    #[test]
    fn what_is_about_neither_is_shown() {
        let owned =
            |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
        let shows = |vms: &[&str], devs: &[&str], vm, dev| {
            let filter = Filter::new(&owned(vms), &owned(devs)).expect("patterns");
            filter.shows(vm, dev)
        };
        assert!(shows(&["db"], &["t1"], None, None), "the host");
        assert!(shows(&["db"], &[], Some("db"), Some("t1")));
        assert!(
            shows(&["db"], &["t1"], Some("db"), None),
            "the VM as a whole"
        );
        assert!(!shows(&["db"], &[], Some("web"), Some("t0")));
        assert!(!shows(&["db"], &[], None, Some("br0")));
        assert!(shows(&[], &["br*"], None, Some("br0")));
        assert!(!shows(&[], &["t1"], None, Some("br0")));
    }

    #[test]
    fn a_pattern_that_is_too_large_is_told() {
        let nested = format!("{}b{}", "{a,".repeat(260), "}".repeat(260));
        assert!(shown(&[], &[&nested]).is_err());
    }

    #[test]
    fn a_bad_pattern_is_told() {
        let error = shown(&["a[b"], &[]).expect_err("not closed").to_string();
        assert!(
            error.starts_with("--vm 'a[b' is not a valid pattern"),
            "{error}"
        );
    }
}
