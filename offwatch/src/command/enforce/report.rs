//! How `--apply` tells what it did.

use std::time::Duration;

use serde_json::{Value, json};

use super::{defined::ToldDefinitions, print, switched, taken_back, words};
use crate::{
    enforce::{
        apply::{Recovered, TakenBack, Verdict},
        canary,
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
    pub(super) fn code(&self) -> u8 {
        let is_back = matches!(
            self.ending,
            Some(Told::TakenBack(_) | Told::TakenBackElsewhere { .. })
        );
        let is_whole = self.verdicts.iter().all(Verdict::is_complete);
        match is_back || !is_whole || !self.definitions.is_complete() {
            true => PARTLY,
            false => 0,
        }
    }

    pub(super) fn print(&self) -> Result<(), Error> {
        print(&match self.json {
            true => format!("{:#}\n", self.value()),
            false => self.head() + &self.end() + &self.definitions.text(),
        })
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
        let of = |set: FeatureSet| words(set, verdict.asked.on, self.names);
        let changed = verdict.sent.mask & verdict.met;
        if !changed.is_empty() {
            line("", &of(changed));
        }
        let along = verdict.collateral | verdict.unexpected;
        let after = verdict.after.map(|after| after.active).unwrap_or_default();
        if !verdict.collateral.is_empty() {
            line("with it ", &words(verdict.collateral, after, self.names));
        }
        if !verdict.unexpected.is_empty() {
            line("unforeseen ", &words(verdict.unexpected, after, self.names));
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

    fn end(&self) -> String {
        let changed = |verdict: &&Verdict| verdict.refused.is_none() && !verdict.sent.is_empty();
        let changed = self.verdicts.iter().filter(changed).count();
        let of = self.verdicts.len();
        match &self.ending {
            None => format!("nothing to change: {of} interfaces are asked for it already\n"),
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
            Some(Told::TakenBack(taken)) => ("rolled_back", Some(&taken.because)),
            Some(Told::TakenBackElsewhere { because, .. }) => ("rolled_back", Some(because)),
        };
        let taken = match &self.ending {
            Some(Told::TakenBack(taken)) => Some(taken_back::value(taken)),
            _ => None,
        };
        let recovered = self.recovered.taken_back.iter();
        let left = self.left.iter();
        let left = left.map(|left| json!({ "what": left.what, "because": left.because }));
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
