//! Whether this machine and user can run a lab at all, and saying what is not
//! tested. The runner of the kernel matrix reads what is said here.

use std::fs::OpenOptions;

use crate::netns::Netns;

/// Why a lab cannot run here, or `None` if it can. Tests print the reason and
/// return, so that an unprivileged `cargo test` stays green.
pub fn skip_reason() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root (network namespaces and taps)".into());
    }
    if let Err(error) = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        return Some(format!("cannot open /dev/net/tun: {error}"));
    }
    Netns::new()
        .err()
        .map(|error| format!("cannot make a network namespace: {error:#}"))
}

/// Says that the calling test does nothing, and why. What is said must be the same
/// on every point release of a kernel.
pub fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// Says that a part of the calling test is not done, and why.
pub fn left_out(reason: &str) {
    eprintln!("left out: {reason}");
}

/// Why a program cannot be run here, if so.
pub fn lacks_program(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = std::env::split_paths(&path);
    let found = directories.any(|directory| directory.join(program).is_file());
    (!found).then(|| format!("{program} is not installed"))
}

/// Returns from the calling test, saying why, where a program is not installed; fails
/// it where `OFFWATCH_REQUIRE_LAB` is set.
#[macro_export]
macro_rules! skip_unless_program {
    ($program:expr) => {
        if let Some(reason) = $crate::skip::lacks_program($program) {
            assert!(
                std::env::var_os("OFFWATCH_REQUIRE_LAB").is_none(),
                "the lab must run here: {reason}"
            );
            $crate::skip::skipped(&reason);
            return Ok(());
        }
    };
}

/// Returns from the calling test, saying why, where a lab cannot run; fails it
/// where `OFFWATCH_REQUIRE_LAB` is set.
#[macro_export]
macro_rules! skip_unless_lab {
    () => {
        if let Some(reason) = $crate::skip_reason() {
            assert!(
                std::env::var_os("OFFWATCH_REQUIRE_LAB").is_none(),
                "the lab must run here: {reason}"
            );
            $crate::skip::skipped(&reason);
            return Ok(());
        }
    };
}
