//! What the serial ports of a guest say: the progress of the tests on one, and
//! trouble of the kernel on the other.

use super::results::{Outcome, Program, Run, Test};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Begins each line that `init.sh` prints for us.
const MARK: &str = "@offwatch-vm: ";

/// Lines kept of what a test that fails says: its message, not a whole backtrace.
const WORDS: usize = 20;

/// Reads the tests' output into a [`Run`].
pub(super) struct Reader {
    booted: Instant,
    program_began: Instant,
    /// The test that runs.
    running: Option<String>,
    /// When the one before it ended. Its own first line is no better: it has no
    /// end, so that it may arrive with the result only.
    test_began: Instant,
    skipped: Option<String>,
    left_out: Vec<String>,
    /// What else it says.
    words: Vec<String>,
    /// Inside libtest's list of names at the end of its output.
    in_failures: bool,
    failures: BTreeSet<String>,
    /// The failure that a harness tells of after all tests, and not as it comes.
    told_of: Option<String>,
    pub(super) run: Run,
}

impl Reader {
    pub(super) fn new(run: Run) -> Self {
        let now = Instant::now();
        Self {
            booted: now,
            program_began: now,
            running: None,
            test_began: now,
            skipped: None,
            left_out: Vec::new(),
            words: Vec::new(),
            in_failures: false,
            failures: BTreeSet::new(),
            told_of: None,
            run,
        }
    }

    /// Takes a line without its end.
    pub(super) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(mark) = line.strip_prefix(MARK) {
            return self.mark(mark);
        }
        if self.run.programs.is_empty() {
            return;
        }
        // libtest: "test NAME ... " before a test, "ok" after it; with
        // --nocapture, the test's own output is between them.
        let mut rest = line;
        if let Some((name, after)) = line
            .strip_prefix("test ")
            .and_then(|l| l.split_once(" ... "))
            && !name.contains(' ')
        {
            self.end_test(None);
            self.running = Some(name.to_owned());
            rest = after;
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|l| l.strip_suffix(" ..."))
            && !name.contains(' ')
        {
            self.end_test(None);
            self.running = Some(name.to_owned());
            return;
        }
        if let Some(fact) = rest.strip_prefix("kernel-fact: ")
            && let Some((key, value)) = fact.split_once(" = ")
        {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            self.run.facts.insert(key, value);
        } else if let Some(counts) = rest.strip_prefix("kernel-instructions: ") {
            self.run.instructions = serde_json::from_str(counts).ok();
        } else if let Some(reason) = rest.strip_prefix("skipped: ") {
            self.skipped = Some(reason.to_owned());
        } else if let Some(reason) = rest.strip_prefix("left out: ") {
            self.left_out.push(reason.to_owned());
        } else if let Some(outcome) = outcome(rest) {
            if outcome == Outcome::Ignored
                && let Some(reason) = rest.strip_prefix("ignored, ")
            {
                self.skipped = Some(reason.to_owned());
            }
            self.end_test(Some(outcome));
        } else if rest.starts_with("failures:") {
            self.in_failures = true;
            self.told_of = None;
        } else if rest.starts_with("test result: ") {
            self.in_failures = false;
            self.told_of = None;
        } else if self.in_failures
            && let Some(name) = rest.strip_prefix("---- ")
        {
            let name = name.split(' ').next().unwrap_or_default();
            self.told_of = Some(name.to_owned());
        } else if let Some(name) = &self.told_of {
            let tests = self
                .run
                .programs
                .last_mut()
                .map(|program| &mut program.tests);
            let test = tests.and_then(|tests| tests.iter_mut().find(|test| test.name == *name));
            if let Some(test) = test.filter(|test| !rest.is_empty() && test.words.len() < WORDS) {
                test.words.push(rest.to_owned());
            }
        } else if self.in_failures
            && let Some(name) = rest.strip_prefix("    ")
        {
            self.failures.insert(name.to_owned());
        } else if self.running.is_some() && !rest.is_empty() && self.words.len() < WORDS {
            self.words.push(rest.to_owned());
        }
    }

    fn mark(&mut self, mark: &str) {
        let mut words = mark.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("ready"), ..) => self.run.boot_seconds = Some(seconds(self.booted.elapsed())),
            (Some("unloadable"), Some(module), _) => {
                self.run
                    .troubles
                    .push(format!("cannot load module {module}"));
            }
            (Some("begin"), Some(name), _) => {
                self.program_began = Instant::now();
                self.test_began = self.program_began;
                self.failures.clear();
                self.in_failures = false;
                self.run.programs.push(Program::new(name));
            }
            (Some("end"), Some(_), Some(status)) => self.end_program(status.parse().ok()),
            (Some("done"), ..) => self.run.complete = true,
            _ => {}
        }
    }

    fn end_test(&mut self, outcome: Option<Outcome>) {
        let Some(name) = self.running.take() else {
            return;
        };
        let began = std::mem::replace(&mut self.test_began, Instant::now());
        let skipped = self.skipped.take();
        let mut left_out = std::mem::take(&mut self.left_out);
        let mut words = std::mem::take(&mut self.words);
        // A test that does something for each of several things may say the
        // same for each.
        left_out.sort();
        left_out.dedup();
        let outcome = match outcome {
            Some(Outcome::Passed) if skipped.is_some() => Outcome::Skipped,
            Some(outcome) => outcome,
            None => Outcome::Unknown,
        };
        if !matches!(outcome, Outcome::Failed | Outcome::Unknown) {
            words.clear();
        }
        if let Some(program) = self.run.programs.last_mut() {
            program.tests.push(Test {
                name,
                outcome,
                skipped,
                left_out,
                words,
                seconds: seconds(began.elapsed()),
            });
        }
    }

    fn end_program(&mut self, status: Option<i32>) {
        self.end_test(None);
        let Some(program) = self.run.programs.last_mut() else {
            return;
        };
        program.status = status;
        program.seconds = seconds(self.program_began.elapsed());
        // A test that printed no line end hid its result. libtest's own list of
        // failures, and its status, tell.
        for test in &mut program.tests {
            if self.failures.contains(&test.name) {
                test.outcome = Outcome::Failed;
            } else if test.outcome == Outcome::Unknown && status == Some(0) {
                test.outcome = match test.skipped {
                    None => Outcome::Passed,
                    Some(_) => Outcome::Skipped,
                };
            }
        }
    }

    /// The guest is gone: what has no result has none.
    pub(super) fn finish(mut self) -> Run {
        self.end_test(None);
        self.run.seconds = seconds(self.booted.elapsed());
        self.run
    }
}

/// A result as libtest prints it, possibly behind output of the test.
fn outcome(text: &str) -> Option<Outcome> {
    match text {
        "ok" => Some(Outcome::Passed),
        "FAILED" => Some(Outcome::Failed),
        "ignored" => Some(Outcome::Ignored),
        _ if text.starts_with("ignored, ") => Some(Outcome::Ignored),
        _ => None,
    }
}

/// Tenths are enough, and differ less from run to run.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

/// What a kernel prints when something is wrong with it. Each begins a line.
const TROUBLES: &[&str] = &[
    "BUG: ",
    "WARNING: ",
    "Oops: ",
    "Kernel panic",
    "general protection fault",
    "invalid opcode: ",
    "Unable to handle ",
    "watchdog: BUG: ",
    "rcu: INFO: ",
    "INFO: rcu",
    "INFO: task ",
    "unregister_netdevice: waiting ",
];

/// The kernel's message in a line of its console, if it is one of trouble.
pub(super) fn trouble(line: &str) -> Option<&str> {
    let line = line.trim();
    // "[   12.345678] message", possibly with the CPU or thread: "[..][ T12]".
    let message = match line.strip_prefix('[') {
        Some(_) => line.rsplit_once("] ").map_or(line, |(_, message)| message),
        None => line,
    };
    let stamped = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
        .map_or(line, |(_, message)| message);
    [message, stamped]
        .into_iter()
        .find(|message| TROUBLES.iter().any(|start| message.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Run {
        let mut reader = Reader::new(Run::default());
        lines.lines().for_each(|line| reader.line(line));
        reader.finish()
    }

    fn outcomes(run: &Run) -> Vec<(&str, Outcome)> {
        let tests = run.programs.iter().flat_map(|program| &program.tests);
        tests
            .map(|test| (test.name.as_str(), test.outcome))
            .collect()
    }

    #[test]
    fn words_that_come_after_all_tests_are_of_their_test() {
        let run = read(
            "@offwatch-vm: begin vhost\n\
             test good ... ok\n\
             test bad ... FAILED\n\
             \n\
             failures:\n\
             \n\
             ---- bad ----\n\
             3 is not 4\n\
             \n\
             failures:\n    bad\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored\n",
        );
        assert_eq!(
            outcomes(&run),
            [("good", Outcome::Passed), ("bad", Outcome::Failed)]
        );
        assert!(run.programs[0].tests[0].words.is_empty());
        assert_eq!(run.programs[0].tests[1].words, ["3 is not 4"]);
    }

    #[test]
    fn results_with_output_between() {
        let run = read(
            "@offwatch-vm: ready\n\
             @offwatch-vm: begin counts\n\
             running 5 tests\n\
             test plain ... kernel-fact: btf = there\n\
             ok\n\
             test talks ... hello\n\
             kernel-fact: hooks.tp = fentry\n\
             kernel-instructions: {\"added\": 70}\n\
             ok\n\
             test later ... skipped: no vhost (commit abc)\n\
             ok\n\
             test partly ... left out: b\n\
             left out: a\n\
             left out: b\n\
             ok\n\
             test bad ... \n\
             thread 'bad' panicked at x:\n\
             FAILED\n\
             test off ... ignored, takes hours\n\
             \n\
             failures:\n    bad\n\
             test result: FAILED. 3 passed; 1 failed; 1 ignored\n\
             \n@offwatch-vm: end counts 101\n\
             @offwatch-vm: done\n",
        );
        assert_eq!(
            outcomes(&run),
            [
                ("plain", Outcome::Passed),
                ("talks", Outcome::Passed),
                ("later", Outcome::Skipped),
                ("partly", Outcome::Passed),
                ("bad", Outcome::Failed),
                ("off", Outcome::Ignored),
            ]
        );
        let program = &run.programs[0];
        let skipped = |test: usize| program.tests[test].skipped.as_deref();
        assert_eq!(skipped(2), Some("no vhost (commit abc)"));
        assert_eq!(program.tests[3].left_out, ["a", "b"]);
        assert_eq!(skipped(5), Some("takes hours"));
        assert_eq!(program.tests[4].words, ["thread 'bad' panicked at x:"]);
        assert!(program.tests[1].words.is_empty(), "it passed");
        assert_eq!(program.status, Some(101));
        assert_eq!(
            (&*run.facts["btf"], &*run.facts["hooks.tp"]),
            ("there", "fentry")
        );
        assert_eq!(run.instructions.as_ref().unwrap()["added"], 70);
        assert!(run.complete && run.boot_seconds.is_some());
        assert!(!run.passed());
    }

    #[test]
    fn a_result_hidden_by_output_follows_from_the_status() {
        let program = |status, list| {
            format!(
                "@offwatch-vm: begin x\ntest one ... text without endok\ntest two ... ok\n\
                 {list}@offwatch-vm: end x {status}\n@offwatch-vm: done\n"
            )
        };
        let run = read(&program(0, ""));
        assert_eq!(outcomes(&run)[0], ("one", Outcome::Passed));
        assert!(run.passed());
        let run = read(&program(101, "failures:\n    one\n"));
        assert_eq!(outcomes(&run)[0], ("one", Outcome::Failed));
    }

    #[test]
    fn a_guest_that_vanishes_has_not_passed() {
        let run = read("@offwatch-vm: begin x\ntest one ... \n");
        assert_eq!(outcomes(&run), [("one", Outcome::Unknown)]);
        assert!(!run.passed());
        assert!(!read("").passed());
    }

    #[test]
    fn a_program_that_runs_nothing_is_fine_but_not_all() {
        let nothing = "@offwatch-vm: begin x\nrunning 0 tests\n@offwatch-vm: end x 0\n";
        let done = "@offwatch-vm: done\n";
        assert!(!read(&format!("{nothing}{done}")).passed());
        let one = "@offwatch-vm: begin y\ntest a ... ok\n@offwatch-vm: end y 0\n";
        assert!(read(&format!("{nothing}{one}{done}")).passed());
    }

    #[test]
    fn trouble_is_told_from_talk() {
        for line in [
            "[   12.345678] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 x+0x1/0x2",
            "[   12.345678][   T12] watchdog: BUG: soft lockup - CPU#0 stuck for 120s!",
            "Kernel panic - not syncing: Attempted to kill init!",
            "[    1.2] rcu: INFO: rcu_sched self-detected stall on CPU",
        ] {
            assert!(trouble(line).is_some(), "{line}");
        }
        for line in [
            "[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled",
            "[    1.0] tun: Universal TUN/TAP device driver, 1.6",
            "",
        ] {
            assert_eq!(trouble(line), None, "{line}");
        }
    }
}
