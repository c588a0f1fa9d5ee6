//! Words of the log.

use super::contest::{Evidence, Likely};
use crate::{
    enforce::{
        apply::Verdict,
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
