//! Running `ip`, `tc` and `ethtool` inside a namespace, with errors that say
//! what was run.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::netns::Netns;

/// Runs `argv` inside `ns` and returns its standard output.
pub fn run(ns: &Netns, argv: &[&str]) -> Result<String> {
    let (program, args) = argv.split_first().context("empty command")?;
    let output = ns
        .command(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    check(&argv.join(" "), output)
}

/// Runs many `ip` commands (one a line, without the leading `ip`) in one
/// process. The first failure stops it and is reported.
pub fn ip_batch(ns: &Netns, lines: &[String]) -> Result<()> {
    batch(ns.command("ip"), "ip", lines)
}

/// As [`ip_batch`], for `bridge` (forwarding database entries).
pub fn bridge_batch(ns: &Netns, lines: &[String]) -> Result<()> {
    batch(ns.command("bridge"), "bridge", lines)
}

fn batch(mut command: Command, program: &str, lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let script = lines.join("\n") + "\n";
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program} -batch"))?;
    // Dropping the handle after the write closes the pipe and ends the batch.
    let written = child
        .stdin
        .take()
        .context("no pipe to the batch")?
        .write_all(script.as_bytes());
    let output = child.wait_with_output().context("waiting for the batch")?;
    check(&format!("{program} -batch <<\n{script}"), output)?;
    written.context("writing the batch")
}

fn check(what: &str, output: Output) -> Result<String> {
    if !output.status.success() {
        bail!(
            "`{what}` failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of `{what}`"))
}
