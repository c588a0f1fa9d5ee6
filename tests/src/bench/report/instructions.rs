//! What an emulated kernel counted: instructions, nearly the same in every run.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Table;
use crate::bench::goals::{self, Outcome};

/// Made by the matrix of kernels.
const FILE: &str = "kernel-instructions.json";

/// The programs that are used where they can be had.
const FEXIT: &str = "fexit";

/// What the file holds.
#[derive(Debug, Deserialize)]
pub(super) struct Instructions {
    kernel: String,
    paths: Vec<Way>,
    exact: Vec<Exact>,
}

#[derive(Debug, Deserialize)]
struct Way {
    path: String,
    nothing: f64,
    hooks: Vec<Added>,
}

/// Instructions that hooks add to a frame.
#[derive(Debug, Deserialize)]
struct Added {
    hook: String,
    empty_return: f64,
    empty_count: f64,
    offwatch: f64,
    ratio: f64,
}

/// Of a call of one of the kernel's functions.
#[derive(Debug, Deserialize)]
struct Exact {
    method: String,
    call: String,
    /// Of what is timed; what is not has none.
    work: Option<f64>,
    added: f64,
    percent: Option<f64>,
}

/// Those in the directory of documents.
pub(super) fn of(documents: &Path) -> Result<Instructions> {
    let path = documents.join(FILE);
    let json = fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&json).with_context(|| path.display().to_string())
}

impl Instructions {
    pub(super) fn kernel(&self) -> &str {
        &self.kernel
    }

    pub(super) fn paths(&self) -> Table {
        let heads = [
            "way, hook",
            "the way itself",
            "empty (return) adds",
            "empty (array + 1) adds",
            "offwatch adds",
            "to (array + 1)",
        ];
        let mut table = Table::new("", &heads);
        for way in &self.paths {
            for added in &way.hooks {
                table.row([
                    format!("{}, {}", way.path, added.hook),
                    format!("{:.0}", way.nothing),
                    format!("{:.0}", added.empty_return),
                    format!("{:.0}", added.empty_count),
                    format!("{:.0}", added.offwatch),
                    format!("{:.2}", added.ratio),
                ]);
            }
        }
        table
    }

    pub(super) fn exact(&self) -> Table {
        let heads = ["call", "programs", "work", "added", "share"];
        let mut table = Table::new("", &heads);
        for exact in &self.exact {
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            table.row([
                exact.call.clone(),
                exact.method.clone(),
                or_none(exact.work.map(|work| format!("{work:.0}"))),
                format!("{:.0}", exact.added),
                or_none(exact.percent.map(|share| format!("{share:.1} %"))),
            ]);
        }
        table
    }

    /// What became of the goals for exact hooks.
    pub(super) fn goals(&self) -> Vec<Outcome> {
        let share = |call: &str| {
            let mut all = self.exact.iter();
            let found = all.find(|exact| exact.method == FEXIT && exact.call == call);
            found
                .and_then(|exact| exact.percent)
                .ok_or_else(|| format!("docs/{FILE} has none"))
        };
        goals::EXACT
            .iter()
            .map(|(goal, call)| goal.outcome(share(call)))
            .collect()
    }
}
