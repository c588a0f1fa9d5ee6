//! Commands of the host whose output is wanted and whose failure is an error.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// Runs `command` and returns what it wrote to standard output.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    bytes(command).map(|output| String::from_utf8_lossy(&output).into_owned())
}

/// As [`text`], for output that is not text.
pub(crate) fn bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{command:?} failed with {}: {}",
            output.status,
            message.trim()
        );
    }
    Ok(output.stdout)
}
