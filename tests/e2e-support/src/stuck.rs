//! Guests whose kernel stands still, with or without offwatch: it takes its timer's
//! interrupts, which is how it notices, and does nothing else any more. Seen of Linux
//! 6.1.192, emulated by QEMU 7.2: in a reboot, from which `leave` in `guest-init.sh`
//! keeps it now, and once, with two processors, as a connection began. No test is
//! about that.

use anyhow::Result;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How often a test is run at most.
const RUNS: usize = 3;

/// What a kernel prints of a processor that makes no progress.
const WORDS: [&str; 2] = ["watchdog: BUG: soft lockup", "self-detected stall on CPU"];

thread_local! {
    /// Whether a guest of a host that this thread has ended was stuck.
    static SEEN: Cell<bool> = const { Cell::new(false) };
}

/// Whether a console shows a kernel that stands still.
pub(crate) fn is_stuck(console: &str) -> bool {
    WORDS.iter().any(|words| console.contains(words))
}

/// Tells where, as long as the guest is there.
pub(crate) fn seen(guest: &str, console: &str, registers: &str) {
    eprintln!("--- the kernel of {guest} stands still ---\n{console}\n{registers}");
    SEEN.set(true);
}

/// Runs a test that starts its own [`Host`](crate::Host); again, three times in all,
/// where it failed *and* the kernel of one of its guests said that it stands still.
/// Any other failure is returned, or goes on as the panic it was.
pub fn unless_stuck(mut test: impl FnMut() -> Result<()>) -> Result<()> {
    for run in 1.. {
        SEEN.set(false);
        let ended = catch_unwind(AssertUnwindSafe(&mut test));
        let passed = matches!(ended, Ok(Ok(())));
        if passed || !SEEN.get() || run == RUNS {
            return ended.unwrap_or_else(|panic| resume_unwind(panic));
        }
        match ended {
            Ok(Err(error)) => eprintln!("a guest stood still: once more, after: {error:#}"),
            _ => eprintln!("a guest stood still: once more"),
        }
    }
    unreachable!("the last run returns")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    const STUCK: &str = "[   80.6] watchdog: BUG: soft lockup - CPU#0 stuck for 75s! [cat:137]\n";

    /// How often a test is run that fails, or panics, and sees this console first.
    fn runs(console: &str, fail: fn() -> Result<()>) -> (usize, bool) {
        let mut count = 0;
        let ended = catch_unwind(AssertUnwindSafe(|| {
            unless_stuck(|| {
                count += 1;
                if is_stuck(console) {
                    seen("web", console, "RIP=0");
                }
                fail()
            })
        }));
        (count, matches!(ended, Ok(Ok(()))))
    }

    #[test]
    fn only_a_failure_with_a_stuck_guest_is_tried_again() {
        let fail: fn() -> Result<()> = || bail!("wrong");
        assert_eq!(runs(STUCK, fail), (RUNS, false));
        assert_eq!(runs(STUCK, || panic!("wrong")), (RUNS, false));
        assert_eq!(runs(STUCK, || Ok(())), (1, true), "it passed all the same");
        assert_eq!(runs("init: ready after 1.65 s\n", fail), (1, false));
    }

    #[test]
    fn one_bad_run_does_not_decide() {
        let mut count = 0;
        let ended = unless_stuck(|| {
            count += 1;
            if count == 1 {
                seen("web", STUCK, "RIP=0");
                bail!("no answer");
            }
            Ok(())
        });
        assert_eq!((count, ended.is_ok()), (2, true));
    }

    #[test]
    fn an_old_stuck_guest_excuses_nothing() {
        seen("web", STUCK, "RIP=0");
        assert_eq!(runs("", || bail!("wrong")), (1, false));
    }
}
