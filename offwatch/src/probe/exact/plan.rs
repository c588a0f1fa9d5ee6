//! What the kernel's type information and symbols say about the functions,
//! before anything is tried.

use std::{io, path::Path};

use offwatch_common::{ABSENT, DropClasses, drop_class, function};

use super::symbols::{KALLSYMS, Symbols};
use crate::{probe::btf::Btf, sample::Unavailable};

const VALIDATE: &str = "validate_xmit_skb";
/// Where perf shows that the kernel has kprobes.
const KPROBES: &str = "/sys/bus/event_source/devices/kprobe/type";

/// Whether each kind of program may be attached to a function.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) fexit: Result<(), String>,
    pub(super) kprobe: Result<(), String>,
}

/// What can be tried on this kernel.
pub(super) struct Plan {
    pub(super) candidates: [Candidate; function::COUNT],
    pub(super) drop_classes: DropClasses,
    /// Pieces of `validate_xmit_skb`, from start to end.
    pub(super) validate: Option<[(u64, u64); 2]>,
    pub(super) unknown_drops: Unavailable,
}

/// What the kernel's type information says.
pub(in crate::probe) struct Types {
    /// How many parameters each function has, if it is there.
    parameters: [Option<usize>; function::COUNT],
    /// Names and numbers of drop reasons.
    reasons: Vec<(String, u32)>,
}

impl Types {
    pub(in crate::probe) fn of(btf: &Btf) -> Self {
        Self {
            parameters: function::NAMES.map(|name| btf.parameters(name)),
            reasons: btf.enumerators("skb_drop_reason"),
        }
    }
}

/// Reads the symbols that a plan is made of.
pub(super) fn symbols() -> io::Result<Symbols> {
    let mut wanted = function::NAMES.to_vec();
    wanted.push(VALIDATE);
    Symbols::of_kernel(&wanted)
}

impl Plan {
    pub(super) fn new(types: &Types, symbols: io::Result<Symbols>) -> Self {
        let kprobes = kprobes();
        let symbols = symbols.map_err(|error| format!("{KALLSYMS} cannot be read: {error}"));
        let symbols = symbols.as_ref().map_err(String::clone);
        let candidates = std::array::from_fn(|index| {
            let name = function::NAMES[index];
            let whole = symbols.clone().and_then(|symbols| symbols.is_whole(name));
            let parameters = types.parameters[index];
            candidate(
                name,
                whole,
                parameters,
                function::PARAMETERS[index],
                kprobes.clone(),
            )
        });
        let text = symbols.and_then(|symbols| symbols.text(VALIDATE));
        let drop_classes = drop_classes(&types.reasons);
        let has_reasons = !types.reasons.is_empty();
        let unknown_drops = unknown_drops(&drop_classes, has_reasons, text.as_ref().err());
        Self {
            candidates,
            drop_classes,
            validate: text.ok(),
            unknown_drops,
        }
    }
}

fn kprobes() -> Result<(), String> {
    // A kprobe finds arguments in the registers of one architecture, for which
    // the programs were built.
    if !cfg!(target_arch = "x86_64") {
        return Err("only built for x86_64".into());
    }
    if !Path::new(KPROBES).exists() {
        return Err("this kernel has none (CONFIG_KPROBES)".into());
    }
    Ok(())
}

/// Both kinds need a function whose calls all pass its entry; fexit also finds
/// the result behind as many parameters as are `expected`.
fn candidate(
    name: &str,
    whole: Result<(), String>,
    parameters: Option<usize>,
    expected: usize,
    kprobes: Result<(), String>,
) -> Candidate {
    let typed = match parameters {
        None => Err(format!("the kernel's BTF has no function {name}")),
        Some(found) if found != expected => Err(format!(
            "{name} has {found} parameters on this kernel, not {expected}"
        )),
        Some(_) => Ok(()),
    };
    // Without BTF of its own a function's parameters are as they always were.
    let known = if parameters.is_some() {
        typed.clone()
    } else {
        Ok(())
    };
    Candidate {
        fexit: whole.clone().and(typed),
        kprobe: whole.and(known).and(kprobes),
    }
}

fn drop_classes(reasons: &[(String, u32)]) -> DropClasses {
    let mut classes = DropClasses {
        checksum: [ABSENT; 8],
        gso: [ABSENT; 4],
    };
    let is_gso = |name: &str| matches!(name, "SKB_GSO_SEG" | "SKB_BAD_GSO");
    let named = |is_wanted: &dyn Fn(&str) -> bool| {
        let wanted = reasons
            .iter()
            .filter(|(name, _)| name.strip_prefix("SKB_DROP_REASON_").is_some_and(is_wanted));
        wanted.map(|(_, value)| *value).collect::<Vec<_>>()
    };
    fill(
        &mut classes.checksum,
        &named(&|name| name.ends_with("_CSUM")),
    );
    fill(&mut classes.gso, &named(&is_gso));
    classes
}

fn fill(numbers: &mut [u32], reasons: &[u32]) {
    for (number, reason) in numbers.iter_mut().zip(reasons) {
        *number = *reason;
    }
}

fn unknown_drops(classes: &DropClasses, has_reasons: bool, text: Option<&String>) -> Unavailable {
    const NO_REASONS: &str = "the kernel gives no reasons for drops before Linux 5.17";
    const NO_SUCH: &str = "this kernel has no such reasons";
    let unknown = |numbers: &[u32]| match (has_reasons, numbers.iter().all(|one| *one == ABSENT)) {
        (false, _) => Some(NO_REASONS.to_owned()),
        (true, true) => Some(NO_SUCH.to_owned()),
        (true, false) => None,
    };
    let mut all = Unavailable::new();
    let mut note = |class: usize, reason: Option<String>| {
        all.extend(reason.map(|reason| (drop_class::NAMES[class].to_owned(), reason)));
    };
    note(
        drop_class::FULL_RING,
        (!has_reasons).then(|| NO_REASONS.into()),
    );
    note(drop_class::VALIDATE, text.cloned());
    note(drop_class::CHECKSUM, unknown(&classes.checksum));
    note(drop_class::GSO, unknown(&classes.gso));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Result<(), String> {
        Err(text.into())
    }

    #[test]
    fn a_split_function_is_attached_by_neither() {
        let split = candidate("f", fault("split"), Some(1), 1, Ok(()));
        assert_eq!(
            split,
            Candidate {
                fexit: fault("split"),
                kprobe: fault("split")
            }
        );
    }

    #[test]
    fn fexit_needs_the_expected_parameters() {
        let whole = candidate("f", Ok(()), Some(3), 3, Ok(()));
        assert_eq!((whole.fexit, whole.kprobe), (Ok(()), Ok(())));
        let untyped = candidate("f", Ok(()), None, 3, Ok(()));
        assert!(untyped.fexit.is_err_and(|reason| reason.contains("BTF")));
        assert_eq!(untyped.kprobe, Ok(()));
        let changed = candidate("f", Ok(()), Some(4), 3, Ok(()));
        assert!(changed.fexit.is_err() && changed.kprobe.is_err());
        let without = candidate("f", Ok(()), Some(3), 3, fault("no kprobes"));
        assert_eq!(
            (without.fexit, without.kprobe),
            (Ok(()), fault("no kprobes"))
        );
    }

    #[test]
    fn reasons_are_found_by_name() {
        let reasons = [
            ("SKB_DROP_REASON_TCP_CSUM", 5),
            ("SKB_DROP_REASON_NETFILTER_DROP", 8),
            ("SKB_DROP_REASON_SKB_CSUM", 31),
            ("SKB_DROP_REASON_SKB_GSO_SEG", 32),
        ];
        let reasons = reasons.map(|(name, number)| (name.to_owned(), number));
        let classes = drop_classes(&reasons);
        assert_eq!(classes.checksum[..3], [5, 31, ABSENT]);
        assert_eq!(classes.gso[..2], [32, ABSENT]);
        assert!(unknown_drops(&classes, true, None).is_empty());
    }

    #[test]
    fn what_a_kernel_cannot_tell_is_told() {
        let none = drop_classes(&[]);
        let hidden = "hidden".to_owned();
        let unknown = unknown_drops(&none, false, Some(&hidden));
        assert_eq!(unknown.len(), drop_class::COUNT);
        assert!(unknown["full_ring"].contains("5.17"));
        assert_eq!(unknown["validate_xmit"], "hidden");
    }
}
