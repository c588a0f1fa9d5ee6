//! What came out of a boot, as data: `docs/kernels.md` is made from it.

use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A boot of one kernel.
#[derive(Debug, Default, Serialize)]
pub(super) struct Run {
    /// The kernel's name, with `-lockdown` or `-icount` if booted so.
    pub(super) label: String,
    pub(super) package: String,
    pub(super) version: String,
    /// As in `uname -r`.
    pub(super) release: String,
    pub(super) lockdown: bool,
    /// Whether its clock counted instructions.
    pub(super) icount: bool,
    /// Test binaries that were not run, because lockdown has no bearing on them.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) without: &'static [&'static str],
    /// From the start of QEMU to the start of the first test binary.
    pub(super) boot_seconds: Option<f64>,
    /// From the start of QEMU to its end.
    pub(super) seconds: f64,
    /// Whether every test binary ended.
    pub(super) complete: bool,
    /// Signs of trouble in the kernel, or with the guest as a whole.
    pub(super) troubles: Vec<String>,
    /// Modules that the package does not hold.
    pub(super) absent_modules: Vec<String>,
    /// What tests printed as `kernel-fact: KEY = VALUE`.
    pub(super) facts: BTreeMap<String, String>,
    /// What a test printed as `kernel-instructions: JSON`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instructions: Option<serde_json::Value>,
    pub(super) programs: Vec<Program>,
}

/// A test binary.
#[derive(Debug, Serialize)]
pub(super) struct Program {
    pub(super) name: String,
    /// Its exit status; more than 128 after a signal.
    pub(super) status: Option<i32>,
    pub(super) seconds: f64,
    pub(super) tests: Vec<Test>,
}

/// A test and how it ended.
#[derive(Debug, Serialize)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) outcome: Outcome,
    /// Why it did nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) skipped: Option<String>,
    /// Why parts of it were not done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) left_out: Vec<String>,
    /// First lines of what it said, unless it passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) words: Vec<String>,
    pub(super) seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// The test said that it cannot run here.
    Skipped,
    Ignored,
    /// The guest or the test binary ended first.
    Unknown,
}

impl Test {
    /// Each reason for not testing something, and of which kind it is.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let skipped = self
            .skipped
            .iter()
            .map(|reason| ("skipped", reason.as_str()));
        let parts = self
            .left_out
            .iter()
            .map(|reason| ("in part", reason.as_str()));
        skipped.chain(parts)
    }
}

impl Program {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: None,
            seconds: 0.0,
            tests: Vec::new(),
        }
    }
}

impl Run {
    /// How many of the tests that passed left something out.
    pub(super) fn partial(&self) -> usize {
        self.tests()
            .filter(|(_, test)| test.outcome == Outcome::Passed && !test.left_out.is_empty())
            .count()
    }

    /// How many failures to report: at least one unless all is well.
    pub(super) fn failures(&self) -> usize {
        let failed = self.count(&[Outcome::Failed, Outcome::Unknown]);
        failed.max(usize::from(!self.passed()))
    }

    /// How many tests ended so.
    pub(super) fn count(&self, outcomes: &[Outcome]) -> usize {
        self.tests()
            .filter(|(_, test)| outcomes.contains(&test.outcome))
            .count()
    }

    /// Every test with the binary that it is in.
    pub(super) fn tests(&self) -> impl Iterator<Item = (&Program, &Test)> {
        let programs = self.programs.iter();
        programs.flat_map(|program| program.tests.iter().map(move |test| (program, test)))
    }

    /// Why the run is no success, besides failed tests. A line each.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut complaints = self.troubles.clone();
        for program in &self.programs {
            match program.status {
                Some(0) => {}
                Some(status) => {
                    complaints.push(format!("{} ended with status {status}", program.name));
                }
                None => complaints.push(format!("{} did not end", program.name)),
            }
        }
        if self.boot_seconds.is_none() && self.programs.is_empty() {
            complaints.push("the guest did not boot".to_owned());
        } else if !self.complete {
            complaints.push("the guest ended before its tests".to_owned());
        } else if self.tests().next().is_none() {
            // A filter that matches nothing would otherwise pass.
            complaints.push("no test was run".to_owned());
        }
        complaints
    }

    pub(super) fn passed(&self) -> bool {
        self.complaints().is_empty() && self.count(&[Outcome::Failed, Outcome::Unknown]) == 0
    }
}

/// Writes `results/<label>.json` below `cache`.
pub(super) fn save(cache: &Path, run: &Run) -> Result<()> {
    let directory = cache.join("results");
    fs::create_dir_all(&directory).context("create the directory for results")?;
    let path = directory.join(format!("{}.json", run.label));
    let mut text = serde_json::to_string_pretty(run)?;
    text.push('\n');
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}
