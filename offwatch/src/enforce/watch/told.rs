//! Words of the log.

use super::contest::{Evidence, Likely};
use crate::{
    enforce::{
        apply::Verdict,
        plan::Change,
        target::{Id, Owner},
    },
    sample::offloads::{FeatureNames, FeatureSet},
};

/// An interface, and whose it is.
pub(super) fn whose(id: &Id, owner: Option<&Owner>) -> String {
    match owner {
        Some(owner) => format!("{} (VM {})", id.dev, owner.vm),
        None => id.dev.clone(),
    }
}

/// What was switched, and what of it does not show.
pub(super) fn switched(names: &FeatureNames, verdict: &Verdict) -> String {
    let state = |bit| match verdict.sent.on.contains(bit) {
        true => "on",
        false => "off",
    };
    let sent = verdict.sent.mask.iter().filter_map(|bit| {
        let told = format!("{} {}", names.name(bit)?, state(bit));
        let unmet = verdict.unmet.iter().find(|unmet| unmet.bit == bit);
        Some(match unmet {
            Some(unmet) => format!("{told} (is not: {})", unmet.because.told(names)),
            None => told,
        })
    });
    let mut told = sent.collect::<Vec<_>>().join(", ");
    let unexpected = names.of(verdict.unexpected);
    if !unexpected.is_empty() {
        told += &format!("; {} changed with it, unforeseen", unexpected.join(", "));
    }
    told
}

/// How many interfaces are kept as asked, and how many cannot wholly be so.
pub(super) fn kept(all: usize, of_unmet: usize) -> String {
    let kept = match all - of_unmet {
        1 => "1 interface is kept as asked".to_owned(),
        kept => format!("{kept} interfaces are kept as asked"),
    };
    match of_unmet {
        0 => kept,
        of_unmet => format!("{kept}, {of_unmet} as far as it can be"),
    }
}

/// What of an interface will not be as asked, a line each.
pub(super) fn unmet(names: &FeatureNames, change: &Change) -> Vec<String> {
    let whose = whose(&change.id, change.owner.as_ref());
    let lines = change.unmet.iter().filter_map(|unmet| {
        let state = match change.predicted_active.contains(unmet.bit) {
            true => "on",
            false => "off",
        };
        let because = unmet.because.told(names);
        Some(format!(
            "{whose}: {} stays {state}: {because}",
            names.name(unmet.bit)?
        ))
    });
    lines.collect()
}

/// The word for features that all were switched before; adds them to these.
pub(super) fn again(before: &mut FeatureSet, sent: FeatureSet) -> &'static str {
    let new = sent - *before;
    *before = *before | sent;
    match new.is_empty() {
        true => "again ",
        false => "",
    }
}

/// That an interface is contested: what was seen, and who it likely is.
pub(super) fn contested(
    whose: &str,
    names: &FeatureNames,
    evidence: &Evidence,
    running: &[&str],
) -> String {
    let list = |set: FeatureSet| names.of(set).join(", ");
    let Evidence {
        times,
        within,
        changed_back,
        changed_too,
        never_changed,
        likely,
    } = *evidence;
    let seen = format!(
        "{whose}: contested, and left alone from now on: {} changed back {times} times within {:.1} s",
        list(changed_back),
        within.as_secs_f64(),
    );
    let why = match likely {
        Likely::Guest if changed_too.is_empty() => {
            "always all of them together, as when a guest's driver negotiates: likely the guest's \
             driver, which starts again and again"
                .to_owned()
        }
        Likely::Guest => format!(
            "together with {}, as when a guest's driver negotiates: likely the guest's driver, \
             which starts again and again",
            list(changed_too)
        ),
        Likely::Host => {
            let but = match never_changed.is_empty() {
                true => String::new(),
                false => format!(
                    "{}, which a guest's driver negotiates with them, never changed: ",
                    list(never_changed)
                ),
            };
            let running = match running {
                [] => "none that is known for it runs".to_owned(),
                running => format!("of those known for it {} run", running.join(", ")),
            };
            format!("{but}likely a program on this host; {running}")
        }
    };
    format!("{seen}; {why}. Once it is settled, have the policy read again (SIGHUP)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::{
        apply::testing::{CHECKSUM, FIXED, GRO, InMemory, TSO, set},
        kernel::Kernel as _,
        plan::{Because, Unmet},
    };

    #[test]
    fn only_what_is_as_asked_is_said_to_be_kept_so() {
        assert_eq!(kept(1, 0), "1 interface is kept as asked");
        let some = "2 interfaces are kept as asked, 1 as far as it can be";
        assert_eq!(kept(3, 1), some);
        let mut host = InMemory::with(&["tap0"]);
        let mut change = host.change("tap0", &[(GRO, false)]);
        let names = host.names().expect("names");
        assert!(unmet(&names, &change).is_empty());
        let because = Because::Needs(CHECKSUM);
        change.unmet.push(Unmet { bit: TSO, because });
        change.unmet.push(Unmet {
            bit: FIXED,
            because: Because::Fixed,
        });
        let lines = unmet(&names, &change);
        let fixed = "tap0: loopback stays off: cannot be switched on this interface";
        assert_eq!((lines.len(), lines[1].as_str()), (2, fixed));
    }

    #[test]
    fn a_feature_that_is_switched_first_is_not_switched_again() {
        let mut before = FeatureSet::default();
        assert_eq!(again(&mut before, set(&[GRO])), "");
        assert_eq!(again(&mut before, set(&[GRO])), "again ");
        assert_eq!(again(&mut before, set(&[TSO])), "");
        assert_eq!(again(&mut before, set(&[GRO, TSO])), "again ");
    }
}
