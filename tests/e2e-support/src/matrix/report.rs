//! What is printed at the end: failures, then a line for each kernel.

use super::results::{Outcome, Run};
use anyhow::Result;
use std::time::Duration;

/// Prints the summary; returns whether all is well.
pub(super) fn summary(runs: &[(String, Result<Run>)], took: Duration) -> bool {
    println!();
    for (label, run) in runs {
        match run {
            Err(error) => println!("{label}: {error:#}"),
            Ok(run) => {
                for (program, test) in run.tests() {
                    match test.outcome {
                        Outcome::Failed => {
                            println!("{label}: {}::{} FAILED", program.name, test.name)
                        }
                        Outcome::Unknown => {
                            println!("{label}: {}::{} had no result", program.name, test.name);
                        }
                        Outcome::Passed | Outcome::Skipped | Outcome::Ignored => {}
                    }
                    for line in &test.words {
                        println!("{label}:   {line}");
                    }
                    for (kind, reason) in test.reasons() {
                        println!("{label}: {}::{} {kind}: {reason}", program.name, test.name);
                    }
                }
                for complaint in run.complaints() {
                    println!("{label}: {complaint}");
                }
            }
        }
    }
    for (label, run) in runs {
        println!("{}", line(label, run));
    }
    println!("matrix took {} s", took.as_secs());
    runs.iter()
        .all(|(_, run)| run.as_ref().is_ok_and(Run::passed))
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
