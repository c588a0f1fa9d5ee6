//! What became of each trial that was given as evidence. Pure.

use super::{is_of, is_vm, outcome, tells};
use crate::{
    advise::{advice::Advice, calibrate, window::Window},
    trial::{Conclusion, Trial, report},
};

/// What became of each trial that was given, for people.
pub(in crate::advise) fn notes(window: &Window<'_>, advice: &[Advice]) -> Vec<String> {
    let note = |trial: &Trial| {
        let set = trial.change.as_ref().map(|change| &*change.set);
        let brief = match &trial.conclusion {
            Conclusion::Complete => report::brief(trial),
            Conclusion::Aborted { .. } => format!("{}, ended early", report::brief(trial)),
        };
        format!(
            "the trial of {} ({}; {brief}) {}",
            calibrate::name(trial),
            set.unwrap_or("no change"),
            became(window, advice, trial)
        )
    };
    window.trials.iter().map(note).collect()
}

/// What it was used for, or why not.
fn became(window: &Window<'_>, advice: &[Advice], trial: &Trial) -> String {
    if !is_of(window, trial) {
        return format!(
            "was made on {}, Linux {}: no evidence for this host and kernel",
            trial.host.name, trial.host.kernel
        );
    }
    let is_told = |advice: &&Advice| {
        let told = advice.trial.as_ref().and_then(|tell| tell.told.as_ref());
        told.is_some_and(|told| {
            let set = trial.change.as_ref().map(|change| &change.set);
            told.end_unix_ms == trial.end_unix_ms
                && Some(&told.set) == set
                && told.of == calibrate::name(trial)
        })
    };
    let rules = advice.iter().filter(is_told).map(|advice| &*advice.rule);
    let stays = match outcome(trial) {
        Some(_) => "",
        None => " (its verdict stays)",
    };
    let mut used: Vec<String> = rules
        .map(|rule| format!("the advice {rule}{stays}"))
        .collect();
    if window.is_calibrated_by(trial) {
        used.push("what a frame costs".into());
    }
    if !used.is_empty() {
        return format!("is evidence for {}", used.join(", "));
    }
    let because = match &trial.change {
        None => "it changed nothing",
        Some(_) if !window.has_traffic() => "there is no traffic now, and so no advice",
        Some(_) if advice.iter().any(|advice| tells(trial, advice)) => {
            "a newer one of the same tells more"
        }
        Some(_) if advice.iter().any(|advice| concerns(trial, advice)) => {
            "what it changed is not what the advice there is about"
        }
        Some(_) => "no advice is about that now",
    };
    format!("is not used: {because}")
}

/// Whether an advice is about the same VM or one of the interfaces.
fn concerns(trial: &Trial, advice: &Advice) -> bool {
    let of = &advice.subject;
    let is_dev = |(dev, ifindex): (&String, &u32)| {
        of.dev.as_ref() == Some(dev) && of.ifindex == Some(*ifindex)
    };
    is_vm(trial, advice) || trial.subject.devs.iter().any(is_dev)
}

#[cfg(test)]
mod tests {
    use crate::{
        advise::{testing::trial, tried::tests::report},
        trial::Trial,
    };

    #[test]
    fn each_trial_that_is_given_is_told_of() {
        let changed = |change: fn(&mut Trial)| {
            let mut trial = trial(300.0);
            change(&mut trial);
            trial
        };
        let trials = [
            trial(300.0),
            changed(|trial| trial.end_unix_ms -= 1),
            changed(|trial| {
                trial.change = None;
                trial.end_unix_ms -= 4;
            }),
            changed(|trial| {
                trial.subject.vm = None;
                trial.subject.devs = [("veth1".to_owned(), 9)].into();
                trial.end_unix_ms -= 3;
            }),
            changed(|trial| {
                let change = trial.change.as_mut().expect("a change");
                change.features = [("tx-tcp-segmentation".to_owned(), true)].into();
                trial.end_unix_ms -= 2;
            }),
        ];
        let notes = report(&trials).notes;
        let ends = [
            "is evidence for the advice keep-on, what a frame costs",
            "is not used: a newer one of the same tells more",
            "is not used: it changed nothing",
            "is not used: no advice is about that now",
            "is not used: what it changed is not what the advice there is about",
        ];
        assert_eq!(notes.len(), ends.len(), "{notes:#?}");
        for (note, end) in notes.iter().zip(ends) {
            assert!(note.ends_with(end), "{note}");
        }
        let begin = "the trial of veth1 (tso=off; no difference seen in goodput, host CPU/byte +300 % worse) ";
        assert!(notes[3].starts_with(begin), "{notes:#?}");
    }
}
