//! A report for people: findings first, what is to be kept in a line each.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    advice::{Action, Advice, Fix, Level, Verdict},
    price::{Effect, Price},
    report::Report,
};
use crate::text::{INDENT, paragraph, plain, shell_command};

/// Lines of one kind; the JSON has all.
const MOST_LINES: usize = 20;
/// Findings that are told in full; of further ones, a line each.
const MOST_IN_FULL: usize = 10;

/// The whole report.
pub fn of(report: &Report) -> String {
    let mut text = head(report);
    if !report.window.has_traffic {
        let nothing = "no traffic on any interface in this window: no verdict. Observe while \
            there is some, or longer (--window).";
        paragraph(&mut text, "", nothing);
        return text;
    }
    findings(&mut text, report);
    keep(&mut text, report);
    silent(&mut text, report);
    unseen(&mut text, report);
    for note in &report.notes {
        paragraph(&mut text, "note: ", note);
    }
    text
}

fn head(report: &Report) -> String {
    let findings = report.advice.iter();
    let count = findings
        .filter(|advice| advice.verdict.is_finding())
        .count();
    let head = format!(
        "{}, Linux {}, {:.1} s, hook {}: {}",
        report.host.name,
        report.host.kernel,
        report.window.seconds,
        report.host.hook,
        match count {
            0 if !report.cannot_see.is_empty() => {
                "nothing found to change in what can be seen".to_owned()
            }
            0 => "nothing found to change".to_owned(),
            1 => "1 finding".to_owned(),
            more => format!("{more} findings"),
        }
    );
    let mut text = String::new();
    paragraph(&mut text, "", &head);
    text
}

/// Findings, and what cannot be told, in the report's order.
fn findings(text: &mut String, report: &Report) {
    let told = report.advice.iter();
    let told = told.filter(|advice| advice.verdict != Verdict::Keep);
    let told: Vec<&Advice> = told.collect();
    let mut explained: Vec<&str> = Vec::new();
    for advice in told.iter().take(MOST_IN_FULL) {
        let is_new = !explained.contains(&&*advice.rule);
        explained.push(&advice.rule);
        finding(text, advice, is_new);
    }
    let rest = &told[told.len().min(MOST_IN_FULL)..];
    if rest.is_empty() {
        return;
    }
    text.push_str("\nlikewise, in short:\n");
    for advice in rest.iter().take(MOST_LINES) {
        let first = format!("  {}: ", plain(advice.subject.name()));
        let line = format!(
            "{}: {}  [{}]",
            advice.verdict.name(),
            advice.finding,
            advice.rule
        );
        paragraph(text, &first, &line);
    }
    more(text, rest.len());
}

/// In full, or without what was said of the same rule before.
fn finding(text: &mut String, advice: &Advice, is_new: bool) {
    let subject = &advice.subject;
    let kind = match subject.level {
        Level::Host => "host",
        Level::Uplink => "uplink",
        Level::Bridge => "bridge",
        Level::Vm => "VM",
        Level::Other => "interface",
    };
    let name = match subject.level {
        Level::Host => String::new(),
        _ => format!(" {}", plain(subject.name())),
    };
    let _ = writeln!(
        text,
        "\n{kind}{name}: {}  [{}]",
        advice.verdict.name(),
        advice.rule
    );
    paragraph(text, "  ", &advice.finding);
    if is_new {
        paragraph(text, "  why   ", &advice.mechanism);
    }
    let fixes = if is_new { advice.fixes.len() } else { 1 };
    for (index, fix) in advice.fixes.iter().take(fixes).enumerate() {
        let first = if index == 0 { "  fix   " } else { "  else  " };
        change(text, first, fix);
    }
    if let Some(price) = &advice.price {
        paragraph(text, "  cost  ", &cost(price));
    }
    trial(text, advice);
    if !is_new {
        return;
    }
    if let Some(bound) = &advice.version_bound {
        paragraph(text, "  bound ", bound);
    }
    let sure = format!(
        "{}; wrong if {}",
        advice.confidence.name(),
        advice.wrong_when
    );
    paragraph(text, "  sure  ", &sure);
}

fn change(text: &mut String, first: &str, fix: &Fix) {
    let when = fix.when.as_deref();
    let when = when.map_or_else(String::new, |when| format!("{when}: "));
    let what = match &fix.action {
        Action::SetFeatures { command, .. } | Action::Command { command } => {
            let after = match when.is_empty() {
                true => first,
                false => {
                    paragraph(text, first, when.trim_end());
                    INDENT
                }
            };
            shell_command(text, after, command);
            return lasts(text, fix);
        }
        Action::LibvirtXml { domain, mac, xml } => {
            let card = mac
                .as_deref()
                .map_or_else(String::new, |mac| format!(" card {mac}"));
            format!("in the XML of {domain}{card}: {xml}")
        }
        Action::InGuest { command } => format!("in the guest: {command}"),
        Action::Upgrade { to } => format!("upgrade to {to}"),
        Action::Do { what } => what.to_string(),
    };
    paragraph(text, first, &format!("{when}{what}"));
    lasts(text, fix);
}

/// What a trial told, or how it is asked where nothing else tells.
fn trial(text: &mut String, advice: &Advice) {
    let Some(trial) = &advice.trial else {
        return;
    };
    if let Some(told) = &trial.told {
        let line = format!(
            "{} of {}: {}",
            plain(&told.set),
            plain(&told.of),
            told.headline
        );
        paragraph(text, "  tried ", &line);
    } else if advice.verdict == Verdict::NeedsTrial {
        shell_command(text, "  trial ", &trial.command);
    }
}

fn lasts(text: &mut String, fix: &Fix) {
    let lasts = format!("({}; {})", fix.scope.name(), fix.persistence.name());
    paragraph(text, INDENT, &lasts);
}

fn cost(price: &Price) -> String {
    let mut text = cpu(price);
    if let Some(throughput) = &price.throughput {
        let then = throughput.then_gbit_per_s;
        let _ = write!(
            text,
            "; {:.2} Gbit/s would become {:.2} ({:.2} to {:.2})",
            throughput.now_gbit_per_s, then.value, then.low, then.high
        );
    }
    text
}

fn cpu(price: &Price) -> String {
    let verb = match price.effect {
        Effect::Saves => "saves",
        Effect::Avoids => "avoids",
        Effect::Costs => "costs",
    };
    let basis = match price.is_measured() {
        true => "measured here",
        false => match price.parts.iter().any(|part| part.basis.is_measured()) {
            true => "measured here in part",
            false => "table",
        },
    };
    format!(
        "{verb} {} CPU ({} to {}; {basis})",
        cpus(price.cores.value),
        cpus(price.cores.low),
        cpus(price.cores.high)
    )
}

fn cpus(cores: f64) -> String {
    match cores {
        small if small < 0.0005 => "<0.001".into(),
        small if small < 0.1 => format!("{small:.3}"),
        large => format!("{large:.2}"),
    }
}

/// A line for each subject.
fn keep(text: &mut String, report: &Report) {
    let kept: Vec<&Advice> = report
        .advice
        .iter()
        .filter(|advice| advice.verdict == Verdict::Keep)
        .collect();
    if kept.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nKEEP, leave as it is:");
    for advice in kept.iter().take(MOST_LINES) {
        let price = advice.price.as_ref();
        let price = price.map_or_else(String::new, |price| format!("; {}", cpu(price)));
        let told = advice.trial.as_ref().and_then(|trial| trial.told.as_ref());
        let told = told.map_or_else(String::new, |told| {
            format!("; tried {}: {}", plain(&told.set), told.headline)
        });
        let line = format!("{}{price}{told}  [{}]", advice.finding, advice.rule);
        let first = format!("  {}: ", plain(advice.subject.name()));
        paragraph(text, &first, &line);
    }
    more(text, kept.len());
    let mut trials = kept.iter().filter_map(|advice| advice.trial.as_ref());
    if let Some(trial) = trials.find(|trial| trial.told.is_none()) {
        shell_command(text, "  prove it: ", &trial.command);
    }
}

fn silent(text: &mut String, report: &Report) {
    if report.silent.is_empty() {
        return;
    }
    let names: Vec<String> = report
        .silent
        .iter()
        .take(MOST_LINES)
        .map(|subject| match (&subject.vm, &subject.dev) {
            (Some(vm), Some(dev)) => format!("{vm} ({dev})"),
            _ => subject.name().to_owned(),
        })
        .collect();
    let rest = report.silent.len() - names.len();
    let rest = match rest {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    let line = format!("{}{rest}", names.join(", "));
    text.push('\n');
    paragraph(text, "no traffic, no verdict: ", &line);
}

/// A line for each reason.
fn unseen(text: &mut String, report: &Report) {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for unseen in &report.cannot_see {
        let rules = reasons.entry(&unseen.because).or_default();
        if !rules.contains(&&*unseen.rule) {
            rules.push(&unseen.rule);
        }
    }
    let too_short = report.too_short.iter().map(|rule| &*rule.rule);
    let too_short: Vec<&str> = too_short.collect();
    if !reasons.is_empty() || !too_short.is_empty() {
        text.push('\n');
    }
    for (because, rules) in reasons.iter().take(MOST_LINES) {
        let line = format!("{because}: {}", rules.join(", "));
        paragraph(text, "cannot see, because ", &line);
    }
    more(text, reasons.len());
    if !too_short.is_empty() {
        paragraph(text, "window too short for: ", &too_short.join(", "));
    }
}

fn more(text: &mut String, count: usize) {
    if count > MOST_LINES {
        let _ = writeln!(text, "  and {} more (--json has all)", count - MOST_LINES);
    }
}
