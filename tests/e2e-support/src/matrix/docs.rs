//! `docs/kernels.md`: what a run of the whole matrix showed, as a page.
//!
//! Kernels move on without asking. So one section says which ones the page was
//! made with, and is left out where a page is compared with a run.

use super::instructions;
use super::results::{Outcome, Run};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What to do with the page after a run of the whole matrix. Boots that count
/// instructions have a file of their own beside it, see [`instructions`].
#[derive(Debug, Clone)]
pub enum Docs {
    /// Write it.
    Write(PathBuf),
    /// Fail if the one that is there says something else.
    Check(PathBuf),
}

const TITLE: &str = "\
# Kernels

<!-- Made by `cargo xtask vm --write-docs` from what the tests said: edit those instead. -->

The tests of the lab run on real kernels, each in an emulated machine: `cargo xtask vm`.
Where a kernel lacks something, a test checks what is there, and says what it leaves out.
This is all of it.
";

/// The section that is not compared.
const VOLATILE: &str = "## The kernels of this run";

impl Docs {
    /// Writes or compares. `draft` is where a page that differs is put.
    pub(super) fn handle(&self, runs: &[&Run], draft: &Path) -> Result<()> {
        let (counting, others): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.icount);
        if let Self::Write(path) = self {
            instructions::write(path, &counting)?;
        }
        if others.is_empty() {
            return Ok(());
        }
        let page = page(&others);
        match self {
            Self::Write(path) => {
                fs::write(path, page).with_context(|| format!("write {}", path.display()))?;
                println!("wrote {}", path.display());
                Ok(())
            }
            Self::Check(path) => {
                let committed = fs::read_to_string(path).unwrap_or_default();
                let differences = differences(&committed, &page);
                if differences.is_empty() {
                    return Ok(());
                }
                fs::write(draft, page).with_context(|| format!("write {}", draft.display()))?;
                differences.iter().for_each(|line| println!("{line}"));
                bail!(
                    "{} does not say what this run showed: see whether that is right, then run \
                     `cargo xtask vm --write-docs` or take {}",
                    path.display(),
                    draft.display()
                );
            }
        }
    }
}

fn page(runs: &[&Run]) -> String {
    format!(
        "{TITLE}\n{}\n{}\n{}",
        kernels(runs),
        facts(runs),
        left_out(runs)
    )
}

fn kernels(runs: &[&Run]) -> String {
    let mut text = format!(
        "{VOLATILE}\n\n\
         | kernel | release | Debian's package | passed | of these in part | skipped |\n\
         | --- | --- | --- | --- | --- | --- |\n"
    );
    for run in runs {
        let _ = writeln!(
            text,
            "| {} | {} | {} {} | {} | {} | {} |",
            run.label,
            run.release,
            run.package,
            run.version,
            run.count(&[Outcome::Passed]),
            run.partial(),
            run.count(&[Outcome::Skipped]),
        );
    }
    text
}

/// What tests found out: each fact with the kernels that it holds on.
fn facts(runs: &[&Run]) -> String {
    let mut text = "## What offwatch finds there\n\n".to_owned();
    let keys: BTreeSet<_> = runs.iter().flat_map(|run| run.facts.keys()).collect();
    for key in keys {
        let _ = writeln!(text, "- {key}");
        let values = runs.iter().map(|run| run.facts.get(key));
        let values = values.map(|value| value.map_or("not told", String::as_str));
        let by_kernel = runs.iter().map(|run| run.label.as_str()).zip(values);
        for (value, kernels) in grouped(by_kernel) {
            let kernels = match kernels.len() {
                all if all == runs.len() => "all".to_owned(),
                _ => kernels.join(", "),
            };
            let _ = writeln!(text, "  - {kernels}: {value}");
        }
    }
    text
}

/// The kernels for which the same is said, in their order.
fn grouped<'run, T: PartialEq>(
    said: impl Iterator<Item = (&'run str, T)>,
) -> Vec<(T, Vec<&'run str>)> {
    let mut groups: Vec<(T, Vec<&str>)> = Vec::new();
    for (kernel, says) in said {
        match groups.iter_mut().find(|(known, _)| *known == says) {
            Some((_, kernels)) => kernels.push(kernel),
            None => groups.push((says, vec![kernel])),
        }
    }
    groups
}

/// Tests by what they say of themselves, "skipped" or "in part".
type Tests = BTreeSet<(&'static str, String)>;

/// What is not tested: each reason with the kernels and tests that it is for.
fn left_out(runs: &[&Run]) -> String {
    let mut text = "## What is not tested, and why\n".to_owned();
    for (reason, by_kernel) in reasons(runs) {
        let _ = writeln!(text, "\n{reason}:\n");
        for (tests, kernels) in grouped(by_kernel.into_iter()) {
            let _ = writeln!(text, "- on {}", kernels.join(", "));
            for (kind, test) in tests {
                let _ = writeln!(text, "  - {kind}: `{test}`");
            }
        }
    }
    text
}

/// For each reason the kernels, in the order of the runs, and their tests.
fn reasons<'run>(runs: &[&'run Run]) -> BTreeMap<&'run str, Vec<(&'run str, Tests)>> {
    let mut reasons: BTreeMap<_, Vec<(&str, Tests)>> = BTreeMap::new();
    for run in runs {
        let mut tests: BTreeMap<_, Tests> = BTreeMap::new();
        for program in run.without {
            let entry = tests.entry("Lockdown has no bearing on it").or_default();
            entry.insert(("not run", (*program).to_owned()));
        }
        for (program, test) in run.tests() {
            // Not a test: something to be asked for.
            if test.outcome == Outcome::Ignored {
                continue;
            }
            for (kind, reason) in test.reasons() {
                let name = format!("{}::{}", program.name, test.name);
                tests.entry(reason).or_default().insert((kind, name));
            }
        }
        for (reason, tests) in tests {
            let kernels = reasons.entry(reason).or_default();
            kernels.push((run.label.as_str(), tests));
        }
    }
    reasons
}

/// Lines of one page that the other does not have, each behind "-" or "+".
fn differences(committed: &str, made: &str) -> Vec<String> {
    let (committed, made) = (stable(committed), stable(made));
    if committed == made {
        return Vec::new();
    }
    let lacking = |mark, from: &[&str], other: &[&str]| -> Vec<String> {
        let lines = from.iter().filter(|line| !other.contains(line));
        lines.map(|line| format!("{mark}{line}")).collect()
    };
    let mut lines = lacking('-', &committed, &made);
    lines.extend(lacking('+', &made, &committed));
    if lines.is_empty() {
        lines.push("the same lines in another order".to_owned());
    }
    lines
}

/// The lines of a page without the section that is not compared.
fn stable(page: &str) -> Vec<&str> {
    let mut inside = false;
    let lines = page.lines().filter(|line| {
        if line.starts_with("## ") {
            inside = *line == VOLATILE;
        }
        !inside
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::results::{Program, Test};

    fn run(label: &str, release: &str, tests: &[(&str, Option<&str>, &[&str])]) -> Run {
        let mut program = Program::new("counts");
        for (name, skipped, left_out) in tests {
            program.tests.push(Test {
                name: (*name).to_owned(),
                outcome: match skipped {
                    Some(_) => Outcome::Skipped,
                    None => Outcome::Passed,
                },
                skipped: skipped.map(str::to_owned),
                left_out: left_out.iter().map(|reason| (*reason).to_owned()).collect(),
                words: Vec::new(),
                seconds: 1.0,
            });
        }
        Run {
            label: label.to_owned(),
            release: release.to_owned(),
            programs: vec![program],
            facts: [
                ("hook tp", "works"),
                ("hook x", if label == "6.12" { "works" } else { "no" }),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
            ..Run::default()
        }
    }

    fn example(release: &str) -> String {
        let old = [("a", Some("no tcx"), &[][..]), ("b", None, &["no tcx"][..])];
        let mut runs = [
            run("5.10", release, &old),
            run("6.1", "6.1.0", &old),
            run(
                "6.12",
                "6.12.0",
                &[("a", None, &[]), ("b", None, &["no x"])],
            ),
        ];
        runs[2].programs[0].tests.push(Test {
            name: "measure".to_owned(),
            outcome: Outcome::Ignored,
            skipped: Some("takes hours".to_owned()),
            left_out: Vec::new(),
            words: Vec::new(),
            seconds: 0.0,
        });
        page(&runs.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_page_lists_kernels_facts_and_reasons() {
        let page = example("5.10.0-1");
        for expected in [
            "| 5.10 | 5.10.0-1 |   | 1 | 1 | 1 |\n",
            "- hook tp\n  - all: works\n",
            "- hook x\n  - 5.10, 6.1: no\n  - 6.12: works\n",
            "\nno tcx:\n\n- on 5.10, 6.1\n  - in part: `counts::b`\n  - skipped: `counts::a`\n",
            "\nno x:\n\n- on 6.12\n  - in part: `counts::b`\n",
        ] {
            assert!(page.contains(expected), "{expected} is not in\n{page}");
        }
        assert!(!page.contains("takes hours"), "{page}");
    }

    #[test]
    fn another_point_release_is_no_difference() {
        let (one, other) = (example("5.10.0-1"), example("5.10.0-2"));
        assert_ne!(one, other);
        assert_eq!(differences(&one, &other), [""; 0]);
    }

    #[test]
    fn another_reason_is_a_difference() {
        let page = example("5.10.0-1");
        let other = page.replace("no x:", "no y:");
        assert_eq!(differences(&page, &other), ["-no x:", "+no y:"]);
        assert!(!differences("", &page).is_empty());
        let fact = page.replace("- all: works", "- all: fails");
        assert_eq!(differences(&page, &fact).len(), 2);
    }
}
