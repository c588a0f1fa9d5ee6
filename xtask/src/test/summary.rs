//! What the test runner said, counted.

use std::fmt;

const PREFIX: &str = "test result: ";

/// What is kept of one failure: its title, and the first lines of what it said.
const FAILURE_LINES: usize = 12;

/// The runner's own summary lines, their totals, and what failures said.
#[derive(Default)]
pub(super) struct Summary {
    lines: Vec<String>,
    total: Counts,
    failures: Vec<Vec<String>>,
    within: Within,
}

/// What of the runner's words on failures comes next.
#[derive(Default, PartialEq)]
enum Within {
    #[default]
    Nothing,
    /// What one of them said.
    Failure,
    /// Their names.
    Names,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Summary {
    pub(super) fn runs(&self) -> usize {
        self.lines.len()
    }

    /// Takes note of the line if it is a summary, or of a failure.
    pub(super) fn read_line(&mut self, line: &str) {
        let line = without_colour(line);
        if let Some(counts) = Counts::parse(&line) {
            self.total.passed += counts.passed;
            self.total.failed += counts.failed;
            self.total.ignored += counts.ignored;
            self.lines.push(line);
            self.within = Within::Nothing;
        } else if line.starts_with("---- ") && line.ends_with(" ----") {
            self.failures.push(vec![line]);
            self.within = Within::Failure;
        } else if line == "failures:" {
            self.within = Within::Names;
        } else if self.within == Within::Names
            && let Some(name) = line.strip_prefix("    ")
        {
            self.failed(name);
        } else if self.within == Within::Failure && !line.is_empty() {
            self.said(line);
        }
    }

    /// Where nothing is captured, a failure has a name only: its words came before.
    fn failed(&mut self, name: &str) {
        let title = format!("---- {name} ");
        let is_known = |failure: &Vec<String>| failure[0].starts_with(&title);
        if !self.failures.iter().any(is_known) {
            self.failures.push(vec![title + "----"]);
        }
    }

    /// The first lines, but not at the cost of why it failed.
    fn said(&mut self, line: String) {
        let Some(failure) = self.failures.last_mut() else {
            return;
        };
        let is_why = line.contains("panicked at") || line.starts_with("Error:");
        if is_why && failure.len() == FAILURE_LINES {
            failure.truncate(1);
        }
        if failure.len() < FAILURE_LINES {
            failure.push(line);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Zeros would look like a verdict on tests that never ran.
        if self.lines.is_empty() {
            return Ok(());
        }
        writeln!(f)?;
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        // Where only the tail is kept, these would be lost where they were printed.
        for line in self.failures.iter().flatten() {
            writeln!(f, "{line}")?;
        }
        let Counts {
            passed,
            failed,
            ignored,
        } = self.total;
        write!(f, "{passed} passed, {failed} failed")?;
        if ignored > 0 {
            write!(f, ", {ignored} skipped")?;
        }
        writeln!(f)
    }
}

impl Counts {
    /// "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; ..."
    fn parse(line: &str) -> Option<Self> {
        let (_verdict, counts) = line.strip_prefix(PREFIX)?.split_once(". ")?;
        let count = |unit: &str| {
            counts
                .split("; ")
                .find_map(|part| part.strip_suffix(unit)?.trim().parse().ok())
        };
        Some(Self {
            passed: count(" passed")?,
            failed: count(" failed")?,
            ignored: count(" ignored")?,
        })
    }
}

/// Without the escape sequences that set colours.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.trim_end();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_codes, after)| after);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; \
                      3 filtered out; finished in 0.10s";
    const FAILED: &str = "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; \
                          0 filtered out; finished in 1.00s";

    fn summary(lines: &[&str]) -> Summary {
        let mut summary = Summary::default();
        for line in lines {
            summary.read_line(line);
        }
        summary
    }

    #[test]
    fn the_tail_is_the_lines_and_their_totals() {
        let lines = ["running 12 tests", "test a ... ok", "", OK];
        assert_eq!(
            summary(&lines).to_string(),
            format!("\n{OK}\n12 passed, 0 failed\n")
        );
        let both = summary(&[OK, FAILED]);
        assert_eq!(both.runs(), 2);
        assert!(
            both.to_string()
                .ends_with(&format!("{FAILED}\n19 passed, 2 failed, 1 skipped\n"))
        );
    }

    #[test]
    fn failures_are_told_again_before_the_totals() {
        let block = [
            "---- a::b stdout ----",
            "",
            "thread 'a::b' panicked at x.rs:1:1:",
            "3 is not 4",
        ];
        let lines = [
            &["failures:", ""][..],
            &block,
            &["", "failures:", "    a::b", "", FAILED],
        ];
        let kept = format!(
            "{FAILED}\n{}\n{}\n{}\n7 passed",
            block[0], block[2], block[3]
        );
        let told = summary(&lines.concat()).to_string();
        assert!(told.contains(&kept), "{told}");
        assert!(
            !told.contains("    a::b") && told.matches("---- a::b").count() == 1,
            "{told}"
        );

        let named = ["failures:", "    c::d", "", FAILED];
        assert!(
            summary(&named)
                .to_string()
                .contains("\n---- c::d ----\n7 passed")
        );

        let long = vec!["x"; 2 * FAILURE_LINES];
        let told = summary(&[&block[..1], &long, &[FAILED, "x"]].concat()).to_string();
        assert_eq!(told.matches("x\n").count(), FAILURE_LINES - 1, "{told}");
        let why = ["Error: why", "because"];
        let told = summary(&[&block[..1], &long, &why, &[FAILED]].concat()).to_string();
        assert!(
            told.contains(" ----\nError: why\nbecause\n7 passed"),
            "{told}"
        );
    }

    #[test]
    fn no_run_means_no_totals() {
        assert_eq!(summary(&["error: could not compile"]).to_string(), "");
    }

    #[test]
    fn colours_do_not_hide_a_summary() {
        let coloured = OK.replace("ok", "\x1b[32mok\x1b[m\x1b[0m") + "\r";
        assert_eq!(
            summary(&[&coloured]).to_string(),
            summary(&[OK]).to_string()
        );
    }

    #[test]
    fn what_only_looks_like_a_summary_is_not_counted() {
        for line in [
            "test result: ok",
            "note: test result: ok. 1 passed",
            "test result: ok. x",
        ] {
            assert_eq!(summary(&[line]).runs(), 0, "{line}");
        }
    }
}
