//! docs/overhead.md, made of the results.

use std::{fmt::Write as _, io::Write as _, path::Path};

use anyhow::{Context, Result, ensure};

use super::{
    Report, beside, goals_table,
    instructions::{self, Instructions},
};
use crate::bench::{goals, part::Part};

const PAGE: &str = "overhead.md";
const MADE_BY: &str = "<!-- Made by `cargo xtask bench`: edit tests/src/bench instead. -->";
const BEGINNING: &str = "
# What observing costs

Measured by one command, with a release build, on the machine below. It needs root, takes about 30
minutes (`--quick`: seven, and this page stays as it is), and says first which other tools it lacks:

```console
$ cargo xtask bench
$ cargo xtask bench --quick
$ cargo xtask bench --only paths,peers
$ cargo xtask bench --write-docs
```

The third repeats parts alone, the last writes this page from `target/bench.json`, where all
figures are, without measuring.
";
const READING: &str = "
Figures with brackets are medians with 95 % bootstrap intervals; a tick's are means over all ticks of a
run. Contenders take turns within seconds
of each other, so a busy neighbour meets all of them; still, nanoseconds are those of this machine, and only
ratios and counts carry over to another.
";
const NOT_HERE: &str = "
## What was not measured

- vhost and KVM: this machine has neither. A frame's way from guest to guest costs more without them,
  so hooks weigh less in it than they would there; the ways from tap to tap, which have no guest at
  all, are the other bound.
- A physical card: nothing is sent beyond this machine. On a card of 10 Gbit/s and more, the driver's work
  comes on top of what was measured, and the hooks stay the same.
- More processors than this machine has: what many of them add to one counter at the same time.
";

/// Writes the page into the directory of documents.
pub(super) fn write(report: &Report, documents: &Path) -> Result<()> {
    let missing: Vec<String> = Part::ALL
        .iter()
        .filter(|part| !report.parts.contains_key(part))
        .map(|part| part.name())
        .collect();
    ensure!(
        missing.is_empty(),
        "not measured yet: {}; run `cargo xtask bench --only {}`",
        missing.join(", "),
        missing.join(",")
    );
    report.check_goals()?;
    let page = page(report, Some(&instructions::of(documents)?));
    let path = documents.join(PAGE);
    let mut file = beside(&path)?;
    let written = file.write_all(page.as_bytes());
    written.with_context(|| format!("writing {}", path.display()))?;
    // The error has that of the system in itself.
    match file.persist(&path) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.error).with_context(|| format!("writing {}", path.display())),
    }
}

fn page(report: &Report, instructions: Option<&Instructions>) -> String {
    let mut page = format!("{MADE_BY}{BEGINNING}\n## Goals\n\n");
    let counted = instructions.map_or_else(Vec::new, Instructions::goals);
    let outcomes = || report.outcomes().chain(&counted);
    page += &goals_table(outcomes()).markdown();
    let missed = outcomes().filter(|outcome| outcome.is_missed());
    for (index, outcome) in missed.enumerate() {
        if index == 0 {
            page += "\nWhat is missed, and why it is no less:\n\n";
        }
        let emulated = goals::EXACT.iter().map(|(goal, _)| goal);
        let goal = goals::ALL
            .iter()
            .chain(emulated)
            .find(|goal| goal.name == outcome.goal);
        let note = goal.map_or("", |goal| goal.note);
        let note = if note.is_empty() {
            "not explained yet."
        } else {
            note
        };
        let _ = writeln!(page, "- {}, {}: {note}", outcome.goal, outcome.verdict());
    }
    let host = report.host();
    let _ = write!(page, "\n## Where and how\n\n{}.\n{READING}", host.line());
    for part in Part::ALL {
        let Some(measured) = report.parts.get(&part) else {
            continue;
        };
        let _ = write!(page, "\n## {}\n\n{}\n", part.title(), part.method());
        if measured.quick {
            page += "\nA run with fewer repetitions (`--quick`).\n";
        }
        if measured.alone {
            page += "\nMeasured again after the others (`--only`).\n";
        }
        for table in &measured.tables {
            match table.title.as_str() {
                "" => page += "\n",
                title => {
                    let _ = write!(page, "\n{title}:\n\n");
                }
            }
            page += &table.markdown();
        }
    }
    if let Some(counted) = instructions {
        let _ = write!(
            page,
            "\n## In instructions\n\nAn emulated Linux {} whose clock counts instructions: of a small \
             frame the same in every run, of all others within some per cent, and what the tests hold on to. \
             Added to a frame:\n\n{}\nAdded to a call of \
             one of the kernel's functions by the exact hooks, to the work they time:\n\n{}",
            counted.kernel(),
            counted.paths().markdown(),
            counted.exact().markdown()
        );
    }
    page + NOT_HERE
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{bench::report::Measured, manual};

    /// Results as they would be if nothing could be measured.
    fn nothing_measured() -> Result<Report> {
        let mut report = Report::new()?;
        for part in Part::ALL {
            let goals = goals::ALL.iter().filter(|goal| goal.part == part);
            let measured = Measured {
                quick: false,
                alone: false,
                took_s: 0,
                tables: Vec::new(),
                goals: goals
                    .map(|goal| goal.outcome(Err("no".to_owned())))
                    .collect(),
                figures: serde_json::Value::Null,
            };
            report.insert(part, measured);
        }
        Ok(report)
    }

    /// Lines in which nothing was measured must be in the committed page, in this order;
    /// of the goals, all names.
    #[test]
    fn the_committed_page_is_of_this_writer() -> Result<()> {
        let committed = fs::read_to_string(manual::root()?.join("docs").join(PAGE))?;
        let host = nothing_measured()?;
        let written = page(&host, None);
        let mut rest = committed.lines();
        for line in written
            .lines()
            .filter(|line| *line != format!("{}.", host.host().line()))
        {
            let wanted = match line
                .strip_prefix("| ")
                .and_then(|row| row.split_once(" | "))
            {
                Some((name, _)) => format!("| {name} |"),
                None => line.to_owned(),
            };
            ensure!(
                rest.any(|line| match wanted.starts_with("| ") {
                    true => line.starts_with(&wanted),
                    false => line == wanted,
                }),
                "docs/{PAGE} has no {wanted:?} where it should: run `cargo xtask bench --write-docs`"
            );
        }
        Ok(())
    }

    #[test]
    fn a_page_of_other_goals_is_not_written() -> Result<()> {
        let documents = tempfile::tempdir()?;
        type Change = fn(&mut Vec<goals::Outcome>);
        let changes: [Change; 2] = [|goals| goals[0].limit += 1.0, Vec::clear];
        for change in changes {
            let mut report = nothing_measured()?;
            let control = report.parts.get_mut(&Part::Control);
            change(&mut control.context("it was inserted")?.goals);
            let error = report.write_page(documents.path()).unwrap_err().to_string();
            assert!(error.contains("--only control"), "{error}");
        }
        assert!(fs::read_dir(documents.path())?.next().is_none());
        Ok(())
    }

    #[test]
    fn what_is_missed_is_explained() -> Result<()> {
        let mut report = nothing_measured()?;
        let measured = report.parts.get_mut(&Part::EndToEnd);
        let measured = measured.context("it was inserted")?;
        measured.goals = vec![goals::UDP_64.outcome(Ok(5.0))];
        let page = page(&report, None);
        let told = format!(
            "- UDP 64 B, packets lost, missed by 3 %: {}",
            goals::UDP_64.note
        );
        assert!(page.contains(&told), "{page}");
        assert!(page.contains("| UDP 64 B, packets lost | 2 % | 5 % | missed by 3 % |"));
        Ok(())
    }

    #[test]
    fn a_page_without_a_part_is_not_written() -> Result<()> {
        let mut report = nothing_measured()?;
        report.parts.remove(&Part::Peers);
        let documents = tempfile::tempdir()?;
        let error = report.write_page(documents.path()).unwrap_err().to_string();
        assert!(error.contains("--only peers"), "{error}");
        assert!(fs::read_dir(documents.path())?.next().is_none());
        Ok(())
    }
}
