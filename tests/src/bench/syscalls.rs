//! Counts system calls, with strace where it is installed.

use std::{io::ErrorKind, process::Command, process::Stdio};

use anyhow::{Context, Result, ensure};

/// The system call that marks the part to count.
const MARK: &str = "getppid(";

/// How many system calls reading takes; `None` without strace.
pub(super) fn of_reading(interfaces: u32) -> Result<Option<u64>> {
    let log = tempfile::NamedTempFile::new().context("a file for strace")?;
    let this = std::env::current_exe().context("the path of this program")?;
    let traced = Command::new("strace")
        .args(["-f", "-o"])
        .arg(log.path())
        .arg(this)
        .args(["--read-only", &interfaces.to_string()])
        .stdin(Stdio::null())
        .output();
    let output = match traced {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        output => output.context("running strace")?,
    };
    ensure!(
        output.status.success(),
        "under strace: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let log = std::fs::read_to_string(log.path()).context("the log of strace")?;
    between_marks(&log).map(Some)
}

fn between_marks(log: &str) -> Result<u64> {
    let mut parts = log.split(MARK);
    let (Some(_), Some(marked), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        anyhow::bail!("strace saw no marks");
    };
    // The rest of the first mark's line, and the process id before the second.
    Ok(marked.lines().count().saturating_sub(2) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_between_the_marks_count() -> Result<()> {
        let none = "7 brk(0) = 0\n7 getppid() = 1\n7 getppid() = 1\n7 exit(0) = ?\n";
        assert_eq!(between_marks(none)?, 0);
        let two = "7 getppid() = 1\n7 brk(0) = 0\n7 mmap(0) = 0\n7 getppid() = 1\n";
        assert_eq!(between_marks(two)?, 2);
        assert!(between_marks("7 getppid() = 1\n").is_err());
        Ok(())
    }
}
