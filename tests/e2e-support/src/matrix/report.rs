//! What is printed at the end: what was not tested, failures, and a line for each kernel.

use super::results::{Outcome, Run};
use anyhow::Result;
use std::time::Duration;

/// Prints the summary; returns whether all is well.
pub(super) fn summary(runs: &[(String, Result<Run>)], took: Duration) -> bool {
    println!();
    for (label, run) in runs {
        for (program, test) in run.iter().flat_map(Run::tests) {
            for (kind, reason) in test.reasons() {
                println!("{label}: {}::{} {kind}: {reason}", program.name, test.name);
            }
        }
    }
    for (label, run) in runs {
        match run {
            Err(error) => failure(
                &format!("{label} could not be run"),
                &[format!("{error:#}")],
            ),
            Ok(run) => tell_failures(label, run),
        }
    }
    println!();
    for (label, run) in runs {
        println!("{}", line(label, run));
    }
    println!("matrix took {} s", took.as_secs());
    runs.iter()
        .all(|(_, run)| run.as_ref().is_ok_and(Run::passed))
}

fn tell_failures(label: &str, run: &Run) {
    for (program, test) in run.tests() {
        let ending = match test.outcome {
            Outcome::Failed => "FAILED",
            Outcome::Unknown => "had no result",
            Outcome::Passed | Outcome::Skipped | Outcome::Ignored => continue,
        };
        let title = format!("{label}: {}::{} {ending}", program.name, test.name);
        failure(&title, &test.words);
    }
    let complaints = run.complaints();
    if !complaints.is_empty() {
        failure(&format!("{label} as a whole"), &complaints);
    }
}

/// In the form of libtest, which whoever repeats failures reads.
fn failure(title: &str, words: &[String]) {
    println!("\n---- {title} ----");
    for line in words {
        println!("{line}");
    }
}

/// Counts in the form of libtest, for whoever counts those of `cargo test`.
fn line(label: &str, run: &Result<Run>) -> String {
    let Ok(run) = run else {
        return format!(
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; {label} could not be run"
        );
    };
    let verdict = if run.passed() { "ok" } else { "FAILED" };
    format!(
        "test result: {verdict}. {} passed; {} failed; {} ignored; {} of those that passed in part; \
         finished in {:.0}s on {label} ({}), booted in {}s",
        run.count(&[Outcome::Passed]),
        run.failures(),
        run.count(&[Outcome::Skipped, Outcome::Ignored]),
        run.partial(),
        run.seconds,
        run.release,
        run.boot_seconds
            .map_or_else(|| "?".to_owned(), |seconds| format!("{seconds:.0}")),
    )
}
