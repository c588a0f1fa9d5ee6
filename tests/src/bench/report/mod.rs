//! The results: as tables for a terminal, as JSON, and as a page.

pub(super) mod bodies;
pub(super) mod control;
pub(super) mod exact;
mod host;
mod instructions;
mod page;
pub(super) mod paths;
pub(super) mod scale;
mod table;

use std::{collections::BTreeMap, fmt, fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

pub(super) use self::{host::Host, table::Table};
use super::{
    goals::{self, Outcome},
    part::Part,
};

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    host: Host,
    parts: BTreeMap<Part, Measured>,
}

/// As a [`Report`], of two: the later ones count.
#[derive(Serialize)]
struct All<'a> {
    host: &'a Host,
    parts: BTreeMap<&'a Part, &'a Measured>,
}

/// One part, measured.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// With fewer repetitions.
    pub(super) quick: bool,
    /// In a run of its own or of some parts, not in one of all.
    #[serde(default)]
    pub(super) alone: bool,
    pub(super) took_s: u64,
    pub(super) tables: Vec<Table>,
    pub(super) goals: Vec<Outcome>,
    /// What the tables were made of.
    pub(super) figures: serde_json::Value,
}

impl Report {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            host: Host::here()?,
            parts: BTreeMap::new(),
        })
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn insert(&mut self, part: Part, measured: Measured) {
        self.parts.insert(part, measured);
    }

    /// Those of a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or was not written by [`Report::write`].
    pub fn read(path: &Path) -> Result<Self> {
        let json = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&json)
            .with_context(|| format!("{} has no results of this bench", path.display()))
    }

    /// Whether results of `parts` can be written to a file, before anything is measured.
    ///
    /// # Errors
    ///
    /// If it holds something else, or results of another machine that would be lost, or
    /// its directory cannot be written to.
    pub(super) fn check(path: &Path, parts: &[Part]) -> Result<()> {
        if path.exists() {
            let known = Self::read(path);
            let known = known.context("it is not replaced: give another file, or remove it")?;
            let lost = known.parts.keys().find(|part| !parts.contains(part));
            if let Some(lost) = lost
                && known.host != Host::here()?
            {
                bail!(
                    "{} has results of {}: measure all parts here, or move it away ({} would be lost)",
                    path.display(),
                    known.host.line(),
                    lost.name()
                );
            }
        }
        beside(path).map(drop)
    }

    /// Writes them to a file. Parts that are there and were not measured now stay, if
    /// they are of the same machine and kernel.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let before = Self::read(path)
            .ok()
            .filter(|known| known.host == self.host);
        let before = before.map_or_else(BTreeMap::new, |report| report.parts);
        let all = All {
            host: &self.host,
            parts: before.iter().chain(&self.parts).collect(),
        };
        let file = beside(path)?;
        serde_json::to_writer_pretty(&file, &all).context("the results as JSON")?;
        let written = file.persist(path);
        written.with_context(|| format!("writing {}", path.display()))?;
        Ok(())
    }

    /// Writes the page.
    ///
    /// # Errors
    ///
    /// If a part is missing, or the page cannot be written.
    pub fn write_page(&self, documents: &Path) -> Result<()> {
        page::write(self, documents)
    }

    /// Whether the goals are those of this program.
    ///
    /// # Errors
    ///
    /// If one is missing, or has another limit.
    fn check_goals(&self) -> Result<()> {
        for goal in goals::ALL {
            let Some(measured) = self.parts.get(&goal.part) else {
                continue;
            };
            let mut outcomes = measured.goals.iter();
            let is_known =
                outcomes.any(|found| found.goal == goal.name && found.limit == goal.limit);
            ensure!(
                is_known,
                "the results are of another version of this bench, with other goals: run \
                 `cargo xtask bench --only {}`",
                goal.part.name()
            );
        }
        Ok(())
    }

    /// Whether every goal that was measured is met.
    pub fn goals_met(&self) -> bool {
        !self.outcomes().any(Outcome::is_missed)
    }

    /// Of what was measured, in the order of the page.
    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        goals::ALL.iter().filter_map(|goal| {
            let measured = self.parts.get(&goal.part)?;
            let mut outcomes = measured.goals.iter();
            outcomes.find(|outcome| outcome.goal == goal.name)
        })
    }
}

fn goals_table<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Table {
    let mut table = Table::new("", &["goal", "limit", "measured", "verdict"]);
    for outcome in outcomes {
        table.row([
            outcome.goal.clone(),
            outcome.limit_text(),
            outcome.value_text(),
            outcome.verdict(),
        ]);
    }
    table
}

/// A file that can take the place of another, all at once.
fn beside(path: &Path) -> Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let made = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(directory);
    made.with_context(|| format!("writing to {}", directory.display()))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.host.line())?;
        writeln!(
            f,
            "Medians; in brackets 95 % bootstrap intervals. Only ratios carry over."
        )?;
        for part in Part::ALL {
            let Some(measured) = self.parts.get(&part) else {
                continue;
            };
            writeln!(f, "\n{} ({} s)", part.title(), measured.took_s)?;
            for table in &measured.tables {
                write!(f, "{table}")?;
            }
        }
        write!(f, "\nGoals\n{}", goals_table(self.outcomes()))
    }
}

/// An estimate as cells have it.
pub(super) fn cell(estimate: Option<super::stats::Estimate>, precision: usize) -> String {
    estimate.map_or_else(String::new, |estimate| format!("{estimate:.precision$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_another_machine_are_not_lost_for_one_part() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("results.json");
        let mut other = Report::new()?;
        other.host.kernel = "5.10.0-of-another".into();
        for part in [Part::Control, Part::Scale] {
            let measured = Measured {
                quick: false,
                alone: false,
                took_s: 0,
                tables: Vec::new(),
                goals: Vec::new(),
                figures: serde_json::Value::Null,
            };
            other.insert(part, measured);
        }
        other.write(&file)?;
        let refused = Report::check(&file, &[Part::Control])
            .unwrap_err()
            .to_string();
        assert!(refused.contains("5.10.0-of-another"), "{refused}");
        assert!(refused.contains("scale would be lost"), "{refused}");
        Report::check(&file, &[Part::Control, Part::Scale])?;
        other.host = Host::here()?;
        other.write(&file)?;
        Report::check(&file, &[Part::Control])
    }

    #[test]
    fn a_file_of_something_else_is_not_replaced() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("notes.txt");
        fs::write(&file, "my figures")?;
        let error = format!("{:#}", Report::check(&file, &Part::ALL).unwrap_err());
        assert!(error.contains("notes.txt has no results"), "{error}");
        assert_eq!(fs::read_to_string(&file)?, "my figures");

        let absent = directory.path().join("none/results.json");
        assert!(Report::check(&absent, &Part::ALL).is_err());
        let results = directory.path().join("results.json");
        Report::check(&results, &Part::ALL)?;
        Report::new()?.write(&results)?;
        Report::check(&results, &Part::ALL)?;
        assert_eq!(
            fs::read_dir(directory.path())?.count(),
            2,
            "none is left over"
        );
        Ok(())
    }
}
