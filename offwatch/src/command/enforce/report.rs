//! How `--apply` tells what it did.

use std::time::Duration;

use serde_json::{Value, json};

use super::{defined::ToldDefinitions, ended, print, print_text, switched, taken_back};
use crate::{
    enforce::{
        apply::{Recovered, TakenBack, Verdict},
        canary,
        error::EnforceError,
        plan::Left,
    },
    error::Error,
    sample::offloads::{FeatureNames, FeatureSet},
};

/// Not all of it was applied, or it was taken back.
const PARTLY: u8 = 4;

/// How a commit ended.
pub(super) enum Told {
    /// It stays.
    Confirmed,
    /// Its watchdog waits for the confirmation.
    Waits(Duration),
    /// It was taken back.
    TakenBack(TakenBack),
    /// Somebody else took it back.
    TakenBackElsewhere {
        /// Why.
        because: String,
        /// What could not be set back, with the reason.
        failed: Vec<(String, String)>,
    },
}

/// What is told.
pub(super) struct Report<'a> {
    names: &'a FeatureNames,
    json: bool,
    recovered: &'a Recovered,
    pub(super) commit: Option<u64>,
    pub(super) verdicts: Vec<Verdict>,
    /// Of `--canary`.
    pub(super) canary: Option<canary::Report>,
    pub(super) ending: Option<Told>,
    pub(super) definitions: ToldDefinitions,
    /// What the plan leaves as it is; people were told with the rest of the plan.
    pub(super) left: Vec<Left>,
    /// What was printed while one waited.
    is_head_told: std::cell::Cell<bool>,
}

impl<'a> Report<'a> {
    pub(super) fn new(names: &'a FeatureNames, json: bool, recovered: &'a Recovered) -> Self {
        Self {
            names,
            json,
            recovered,
            commit: None,
            verdicts: Vec::new(),
            canary: None,
            ending: None,
            definitions: ToldDefinitions::default(),
            left: Vec::new(),
            is_head_told: std::cell::Cell::new(false),
        }
    }

    /// The exit code.
    fn code(&self) -> u8 {
        let is_back = matches!(
            self.ending,
            Some(Told::TakenBack(_) | Told::TakenBackElsewhere { .. })
        );
        let is_whole = self.verdicts.iter().all(Verdict::is_complete);
        let is_missing = self.left.iter().any(|left| left.missing.is_some());
        let is_left = !self.recovered.taken_back.iter().all(TakenBack::is_complete);
        match is_back || is_missing || is_left || !is_whole || !self.definitions.is_complete() {
            true => PARTLY,
            false => 0,
        }
    }

    /// Prints it; the exit code.
    pub(super) fn end(&self) -> Result<u8, Error> {
        let printed = match self.json {
            true => print(&format!("{:#}\n", self.value())),
            false => print_text(&(self.head() + &self.ending() + &self.definitions.text())),
        };
        let has_changed = self.commit.is_some()
            || self.definitions.defined.is_some()
            || !self.recovered.taken_back.is_empty();
        ended(printed, self.code(), has_changed)
    }

    /// What was done, for people; once.
    pub(super) fn head(&self) -> String {
        if self.is_head_told.replace(true) {
            return String::new();
        }
        let mut text = taken_back::text(&self.recovered.taken_back);
        for id in &self.recovered.elsewhere {
            text += &format!("commit {id} belongs to another network namespace: left alone\n");
        }
        if let Some(id) = self.commit {
            text += &format!("commit {id}\n");
        }
        for verdict in &self.verdicts {
            text += &self.interface(verdict);
        }
        text + &self
            .canary
            .as_ref()
            .map(canary::Report::text)
            .unwrap_or_default()
    }

    fn interface(&self, verdict: &Verdict) -> String {
        let mut text = String::new();
        let dev = &verdict.id.dev;
        if let Some(refusal) = &verdict.refused {
            return format!("  {dev}: nothing was changed: {refusal}\n");
        }
        let mut line = |what: &str, told: &str| text += &format!("  {dev}: {what}{told}\n");
        let of = |set: FeatureSet| self.names.states(set, verdict.asked.on);
        let changed = verdict.sent.mask & verdict.met;
        if !changed.is_empty() {
            line("", &of(changed));
        }
        let along = verdict.collateral | verdict.unexpected;
        let after = verdict.after.map(|after| after.active).unwrap_or_default();
        if !verdict.collateral.is_empty() {
            line("with it ", &self.names.states(verdict.collateral, after));
        }
        if !verdict.unexpected.is_empty() {
            line("unforeseen ", &self.names.states(verdict.unexpected, after));
        }
        for unmet in &verdict.unmet {
            let name = self.names.name(unmet.bit).unwrap_or_default();
            let on = match verdict.asked.on.contains(unmet.bit) {
                true => "on",
                false => "off",
            };
            let because = unmet.because.told(self.names);
            // Of what cannot be switched it is not told which way.
            match verdict.asked.mask.contains(unmet.bit) {
                true => line(&format!("{name} is not {on}: "), &because),
                false => line(&format!("{name} is left: "), &because),
            }
        }
        if verdict.sent.is_empty() && verdict.unmet.is_empty() && along.is_empty() {
            line("as asked for already", "");
        }
        text
    }

    fn ending(&self) -> String {
        let changed = |verdict: &&Verdict| verdict.refused.is_none() && !verdict.sent.is_empty();
        let changed = self.verdicts.iter().filter(changed).count();
        let of = self.verdicts.len();
        match &self.ending {
            None => self.nothing_sent(),
            Some(Told::Confirmed) => format!("{changed} of {of} interfaces changed; confirmed\n"),
            Some(Told::Waits(within)) => {
                let within = within.as_secs();
                format!(
                    "{changed} of {of} interfaces changed; taken back in {within} s unless \
                     `offwatch enforce confirm` is run\n"
                )
            }
            Some(Told::TakenBack(taken)) => taken_back::text(std::slice::from_ref(taken)),
            Some(Told::TakenBackElsewhere { because, failed }) => {
                let mut text = format!("taken back: {because}\n");
                for (dev, reason) in failed {
                    text += &format!("  {dev} could not be set back: {reason}\n");
                }
                text
            }
        }
    }

    /// Nothing was sent: whether all is as asked for, or cannot be.
    fn nothing_sent(&self) -> String {
        let of = self.verdicts.len();
        let verdicts = self.verdicts.iter();
        let wrong = verdicts.filter(|verdict| !verdict.is_as_asked()).count();
        match (of, wrong) {
            (0, _) => "nothing to change: no interface matches\n".into(),
            (1, 0) => "nothing to change: 1 interface is as asked for already\n".into(),
            (of, 0) => format!("nothing to change: {of} interfaces are as asked for already\n"),
            (1, _) => "nothing to send: 1 interface is not as asked for\n".into(),
            (of, wrong) => {
                format!("nothing to send: {wrong} of {of} interfaces are not as asked for\n")
            }
        }
    }

    fn value(&self) -> Value {
        let names = self.names;
        let interfaces = self.verdicts.iter().map(|verdict| {
            let unmet = verdict.unmet.iter().map(|unmet| {
                json!({
                    "feature": names.name(unmet.bit),
                    "because": unmet.because.told(names),
                })
            });
            json!({
                "dev": verdict.id.dev,
                "ifindex": verdict.id.ifindex,
                "asked": switched(&verdict.asked, names),
                "sent": switched(&verdict.sent, names),
                "met": names.of(verdict.met),
                "unmet": unmet.collect::<Vec<_>>(),
                "collateral": names.of(verdict.collateral),
                "unexpected": names.of(verdict.unexpected),
                "refused": verdict.refused.as_ref().map(ToString::to_string),
            })
        });
        let (state, because) = match &self.ending {
            None => ("nothing_to_change", None),
            Some(Told::Confirmed) => ("confirmed", None),
            Some(Told::Waits(_)) => ("unconfirmed", None),
            Some(Told::TakenBack(taken)) => match taken.untold {
                Some(EnforceError::Untried(_)) => ("not_rolled_back", Some(&taken.because)),
                _ => ("rolled_back", Some(&taken.because)),
            },
            Some(Told::TakenBackElsewhere { because, .. }) => ("rolled_back", Some(because)),
        };
        let taken = match &self.ending {
            Some(Told::TakenBack(taken)) => Some(taken_back::value(taken)),
            _ => None,
        };
        let recovered = self.recovered.taken_back.iter();
        let left = self.left.iter();
        let left = left.map(
            |left| json!({ "what": left.what, "because": left.because, "missing": left.missing }),
        );
        json!({
            "schema": "offwatch.enforce.apply",
            "commit": self.commit,
            "state": state,
            "because": because,
            "interfaces": interfaces.collect::<Vec<_>>(),
            "canary": self.canary,
            "taken_back": taken,
            "definitions": self.definitions.value(),
            "left": left.collect::<Vec<_>>(),
            "recovered": recovered.map(taken_back::value).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::{
        apply::testing::{FIXED, InMemory, State, TSO},
        plan::{Because, Unmet, Why},
    };

    /// The last line and the exit code of changes of which nothing is sent.
    fn told(host: &InMemory, unmet: &[(&str, Because)]) -> (String, u8) {
        let changes = unmet.iter().map(|(dev, because)| {
            let mut change = host.change(dev, &[(TSO, true)]);
            let unmet = Unmet {
                bit: FIXED,
                because: because.clone(),
            };
            change.unmet.push(unmet);
            change
        });
        let mut changes: Vec<_> = changes.collect();
        changes.push(host.change("tap9", &[(TSO, true)]));
        let state = State::new();
        let mut enforcer = state.enforcer(host);
        let (names, recovered) = (enforcer.names().clone(), Recovered::default());
        let mut report = Report::new(&names, false, &recovered);
        report.verdicts = enforcer.verify(&changes).expect("verdicts");
        (report.ending(), report.code())
    }

    #[test]
    fn what_is_not_as_asked_is_not_said_to_be() {
        let host = InMemory::with(&["tap0", "tap9"]);
        let as_asked = "nothing to change: 1 interface is as asked for already\n";
        assert_eq!(told(&host, &[]), (as_asked.into(), 0));
        let wrong = "nothing to send: 1 of 2 interfaces are not as asked for\n";
        assert_eq!(told(&host, &[("tap0", Because::Fixed)]), (wrong.into(), 4));
        // Only the guest can do something about it.
        let declined = told(&host, &[("tap0", Because::NotNegotiated)]);
        assert_eq!(declined, (wrong.into(), 0));
    }

    #[test]
    fn that_nothing_matches_is_said() {
        let (names, recovered) = (FeatureNames::default(), Recovered::default());
        let mut report = Report::new(&names, false, &recovered);
        let left = |missing: Option<&str>| Left {
            what: "policy.toml:2".into(),
            because: "nothing matches".into(),
            missing: missing.map(str::to_owned),
            why: Why::default(),
        };
        report.left = vec![left(None)];
        assert_eq!(report.ending(), "nothing to change: no interface matches\n");
        assert_eq!(report.code(), 0);
        report.left = vec![left(Some("vent0"))];
        assert_eq!(report.code(), 4);
    }

    #[test]
    fn what_fails_after_features_have_changed_is_told_with_them() {
        let (names, recovered) = (FeatureNames::default(), Recovered::default());
        let mut report = Report::new(&names, false, &recovered);
        report.ending = Some(Told::Confirmed);
        assert_eq!(report.code(), 0);
        report.definitions.failed = Some(EnforceError::Busy);
        assert_eq!(report.code(), 4);
        let because = EnforceError::Busy.to_string();
        let told = format!("definitions: {because}\n");
        assert_eq!(report.definitions.text(), told);
        assert_eq!(report.value()["definitions"]["failed"], because);
    }
}
