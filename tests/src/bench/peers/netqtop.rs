//! bcc's netqtop: sizes and rates of one interface's queues.

use std::{
    io::Read as _,
    process::{Command, Stdio},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::program;

/// As Debian and Ubuntu call it.
pub(super) const PROGRAM: &str = "netqtop-bpfcc";
/// Still running after this, it runs.
const RUNS: Duration = Duration::from_secs(10);

/// Why there is nothing to hold offwatch against; `None` if it does run here.
pub(super) fn refusal() -> Result<Option<String>> {
    let Some(path) = program(PROGRAM) else {
        return Ok(Some(super::not_installed(PROGRAM)));
    };
    let mut child = Command::new(path)
        .args(["-n", "lo"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context(PROGRAM)?;
    let mut stderr = child.stderr.take().context("its stderr is a pipe")?;
    let told = thread::spawn(move || {
        let mut told = String::new();
        // What came before an error is told as well.
        let _ = stderr.read_to_string(&mut told);
        told
    });
    let until = Instant::now() + RUNS;
    let ended = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() > until => break None,
            None => sleep(Duration::from_millis(50)),
        }
    };
    // Fails only if it has ended.
    let _ = child.kill();
    child.wait().context(PROGRAM)?;
    let told = told.join().unwrap_or_default();
    Ok(ended.map(|status| match reason(&told) {
        Some(reason) => format!("does not run here: {reason}"),
        None => format!("does not run here ({status})"),
    }))
}

/// The last line of an error of Python, without what kind it is.
fn reason(told: &str) -> Option<&str> {
    let last = told.lines().rfind(|line| !line.trim().is_empty())?.trim();
    Some(last.split_once(": ").map_or(last, |(_, text)| text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_line() {
        let told = "Traceback:\n  File x\nException: Failed to compile BPF module x.c\n\n";
        assert_eq!(reason(told), Some("Failed to compile BPF module x.c"));
        assert_eq!(reason(""), None);
    }
}
