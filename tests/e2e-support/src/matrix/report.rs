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
                        Outcome::Skipped => println!(
                            "{label}: {}::{} skipped: {}",
                            program.name,
                            test.name,
                            test.reasons.join("; ")
                        ),
                        Outcome::Passed | Outcome::Ignored => {}
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

fn line(label: &str, run: &Result<Run>) -> String {
    let Ok(run) = run else {
        return format!("{label}: could not be run");
    };
    let verdict = if run.passed() { "ok" } else { "FAILED" };
    format!(
        "{label} ({}): {verdict}: {} passed, {} failed, {} skipped; booted in {} s, ended after {:.0} s",
        run.release,
        run.count(&[Outcome::Passed]),
        run.count(&[Outcome::Failed, Outcome::Unknown]),
        run.count(&[Outcome::Skipped, Outcome::Ignored]),
        run.boot_seconds
            .map_or_else(|| "?".to_owned(), |seconds| format!("{seconds:.0}")),
        run.seconds,
    )
}
