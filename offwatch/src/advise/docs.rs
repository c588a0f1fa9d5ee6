//! The long form of rules: for the terminal, and as a document.

use std::fmt::Write as _;

use textwrap::Options;

use super::{
    catalogue,
    rule::{Check, Family, Rule},
};

/// Columns of what is printed.
const WIDTH: usize = 80;

/// What is behind a rule.
pub fn explain(rule: &Rule) -> String {
    let head = format!("{}: {}", rule.id, rule.title);
    let mut text = format!("{}\n\n", textwrap::fill(&head, WIDTH));
    for (name, part) in parts(rule) {
        let options = Options::new(WIDTH)
            .initial_indent("  ")
            .subsequent_indent("  ");
        let _ = writeln!(text, "{name}\n{}\n", textwrap::fill(&part, options));
    }
    text.push_str("Sources\n");
    for source in rule.sources {
        let options = Options::new(WIDTH)
            .initial_indent("  - ")
            .subsequent_indent("    ");
        let _ = writeln!(text, "{}", textwrap::fill(source, options));
    }
    text
}

/// All rules, a line each.
pub fn list() -> String {
    let rules = catalogue::rules();
    let widest = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for family in Family::ALL {
        let _ = writeln!(text, "{}", family.title());
        for rule in rules.iter().filter(|rule| rule.family == family) {
            let first = format!("  {:widest$}  ", rule.id);
            let further = " ".repeat(widest + 4);
            let options = Options::new(WIDTH)
                .initial_indent(&first)
                .subsequent_indent(&further);
            let _ = writeln!(text, "{}", textwrap::fill(rule.title, options));
        }
    }
    text
}

/// The document of all rules, in Markdown.
pub fn markdown() -> String {
    let rules = catalogue::rules();
    let mut text = format!(
        "# Rules of `offwatch advise`\n\n\
         Made from the catalogue by `cargo xtask docs`; `offwatch advise explain RULE` prints\n\
         the same. {} rules; those that no host can see are here for what they teach.\n",
        rules.len()
    );
    for family in Family::ALL {
        let _ = write!(text, "\n## {}\n", family.title());
        for rule in rules.iter().filter(|rule| rule.family == family) {
            let _ = write!(text, "\n### {}\n\n{}.\n\n", rule.id, rule.title);
            for (name, part) in parts(rule) {
                let _ = writeln!(text, "- **{name}**: {part}");
            }
            for source in rule.sources {
                let _ = writeln!(text, "- **Source**: {source}");
            }
        }
    }
    text
}

fn parts(rule: &Rule) -> Vec<(&'static str, String)> {
    let mut parts = Vec::new();
    let mut add = |name, part: String| {
        if !part.is_empty() {
            parts.push((name, part));
        }
    };
    add("How it comes about", rule.mechanism.into());
    add("Said when", rule.trigger.into());
    if let Check::Unseen(because) = rule.check {
        add("Never said", format!("the host cannot see it: {because}"));
    }
    let needs = rule.needs.iter().map(|need| need.name());
    add("Needs to see", needs.collect::<Vec<_>>().join("; "));
    for threshold in rule.thresholds {
        let limit = format!(
            "{}: {} {} ({})",
            threshold.name,
            number(threshold.value),
            threshold.unit,
            threshold.why
        );
        add("Decides", limit);
    }
    if rule.shortest_window_s > 1.0 {
        let seconds = number(rule.shortest_window_s);
        add("Shortest window", format!("{seconds} s"));
    }
    add("What to do", rule.remedy.into());
    add("Cost or gain", rule.cost.into());
    add("Wrong when", rule.wrong_when.into());
    add("Versions", rule.version_bound.unwrap_or_default().into());
    if !matches!(rule.check, Check::Unseen(_)) {
        add("Confidence", rule.confidence.name().into());
    }
    parts
}

fn number(value: f64) -> String {
    value.to_string()
}
