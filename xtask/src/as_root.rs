//! Running one program as root. Only the program that needs it becomes root:
//! cargo builds as the user, so that the target directory stays the user's.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::run;
use crate::workspace::Workspace;

/// Where programs for root live; absent from the PATH of Debian's users.
const ROOT_DIRECTORIES: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The variables that pass through sudo, which keeps hardly any by itself.
const PASSED: &[&str] = &[
    "CI",
    "COLORTERM",
    "HOME",
    "LANG",
    "LC_ALL",
    "NO_COLOR",
    "TERM",
];
const PASSED_PREFIXES: &[&str] = &["CARGO", "OFFWATCH_", "RUST"];

/// Becomes `command`, as root.
pub(crate) fn run(command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no program given")?;
    announce(program);
    run::become_command(root_command(program, is_root()).args(arguments))
}

pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// `cargo test` and `cargo run` that build as the user and run as root.
pub(crate) fn cargo_as_root(workspace: &Workspace, subcommand: &str) -> Result<Command> {
    let xtask = env::current_exe().context("cannot find the xtask program")?;
    let runner = format!(
        "target.'cfg(unix)'.runner=[{:?}, \"as-root\"]",
        utf8(&xtask)?
    );
    let mut command = workspace.cargo(subcommand);
    command.args(["--config", &runner]);
    Ok(command)
}

/// Says that sudo is about to be used, and for what.
pub(crate) fn announce(program: &OsStr) {
    if !is_root() {
        let name = Path::new(program)
            .file_name()
            .unwrap_or(program)
            .to_string_lossy();
        eprintln!("xtask: {name} needs root: running it through sudo");
    }
}

/// The program as root, through sudo unless we are root.
pub(crate) fn root_command(program: &OsStr, is_root: bool) -> Command {
    let path = root_path(env::var_os("PATH"));
    if is_root {
        let mut command = Command::new(program);
        command.env("PATH", path);
        return command;
    }
    let mut command = Command::new("sudo");
    command.args(["--", "env"]);
    command.arg(assignment("PATH", &path));
    for (variable, value) in env::vars_os().filter(|(variable, _)| passes(variable)) {
        command.arg(assignment(&variable.to_string_lossy(), &value));
    }
    command.arg(program);
    command
}

fn assignment(variable: &str, value: &OsStr) -> OsString {
    let mut assignment = OsString::from(format!("{variable}="));
    assignment.push(value);
    assignment
}

fn passes(variable: &OsStr) -> bool {
    variable.to_str().is_some_and(|variable| {
        PASSED.contains(&variable)
            || PASSED_PREFIXES
                .iter()
                .any(|prefix| variable.starts_with(prefix))
    })
}

fn root_path(path: Option<OsString>) -> OsString {
    let mut path = path.unwrap_or_default();
    for directory in ROOT_DIRECTORIES {
        if !env::split_paths(&path).any(|known| known == Path::new(directory)) {
            if !path.is_empty() {
                path.push(":");
            }
            path.push(directory);
        }
    }
    path
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_finds_its_programs() {
        assert_eq!(
            root_path(Some("/bin:/usr/sbin".into())),
            "/bin:/usr/sbin:/usr/local/sbin:/sbin"
        );
        assert_eq!(root_path(None), "/usr/local/sbin:/usr/sbin:/sbin");
    }

    #[test]
    fn sudo_passes_what_the_tests_need_and_no_more() {
        for variable in [
            "CARGO_HOME",
            "RUSTUP_HOME",
            "RUST_LOG",
            "OFFWATCH_EBPF_OBJECT",
            "HOME",
        ] {
            assert!(passes(OsStr::new(variable)), "{variable}");
        }
        for variable in ["LD_PRELOAD", "SSH_AUTH_SOCK", "CIRCUS", "PATH"] {
            assert!(!passes(OsStr::new(variable)), "{variable}");
        }
    }

    #[test]
    fn sudo_is_for_users_only() {
        assert_eq!(root_command(OsStr::new("ip"), true).get_program(), "ip");
        let command = root_command(OsStr::new("ip"), false);
        assert_eq!(command.get_program(), "sudo");
        assert_eq!(command.get_args().last().unwrap(), "ip");
    }
}
