//! Starting other programs.

use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::interrupt;

const OF_OUR_PACKAGE: &[&str] = &["CARGO_MANIFEST_", "CARGO_PKG_"];

/// The cargo that started us. In CI it must not change the lock file.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(cargo_path());
    // What cargo tells a running xtask about its package: build scripts of others watch
    // these, and would all run again.
    for (variable, _) in env::vars_os() {
        let name = variable.to_string_lossy();
        if OF_OUR_PACKAGE.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&variable);
        }
    }
    command.arg(subcommand);
    if in_ci() {
        command.arg("--locked");
    }
    command
}

pub(crate) fn cargo_path() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

pub(crate) fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Runs a command to its end; its failure is ours.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", name(command)))?;
    ensure!(!interrupt::seen(), "interrupted");
    ensure!(status.success(), "`{}` failed ({status})", line(command));
    Ok(())
}

/// What a command prints on stdout. Its stderr is part of the error if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", name(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let reason = stderr.trim().lines().last().unwrap_or_default();
        bail!("`{}` failed ({}): {reason}", line(command), output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} printed something not UTF-8", name(command)))
}

/// What a command prints on stdout, while its stderr goes to ours.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", name(command)))?;
    ensure!(!interrupt::seen(), "interrupted");
    ensure!(
        output.status.success(),
        "`{}` failed ({})",
        line(command),
        output.status
    );
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} printed something not UTF-8", name(command)))
}

/// Whether a command can be run and succeeds, in silence.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let silent = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// Becomes the command, so that signals, terminal and exit code are its own.
pub(crate) fn exec(command: &mut Command) -> Result<Infallible> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", name(command)))
}

/// [`exec`], where an exit code is expected.
pub(crate) fn become_command(command: &mut Command) -> Result<ExitCode> {
    match exec(command)? {}
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line(command: &Command) -> String {
    let program = name(command);
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned());
    [program]
        .into_iter()
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_its_reason() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo first >&2; echo the reason >&2; exit 3"]);
        let message = output(&mut command).unwrap_err().to_string();
        assert!(message.starts_with("`sh -c"), "{message}");
        assert!(
            message.ends_with("(exit status: 3): the reason"),
            "{message}"
        );
        assert!(run(&mut Command::new("/nonexistent/program")).is_err());
    }

    #[test]
    fn output_is_what_was_printed() {
        assert_eq!(
            output(Command::new("/bin/echo").arg("text")).unwrap(),
            "text\n"
        );
    }
}
