//! What a trial told of an advice, and what becomes of the advice. Pure.

mod notes;

use std::{borrow::Cow, collections::BTreeMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use self::notes::notes;
use super::{
    advice::{Action, Advice, Confidence, Fix, Persistence, Scope, Verdict},
    calibrate, make,
    window::Window,
};
use crate::trial::{self, Conclusion, Effect, Measure, Trial, report};

/// The trial that tells whether an advice is right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tell {
    /// The command that makes it. It takes back what it changes.
    pub command: String,
    /// What it told, if it was made and given as evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

/// What a trial told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// Of which VM or interface.
    pub of: String,
    /// What was changed, as the user wrote it.
    pub set: String,
    /// When it ended, milliseconds since the Unix epoch.
    pub end_unix_ms: u64,
    /// What the change does, in a sentence.
    pub headline: String,
    /// What it does to each measure; what single rounds told is in the trial alone.
    pub effects: Vec<Effect>,
}

/// Whether what was tried is worth doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Better,
    Worse,
    Same,
}

/// Takes the trials of a window as evidence.
pub(super) fn apply(window: &Window<'_>, advice: &mut Advice) {
    let trials = window.trials.iter().filter(|trial| is_of(window, trial));
    let newest = trials
        .filter(|trial| tells(trial, advice))
        .max_by_key(|trial| trial.end_unix_ms);
    let (Some(trial), Some(tell)) = (newest, &mut advice.trial) else {
        return;
    };
    let set = trial.change.as_ref().map(|change| change.set.clone());
    let headline = report::headline(&trial.effects);
    tell.told = Some(Told {
        of: calibrate::name(trial),
        set: set.unwrap_or_default(),
        end_unix_ms: trial.end_unix_ms,
        headline: headline.clone(),
        effects: trial.effects.iter().map(without_rounds).collect(),
    });
    let Some(outcome) = outcome(trial) else {
        return;
    };
    let verdict = match (advice.verdict, outcome) {
        (Verdict::NeedsTrial | Verdict::Change, Outcome::Better) => Verdict::Change,
        (Verdict::NeedsTrial | Verdict::Change, Outcome::Worse) => Verdict::Keep,
        (Verdict::NeedsTrial, Outcome::Same) => Verdict::Keep,
        (Verdict::Keep, Outcome::Better) => {
            advice.fixes = vec![fix(window, trial)];
            Verdict::Change
        }
        (other, _) => other,
    };
    if verdict != advice.verdict {
        advice.finding = format!("a trial: {headline}; before it: {}", advice.finding).into();
    }
    advice.verdict = verdict;
    advice.confidence = Confidence::High;
}

/// What it costs depends on the kernel.
fn is_of(window: &Window<'_>, trial: &Trial) -> bool {
    trial.host.name == window.host.name && trial.host.kernel == window.host.kernel
}

/// Whether it is of the same interfaces, and the same was changed.
fn tells(trial: &Trial, advice: &Advice) -> bool {
    let Some(change) = &trial.change else {
        return false;
    };
    let subject = &trial.subject;
    let mut switched = advice.fixes.iter().filter_map(|fix| match &fix.action {
        Action::SetFeatures {
            dev,
            ifindex,
            features,
            ..
        } => Some((dev, ifindex, features)),
        _ => None,
    });
    if let Some((dev, ifindex, features)) = switched.next() {
        let each = features.iter().map(|(name, on)| (&**name, *on));
        let tried = change.features.iter().map(|(name, on)| (&**name, *on));
        return subject.devs.get(dev) == Some(ifindex) && each.eq(tried);
    }
    // What is to be left on was off.
    is_vm(trial, advice)
        && advice.verdict == Verdict::Keep
        && change.features.values().all(|on| !on)
}

fn is_vm(trial: &Trial, advice: &Advice) -> bool {
    let (one, other) = (&advice.subject, &trial.subject);
    match one.vm_uuid.as_ref().zip(other.vm_uuid.as_ref()) {
        Some((one, other)) => one == other,
        None => one.vm.is_some() && one.vm == other.vm,
    }
}

/// What goodput, cost and losses say; nothing if one is better and another one worse.
fn outcome(trial: &Trial) -> Option<Outcome> {
    if trial.conclusion != Conclusion::Complete {
        return None;
    }
    let of = |measure| {
        let mut effects = trial.effects.iter();
        let found = effects.find(|effect| effect.measure == measure)?;
        match found.verdict {
            trial::Verdict::Better => Some(Outcome::Better),
            trial::Verdict::Worse => Some(Outcome::Worse),
            trial::Verdict::NoDifference { .. } => Some(Outcome::Same),
            _ => None,
        }
    };
    let cost = || of(Measure::VmCost).or_else(|| of(Measure::HostCost));
    let (goodput, cost) = (of(Measure::Goodput)?, cost()?);
    let losses = [Measure::Retransmits, Measure::Drops, Measure::ChecksumDrops];
    let all: Vec<Outcome> = [goodput, cost]
        .into_iter()
        .chain(losses.into_iter().filter_map(of))
        .collect();
    match [Outcome::Better, Outcome::Worse].map(|outcome| all.contains(&outcome)) {
        [true, true] => None,
        [true, false] => Some(Outcome::Better),
        [false, true] => Some(Outcome::Worse),
        [false, false] => Some(Outcome::Same),
    }
}

fn without_rounds(effect: &Effect) -> Effect {
    Effect {
        rounds: Vec::new(),
        ..effect.clone()
    }
}

/// What was tried is done: to the interface, if it is still the same one.
fn fix(window: &Window<'_>, trial: &Trial) -> Fix {
    let features: BTreeMap<String, bool> = trial
        .change
        .as_ref()
        .map(|change| change.features.clone())
        .unwrap_or_default();
    let mut devs = trial.subject.devs.iter();
    let only = devs.next().filter(|_| devs.next().is_none());
    let same = only.and_then(|(dev, ifindex)| window.port(*ifindex).filter(|it| it.dev() == dev));
    let states: Vec<String> = features
        .iter()
        .map(|(name, on)| format!("{} {}", shell(name), if *on { "on" } else { "off" }))
        .collect();
    let states = states.join(" ");
    let action = match same {
        Some(port) => Action::SetFeatures {
            dev: port.dev().to_owned(),
            ifindex: port.found.ifindex,
            netns: window.host.netns,
            command: format!("ethtool -K {} {states}", make::shell(port)),
            features: features
                .into_iter()
                .map(|(name, on)| (name.into(), on))
                .collect(),
        },
        None => Action::Do {
            what: format!("what was tried, of each interface that the VM has now: {states}").into(),
        },
    };
    Fix {
        scope: Scope::Tap,
        when: None,
        action,
        persistence: Persistence::UntilNegotiation,
    }
}

/// It comes from a file.
fn shell(name: &str) -> String {
    shlex::try_quote(name).map_or_else(|_| String::new(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{
        Report, catalogue, evaluate,
        testing::{Frames, Made, Scene, trial},
    };

    /// A VM that receives super-frames, on a bridge with others.
    pub(super) fn report(trials: &[Trial]) -> Report {
        let tap = Made::tap("vnet0", 7).vm("web").to(Frames::tcp(1_000, 40));
        let (before, after) = Scene::default().with(tap).samples();
        let window = Window::new(&before, &after).with_trials(trials);
        evaluate(&window, &catalogue::rules())
    }

    fn keep_on(report: &Report) -> &Advice {
        let mut advice = report.advice.iter();
        advice
            .find(|advice| advice.rule == "keep-on")
            .expect("there is one")
    }

    #[test]
    fn what_is_to_be_left_on_can_be_tried() {
        let report = report(&[]);
        let advice = keep_on(&report);
        let tell = advice.trial.as_ref().expect("a trial");
        let command = "offwatch trial --vm web --set tx=off,tso=off,gso=off";
        assert_eq!((&*tell.command, &tell.told), (command, &None));
    }

    #[test]
    fn the_verdict_follows_a_trial() {
        let told = |percent| {
            let report = report(&[trial(percent)]);
            let advice = keep_on(&report);
            let told = advice.trial.as_ref().and_then(|tell| tell.told.clone());
            let told = told.expect("told");
            assert_eq!((&*told.of, &*told.set), ("web", "tso=off"));
            assert_eq!(told.headline, report::headline(&trial(percent).effects));
            assert_eq!(advice.confidence, Confidence::High);
            (advice.verdict, advice.fixes.clone())
        };
        assert_eq!(told(300.0), (Verdict::Keep, vec![]));
        assert_eq!(told(1.0), (Verdict::Keep, vec![]));
        let (verdict, fixes) = told(-30.0);
        assert_eq!(verdict, Verdict::Change);
        let Action::SetFeatures { dev, features, .. } = &fixes[0].action else {
            panic!("{fixes:?}");
        };
        assert_eq!((&**dev, features["tx-tcp-segmentation"]), ("vnet0", false));
    }

    #[test]
    fn trials_of_others_are_no_evidence() {
        let without = |change: fn(&mut Trial)| {
            let mut trial = trial(-30.0);
            change(&mut trial);
            let report = report(&[trial]);
            let advice = keep_on(&report);
            assert_eq!(advice.verdict, Verdict::Keep);
            (
                advice
                    .trial
                    .as_ref()
                    .is_some_and(|tell| tell.told.is_some()),
                report.notes,
            )
        };
        let (told, notes) = without(|trial| trial.subject.vm = Some("db".into()));
        let unused = "the trial of db (tso=off; no difference seen in goodput, host CPU/byte -30 % better) is \
                      not used: no advice is about that now";
        assert!(!told, "{notes:?}");
        assert_eq!(notes, [unused]);
        let (told, notes) = without(|trial| trial.host.kernel = "6.1.0".into());
        assert!(
            !told && notes[0].contains("Linux 6.1.0: no evidence"),
            "{notes:?}"
        );
        let (told, notes) = without(|trial| {
            trial.conclusion = Conclusion::Aborted {
                because: "SIGINT".into(),
            };
        });
        assert!(told, "what was seen is told");
        let early = "better, ended early) is evidence for the advice keep-on (its verdict stays)";
        assert!(notes[0].ends_with(early), "{notes:?}");
    }

    #[test]
    fn a_change_of_features_is_told_by_a_trial_of_just_that() {
        let change = |mut trial: Trial, features: &[(&str, bool)]| {
            let change = trial.change.as_mut().expect("a change");
            change.features = features
                .iter()
                .map(|(name, on)| ((*name).to_owned(), *on))
                .collect();
            trial
        };
        let verdict = |trial| {
            let off = Made::tap("vnet0", 7)
                .vm("web")
                .off(&[crate::advise::window::Feature::Tso])
                .to(Frames::plain(100_000, 1_514))
                .cut(100_000);
            let (before, after) = Scene::default().with(off).samples();
            let trials = [trial];
            let window = Window::new(&before, &after).with_trials(&trials);
            let report = evaluate(&window, &catalogue::rules());
            let found = report
                .advice
                .iter()
                .find(|advice| advice.rule == "tap-no-tso");
            let found = found.expect("a finding");
            let tell = found.trial.as_ref().expect("a trial");
            assert!(
                tell.command
                    .starts_with("offwatch trial --dev vnet0 --set tx-tcp")
            );
            (found.verdict, tell.told.is_some())
        };
        let same = [
            ("tx-tcp-segmentation", true),
            ("tx-tcp-ecn-segmentation", true),
            ("tx-tcp6-segmentation", true),
        ];
        assert_eq!(verdict(change(trial(300.0), &same)), (Verdict::Keep, true));
        assert_eq!(
            verdict(change(trial(-30.0), &same)),
            (Verdict::Change, true)
        );
        assert_eq!(verdict(change(trial(0.0), &same)), (Verdict::Change, true));
        assert_eq!(
            verdict(change(trial(300.0), &same[..1])),
            (Verdict::Change, false)
        );
    }
}
