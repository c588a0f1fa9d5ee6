//! The advice of all hosts.

use std::{collections::HashMap, fmt::Write as _};

use serde_json::{Value, json};

use super::{
    answer::Series,
    fleet::{Fleet, list},
    hosts::{Host, Target},
    top::explain,
};
use crate::{
    advise::{advice::Verdict, catalogue},
    filter::Filter,
    text::{INDENT, is_plain, paragraph, plain, shell_command},
};

/// Name of the JSON form.
pub const SCHEMA: &str = "offwatch.fleet.advise";
/// Version of that form; grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// What rules say.
pub const ADVICE: &str = "offwatch_advice";
/// What following that saves.
pub const CPUS: &str = "offwatch_advice_cpus";

/// Advice of all hosts, in order.
#[derive(Debug)]
pub struct FleetAdvice {
    /// Its hosts.
    pub fleet: Fleet,
    advice: Vec<Item>,
    notes: Vec<String>,
}

/// What a rule of a host says of one thing.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    host: usize,
    about: About,
    verdict: String,
    cpus: Option<f64>,
}

/// What tells one piece of a host's advice from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct About {
    rule: String,
    vm: Option<String>,
    dev: Option<String>,
}

impl About {
    fn of(series: &Series) -> Self {
        let known = |label| series.known(label).map(ToOwned::to_owned);
        Self {
            rule: series.label("rule").to_owned(),
            vm: known("vm"),
            dev: known("dev"),
        }
    }

    fn text(&self) -> String {
        match (&self.vm, &self.dev) {
            (Some(vm), Some(dev)) => format!("VM {vm}, {dev}"),
            (Some(vm), None) => format!("VM {vm}"),
            (None, Some(dev)) => dev.clone(),
            (None, None) => "the host".into(),
        }
    }

    /// What shows the evidence, on the host.
    fn command(&self) -> String {
        let option = match (&self.vm, &self.dev) {
            (Some(vm), _) => ["--vm", vm],
            (None, Some(dev)) => ["--dev", dev],
            (None, None) => return "offwatch advise".into(),
        };
        // It would be shown, or be matched, as another one.
        if !is_plain(option[1]) || option[1].contains(['*', '?', '[', ']', '{', '}', '\\', '!']) {
            return "offwatch advise".into();
        }
        let words = ["offwatch", "advise"].into_iter().chain(option);
        // Only a zero byte cannot be quoted, and no name has one.
        shlex::try_join(words).unwrap_or_else(|_| "offwatch advise".into())
    }
}

impl Item {
    fn known(&self) -> Option<Verdict> {
        serde_json::from_value(json!(self.verdict)).ok()
    }

    /// What a newer offwatch says may ask for something to be done.
    fn is_finding(&self) -> bool {
        self.known().is_none_or(Verdict::is_finding)
    }

    fn verdict(&self) -> &str {
        match self.known() {
            Some(verdict) => verdict.name(),
            None if self.verdict.is_empty() => "no verdict",
            None => &self.verdict,
        }
    }

    fn title(&self) -> Option<&'static str> {
        catalogue::find(&self.about.rule).map(|rule| rule.title)
    }

    fn saved(&self) -> Option<String> {
        let verb = match self.known()? {
            Verdict::Keep => "avoids",
            _ => "saves",
        };
        Some(format!("{verb} {} CPU", amount(self.cpus?)))
    }
}

impl FleetAdvice {
    /// From [`ADVICE`] and [`CPUS`].
    pub fn new(mut fleet: Fleet, advice: &[Series], cpus: &[Series], filter: &Filter) -> Self {
        let hosts = fleet.hosts.iter().enumerate();
        let places: HashMap<&Target, usize> =
            hosts.map(|(place, host)| (&host.target, place)).collect();
        let cpus: HashMap<(Target, About), f64> = cpus
            .iter()
            .filter_map(|series| Some(((Target::of(series), About::of(series)), series.value()?)))
            .collect();
        let items = advice.iter().filter_map(|series| {
            let (target, about) = (Target::of(series), About::of(series));
            let host = *places.get(&target)?;
            // 0 is what it says no more.
            series.value().filter(|value| *value > 0.0)?;
            filter
                .shows(about.vm.as_deref(), about.dev.as_deref())
                .then(|| Item {
                    host,
                    verdict: series.label("verdict").to_owned(),
                    cpus: cpus.get(&(target, about.clone())).copied(),
                    about,
                })
        });
        let mut items: Vec<Item> = items.collect();
        items.sort_by(|one, other| {
            let cpus = |item: &Item| item.cpus.unwrap_or(-1.0);
            // Those that are not known come behind findings, and before the rest.
            let verdict = |item: &Item| (!item.is_finding(), item.known().is_none(), item.known());
            let place = |item: &Item| (item.host, item.about.clone());
            verdict(one)
                .cmp(&verdict(other))
                .then_with(|| cpus(other).total_cmp(&cpus(one)))
                .then_with(|| place(one).cmp(&place(other)))
        });
        let mut notes = Vec::new();
        let mut lacking = Vec::new();
        for (host, name) in fleet.hosts.iter().zip(&fleet.names) {
            match host.advice.evaluations {
                None => notes.push(format!("{name} gives no advice (export --no-advice)")),
                Some(0) => lacking.push(format!(
                    "{name} has no advice yet: its first window is not over"
                )),
                Some(_) => {}
            }
        }
        lacking.into_iter().for_each(|line| fleet.lacks(line));
        Self {
            notes,
            advice: items,
            fleet,
        }
    }

    /// Whether anything is to be done, or nobody can tell yet whether it is.
    pub fn is_to_do(&self) -> bool {
        let is_open = self
            .fleet
            .hosts
            .iter()
            .any(|host| host.advice.evaluations == Some(0));
        is_open || self.advises() == 0 || self.advice.iter().any(Item::is_finding)
    }

    /// How many hosts gave advice.
    fn advises(&self) -> usize {
        let evaluated = |host: &&Host| host.advice.evaluations.is_some_and(|count| count > 0);
        self.fleet.hosts.iter().filter(evaluated).count()
    }

    /// For people; what is to be left as it is only if that is wanted.
    pub fn text(&self, with_rest: bool) -> String {
        let findings = self.advice.iter().filter(|item| item.is_finding()).count();
        let mut text = self.fleet.head("advise");
        let (advises, hosts) = (self.advises(), self.fleet.hosts.len());
        let _ = match findings {
            0 if advises == 0 => writeln!(text, " - no host gave advice"),
            0 if advises < hosts => writeln!(
                text,
                " - nothing found to change on the {advises} of {hosts} that gave advice"
            ),
            0 => writeln!(text, " - nothing found to change"),
            1 => writeln!(text, " - 1 finding"),
            more => writeln!(text, " - {more} findings"),
        };
        self.fleet.tell(&mut text);
        let mut group = "";
        let mut rest: Vec<(&str, usize)> = Vec::new();
        for item in &self.advice {
            let verdict = item.verdict();
            if !with_rest && !item.is_finding() {
                match rest.last_mut() {
                    Some((last, count)) if *last == verdict => *count += 1,
                    _ => rest.push((verdict, 1)),
                }
                continue;
            }
            if group != verdict {
                let _ = writeln!(text, "\n{}:", plain(verdict));
                group = verdict;
            }
            self.item(&mut text, item);
        }
        if !rest.is_empty() {
            let counts = rest
                .iter()
                .map(|(verdict, count)| format!("{verdict}: {count}"));
            let counts: Vec<String> = counts.collect();
            let _ = writeln!(text, "\n{} (--keep lists them)", counts.join(", "));
        }
        list(&mut text, &self.notes);
        text
    }

    fn item(&self, text: &mut String, item: &Item) {
        let name = &self.fleet.names[item.host];
        let saved = item.saved().map(|saved| format!("; {saved}"));
        let line = format!(
            "{name}: {}  [{}]{}",
            item.about.text(),
            item.about.rule,
            saved.unwrap_or_default()
        );
        paragraph(text, "  ", &line);
        let title = item
            .title()
            .unwrap_or("a rule that this offwatch does not know");
        paragraph(text, INDENT, title);
        if item.is_finding() {
            let first = format!("{INDENT}on {}: ", plain(name));
            shell_command(text, &first, &item.about.command());
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let advice: Vec<Value> = self.advice.iter().map(|item| self.value(item)).collect();
        let mut value = json!({
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "notes": self.notes,
            "advice": advice,
        });
        if let (Value::Object(all), Value::Object(fleet)) = (&mut value, json!(self.fleet)) {
            all.extend(fleet);
        }
        value
    }

    fn value(&self, item: &Item) -> Value {
        let host = &self.fleet.hosts[item.host];
        let about = &item.about;
        let mut value = json!({
            "host": host.host,
            "job": host.target.job(),
            "instance": host.target.instance(),
            "verdict": item.verdict,
            "is_finding": item.is_finding(),
            "rule": about.rule,
            "title": item.title(),
            "vm": about.vm,
            "dev": about.dev,
            "cpus": item.cpus,
            "command": about.command(),
        });
        explain(&mut value, |field| {
            let reason = match field {
                "title" => "a rule that this offwatch does not know",
                "cpus" => "its host does not price it",
                _ => "not about one",
            };
            reason.into()
        });
        value
    }
}

/// CPUs with two digits that count.
fn amount(cpus: f64) -> String {
    match cpus.abs() {
        small if small < 0.000_95 => "< 0.001".into(),
        small if small < 0.0995 => format!("{cpus:.3}"),
        _ => format!("{cpus:.2}"),
    }
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
