//! The rules and alerts for Prometheus: promtool accepts them, their tests hold, and each
//! of them is one that its tests would miss.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use offwatch_tests::skip::skipped;

const RULES: &str = "rules.yml";
const ALERTS: &str = "alerts.yml";
const TESTS: [&str; 3] = ["rules.yml", "alerts-vms.yml", "alerts-hosts.yml"];
const RUNBOOK: &str = "https://github.com/offwatch/offwatch/blob/main/docs/prometheus.md#";

/// A rule or an alert, as it stands in its file.
struct Rule<'file> {
    name: &'file str,
    text: &'file str,
}

impl Rule<'_> {
    /// Its expression, as it stands.
    fn expression(&self) -> Result<&str> {
        let start = self.text.find("        expr: ").context("an expression")?;
        let text = &self.text[start..];
        let is_inside = |line: &&str| line.starts_with("          ") || line.trim().is_empty();
        let further = text.lines().skip(1).take_while(is_inside);
        let length = further.fold(
            text.lines().next().unwrap_or_default().len(),
            |sum, line| sum + 1 + line.len(),
        );
        Ok(&text[..length])
    }
}

fn contrib() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/prometheus")
}

fn read(name: &str) -> Result<String> {
    fs::read_to_string(contrib().join(name)).with_context(|| name.to_owned())
}

/// All of a kind: `alert` or `record`.
fn rules<'file>(text: &'file str, kind: &str) -> Vec<Rule<'file>> {
    let mark = format!("      - {kind}: ");
    let parts = text.split(mark.as_str()).skip(1);
    let rule = |text: &'file str| Rule {
        name: text.lines().next().unwrap_or_default(),
        text,
    };
    parts.map(rule).collect()
}

/// None where promtool is not installed.
fn promtool(directory: &Path, args: &[&str]) -> Result<Option<Output>> {
    let mut command = Command::new("promtool");
    match command.args(args).current_dir(directory).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ensure!(
                std::env::var_os("OFFWATCH_REQUIRE_LAB").is_none(),
                "promtool is not installed"
            );
            skipped("promtool is not installed");
            Ok(None)
        }
        output => Ok(Some(output.context("promtool")?)),
    }
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|out| String::from_utf8_lossy(out))
        .concat()
}

#[test]
fn promtool_accepts_them_and_their_tests_hold() -> Result<()> {
    let tests = TESTS.map(|name| format!("tests/{name}"));
    let test = ["test", "rules"]
        .into_iter()
        .chain(tests.iter().map(String::as_str));
    for args in [
        vec!["check", "rules", "--lint-fatal", RULES, ALERTS],
        vec!["check", "config", "--syntax-only", "prometheus.yml"],
        test.collect(),
    ] {
        let Some(output) = promtool(&contrib(), &args)? else {
            return Ok(());
        };
        ensure!(output.status.success(), "{args:?}: {}", told(&output));
    }
    Ok(())
}

/// The rules of a kind, all of them wrong; of those that have a name in common, the
/// `copy`th. Their names, and the file.
fn broken(text: &str, kind: &str, copy: usize, wrong: &str) -> Result<(Vec<String>, String)> {
    let mut broken = text.to_owned();
    let mut names = Vec::new();
    let rules = rules(text, kind);
    for (position, rule) in rules.iter().enumerate() {
        let before = rules[..position].iter();
        if before.filter(|other| other.name == rule.name).count() == copy {
            let body = rule.text.replace(rule.expression()?, wrong);
            ensure!(text.matches(rule.text).count() == 1, "{} twice", rule.name);
            broken = broken.replace(rule.text, &body);
            names.push(rule.name.to_owned());
        }
    }
    Ok((names, broken))
}

/// As each test names what it is about, all rules of a kind are broken at once.
#[test]
fn broken_rules_fail_their_tests() -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::create_dir(directory.path().join("tests"))?;
    let tests = TESTS.map(|name| format!("tests/{name}"));
    for name in &tests {
        fs::write(directory.path().join(name), read(name)?)?;
    }
    let mut test = vec!["test", "rules"];
    test.extend(tests.iter().map(String::as_str));
    for (file, kind, copies) in [(RULES, "record", 2), (ALERTS, "alert", 1)] {
        for copy in 0..copies {
            for wrong in ["        expr: vector(1) > 2", "        expr: vector(1)"] {
                for name in [RULES, ALERTS] {
                    fs::write(directory.path().join(name), read(name)?)?;
                }
                let (names, text) = broken(&read(file)?, kind, copy, wrong)?;
                ensure!(!names.is_empty(), "no {kind} to break");
                fs::write(directory.path().join(file), text)?;
                let Some(output) = promtool(directory.path(), &test)? else {
                    return Ok(());
                };
                let told = told(&output);
                for name in names {
                    let marks = [
                        format!("alertname: {name},"),
                        format!("round({name}, 1e-6)"),
                    ];
                    let is_told = marks.iter().any(|mark| told.contains(mark.as_str()));
                    ensure!(is_told, "{name} as {wrong} passes its tests: {told}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn each_alert_is_tested_both_ways_and_explained() -> Result<()> {
    let text = read(ALERTS)?;
    let tests = TESTS.map(|name| read(&format!("tests/{name}")));
    let tests = tests.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let manual = include_str!("../../docs/prometheus.md");
    let alerts = rules(&text, "alert");
    ensure!(alerts.len() > 10, "{} alerts", alerts.len());
    for Rule { name, text } in alerts {
        let cases = tests.split("- alertname: ").skip(1);
        let cases: Vec<_> = cases
            .filter(|case| case.lines().next() == Some(name))
            .collect();
        let is_silent = |case: &&&str| case.contains("exp_alerts: []");
        ensure!(
            cases.iter().any(|case| is_silent(&case)),
            "{name}: no silent case"
        );
        ensure!(
            cases.iter().any(|case| !is_silent(&case)),
            "{name}: no firing case"
        );
        for part in ["severity: ", "summary: ", "description: ", "runbook_url: "] {
            ensure!(text.contains(part), "{name} has no {part}");
        }
        let anchor = name.to_lowercase();
        ensure!(
            text.contains(&format!("{RUNBOOK}{anchor}\n")),
            "{name}: its runbook"
        );
        ensure!(
            manual.contains(&format!("\n### {name}\n")),
            "{name}: no section"
        );
    }
    Ok(())
}

#[test]
fn only_metrics_that_there_are_are_asked_for() -> Result<()> {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let metrics = fs::read_to_string(manual)?;
    for file in [RULES, ALERTS] {
        let text = read(file)?;
        for kind in ["record", "alert"] {
            for rule in rules(&text, kind) {
                let is_part = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
                let words = rule.expression()?.split(is_part);
                let names = words.filter(|word| word.starts_with("offwatch_"));
                for name in names {
                    ensure!(
                        metrics.contains(&format!("`{name}`")),
                        "{}: {name}",
                        rule.name
                    );
                }
            }
        }
    }
    Ok(())
}
