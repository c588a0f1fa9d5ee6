//! From what is written to what is meant.

use std::{collections::BTreeMap, ops::Range};

use toml::Spanned;

use super::{
    Glob, Match, Policy, Rule, Switches, VERSION, WatchLimits, Wish,
    error::{PolicyError, Problem},
    written::{self, Written},
};
use crate::{
    advise::catalogue,
    cli::enforce::deadline,
    enforce::{
        canary,
        definition::{Side, attributes},
    },
    text::nearest,
};

/// Far more rules than anybody writes by hand.
const MOST_RULES: usize = 1_000;
/// Bytes of the name of a feature (`ETH_GSTRING_LEN`).
const LONGEST_NAME: usize = 32;
/// Above it, nobody would call it a limit.
const MOST_CHANGES: u32 = 1_000;

/// Where things are in a text: where each line ends. Counted anew for each rule, a
/// thousand of them take longer than all that follows.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(at, _)| at).collect())
    }

    fn of(&self, span: Range<usize>) -> usize {
        self.0.partition_point(|end| *end < span.start) + 1
    }

    fn error<T>(&self, span: Range<usize>, problem: Problem) -> Result<T, PolicyError> {
        Err(PolicyError::at(self.of(span), problem))
    }
}

pub(super) fn policy(text: &str, written: Written) -> Result<Policy, PolicyError> {
    let lines = Lines::new(text);
    if *written.version.get_ref() != VERSION {
        let version = *written.version.get_ref();
        return lines.error(written.version.span(), Problem::Version(version));
    }
    if let Some(first) = written.rule.get(MOST_RULES) {
        return lines.error(first.span(), Problem::TooManyRules(MOST_RULES));
    }
    let confirm = written.defaults.confirm.map(|time| {
        deadline(time.get_ref()).map_err(|reason| {
            let problem = value("defaults.confirm", reason);
            PolicyError::at(lines.of(time.span()), problem)
        })
    });
    let rules = written.rule.into_iter();
    Ok(Policy {
        confirm: confirm.transpose()?,
        canary: written.defaults.canary,
        canary_settings: settings(&lines, written.canary)?,
        watch: limits(&lines, &written.watch)?,
        rules: rules
            .map(|found| rule(&lines, found))
            .collect::<Result<_, _>>()?,
    })
}

fn value(key: &'static str, reason: String) -> Problem {
    Problem::Value { key, reason }
}

fn settings(
    lines: &Lines,
    written: Option<Spanned<canary::Settings>>,
) -> Result<canary::Settings, PolicyError> {
    let Some(written) = written else {
        return Ok(canary::Settings::default());
    };
    match written.get_ref().problem() {
        None => Ok(written.into_inner()),
        Some((field, must)) => {
            let problem = Problem::Canary { field, must };
            lines.error(written.span(), problem)
        }
    }
}

fn limits(lines: &Lines, written: &written::Watch) -> Result<WatchLimits, PolicyError> {
    let given = |key, found: &Option<Spanned<u32>>, least, default| match found {
        None => Ok(default),
        Some(found) if (least..=MOST_CHANGES).contains(found.get_ref()) => Ok(*found.get_ref()),
        Some(found) => lines.error(
            found.span(),
            value(key, format!("must be from {least} to {MOST_CHANGES}")),
        ),
    };
    let default = WatchLimits::default();
    Ok(WatchLimits {
        burst: given("watch.burst", &written.burst, 1, default.burst)?,
        per_minute: given(
            "watch.per_minute",
            &written.per_minute,
            0,
            default.per_minute,
        )?,
    })
}

fn rule(lines: &Lines, found: Spanned<written::Rule>) -> Result<Rule, PolicyError> {
    let span = found.span();
    let found = found.into_inner();
    let match_span = found.r#match.span();
    let Some(matches) = matches(lines, found.r#match.into_inner())? else {
        return lines.error(match_span, Problem::EmptyMatch);
    };
    let rule = Rule {
        line: lines.of(span.clone()),
        matches,
        features: wishes(lines, found.features)?,
        definition: Switches {
            host: switches(lines, Side::Host, found.definition.host)?,
            guest: switches(lines, Side::Guest, found.definition.guest)?,
        },
        reason: found.reason,
    };
    let asks = !rule.features.is_empty() || !rule.definition.is_empty();
    match (&rule.matches.advice, asks) {
        (Some(_), true) => lines.error(span, Problem::AdviceAndFeatures),
        (None, false) => lines.error(span, Problem::NothingAsked),
        _ => Ok(rule),
    }
}

/// None if nothing is given.
fn matches(lines: &Lines, found: written::Match) -> Result<Option<Match>, PolicyError> {
    let given = [&found.vm, &found.bridge, &found.device, &found.driver];
    let given = given.into_iter().chain([&found.os, &found.advice]);
    if given.flatten().next().is_none() {
        return Ok(None);
    }
    let glob = |key, written: Option<Spanned<String>>| {
        let compile = |written: Spanned<String>| {
            Glob::new(written.get_ref()).map_err(|reason| {
                let pattern = shortened(written.get_ref());
                let problem = Problem::Pattern {
                    key,
                    pattern,
                    reason,
                };
                PolicyError::at(lines.of(written.span()), problem)
            })
        };
        written.map(compile).transpose()
    };
    if let Some(rule) = &found.advice
        && catalogue::find(rule.get_ref()).is_none()
    {
        let problem = Problem::UnknownAdvice {
            rule: shortened(rule.get_ref()),
            nearest: catalogue::nearest(rule.get_ref()).map(|rule| rule.id.to_owned()),
        };
        return lines.error(rule.span(), problem);
    }
    Ok(Some(Match {
        vm: glob("vm", found.vm)?,
        bridge: glob("bridge", found.bridge)?,
        device: glob("device", found.device)?,
        driver: glob("driver", found.driver)?,
        os: glob("os", found.os)?,
        advice: found.advice.map(Spanned::into_inner),
    }))
}

fn wishes(lines: &Lines, found: BTreeMap<Spanned<String>, bool>) -> Result<Vec<Wish>, PolicyError> {
    let mut wishes = Vec::with_capacity(found.len());
    for (name, on) in found {
        let (span, name) = (name.span(), name.into_inner());
        if name.is_empty() || name.len() > LONGEST_NAME {
            return lines.error(span, Problem::FeatureName(shortened(&name)));
        }
        let line = lines.of(span);
        wishes.push(Wish { name, on, line });
    }
    wishes.sort_by_key(|wish| wish.line);
    Ok(wishes)
}

fn switches(
    lines: &Lines,
    side: Side,
    found: BTreeMap<Spanned<String>, bool>,
) -> Result<Vec<(String, bool)>, PolicyError> {
    let known = attributes(side);
    let mut switches = Vec::with_capacity(found.len());
    for (name, on) in found {
        let (span, name) = (name.span(), name.into_inner());
        if !known.contains(&name.as_str()) {
            let problem = Problem::UnknownAttribute {
                side: side.name(),
                nearest: nearest(&name, known.iter().copied()).map(str::to_owned),
                name: shortened(&name),
                known: known.iter().map(ToString::to_string).collect(),
            };
            return lines.error(span, problem);
        }
        switches.push((name, on));
    }
    Ok(switches)
}

/// As it fits into a message.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
