//! Compiling and linking the BPF programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::btf::RUST_SOURCE;
use super::toolchain::{Compiler, Tools, nightly};
use crate::run;
use crate::workspace::Workspace;

pub(super) const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "offwatch-ebpf";

/// Debian's clippy, which goes with its rustc and thus knows its `core`.
const SYSTEM_CLIPPY: &str = "/usr/bin/cargo-clippy";

/// Builds and returns the linked object, debug information and all.
pub(super) fn build(workspace: &Workspace, tools: &Tools) -> Result<PathBuf> {
    let mut command = match tools.compiler {
        Compiler::System => run::cargo("build"),
        Compiler::Nightly => with_own_core("build"),
    };
    run::run(prepare(&mut command, workspace, tools)?)?;
    Ok(output(workspace).join(PACKAGE))
}

/// Where the linked objects are.
pub(super) fn output(workspace: &Workspace) -> PathBuf {
    target_directory(workspace).join(TARGET).join("release")
}

pub(super) fn lint(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let mut command = match tools.compiler {
        Compiler::System if !Path::new(SYSTEM_CLIPPY).exists() => {
            println!("no clippy for the BPF programs here: package rust-web-clippy");
            return Ok(());
        }
        Compiler::System => {
            let mut command = Command::new(SYSTEM_CLIPPY);
            command.arg("clippy");
            command
        }
        Compiler::Nightly => with_own_core("clippy"),
    };
    // The programs alone: the other crates are linted by the compiler that
    // builds them.
    prepare(&mut command, workspace, tools)?.args(["--no-deps", "--", "--deny", "warnings"]);
    run::run(&mut command)
}

fn with_own_core(subcommand: &str) -> Command {
    let mut command = nightly("cargo");
    command.args([subcommand, "-Zbuild-std=core"]);
    command
}

fn prepare<'command>(
    command: &'command mut Command,
    workspace: &Workspace,
    tools: &Tools,
) -> Result<&'command mut Command> {
    command.current_dir(&workspace.root);
    command.args([
        "--release",
        "--package",
        PACKAGE,
        "--target",
        TARGET,
        "--target-dir",
    ]);
    command.arg(target_directory(workspace));
    if tools.compiler == Compiler::System {
        // A stable compiler, of which we use features that are not.
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", tools.compiler.rustc().get_program());
    }
    // Profiles changed by the environment would change the object.
    for (variable, _) in env::vars_os() {
        if variable.to_string_lossy().starts_with("CARGO_PROFILE_") {
            command.env_remove(variable);
        }
    }
    command.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &tools.linker.path);
    // Goes before RUSTFLAGS and the user's configuration.
    command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(workspace, tools)?);
    Ok(command)
}

fn target_directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("ebpf")
}

/// BTF needs debug information. No path of this machine may get into it.
fn rust_flags(workspace: &Workspace, tools: &Tools) -> Result<String> {
    let sysroot = run::output(tools.compiler.rustc().args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
    let mut flags = vec!["-Cdebuginfo=2".to_owned(), "-Clink-arg=--btf".to_owned()];
    // rustc tries the last one first, and dependencies may be vendored inside
    // the checkout.
    flags.push(remap(&workspace.root, "/offwatch")?);
    flags.push(remap(&library, RUST_SOURCE)?);
    for directory in workspace.dependency_directories() {
        flags.push(remap(&directory, "/registry")?);
    }
    Ok(flags.join("\x1f"))
}

fn remap(from: &Path, to: &str) -> Result<String> {
    let from = from
        .to_str()
        .with_context(|| format!("{} is not UTF-8", from.display()))?;
    Ok(format!("--remap-path-prefix={from}={to}"))
}
