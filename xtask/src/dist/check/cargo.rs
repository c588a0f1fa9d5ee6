//! `cargo install` with stable Rust, where no tool for BPF is.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::run;
use crate::workspace::Workspace;

/// All that is found on PATH.
const TOOLS: &[&str] = &["rustc", "cc", "gcc", "ld", "as", "ar", "pkg-config", "sh"];

pub(super) fn check(workspace: &Workspace, cache: &Path, version: &str) -> Result<()> {
    println!("cargo install");
    let tools = tools(&cache.join("tools"))?;
    let mut rustc = Command::new("rustc");
    let compiler = run::output(rustc.arg("--version").env("PATH", &tools))?;
    ensure!(
        !compiler.contains("nightly"),
        "this is to be seen with stable Rust, not with {compiler}"
    );
    for features in [&["--no-default-features"][..], &[]] {
        let root = cache.join("installed");
        let mut install = workspace.cargo("install");
        install.args(["--quiet", "--path", "offwatch", "--force"]);
        // As the manual has it; in CI it is there already, and cargo takes it only once.
        if !run::in_ci() {
            install.arg("--locked");
        }
        // What the packages were built with is used again.
        install.arg("--target-dir").arg(&workspace.target);
        install.arg("--root").arg(&root).args(features);
        install.env("PATH", &tools).env_remove("RUSTC_BOOTSTRAP");
        run::run(&mut install)?;
        let program = root.join("bin/offwatch");
        let printed = run::output(Command::new(program).arg("--version"))?;
        ensure!(printed == format!("offwatch {version}\n"), "{printed}");
        println!("  works {}", features.join(" "));
        fs::remove_dir_all(&root).context("cannot remove what was installed")?;
    }
    Ok(())
}

/// A directory with links to the tools, and no more.
fn tools(directory: &Path) -> Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    let path = env::var_os("PATH").unwrap_or_default();
    for tool in TOOLS {
        let found = env::split_paths(&path)
            .map(|directory| directory.join(tool))
            .find(|path| path.is_file());
        if let Some(found) = found {
            symlink(found, directory.join(tool)).with_context(|| format!("link to {tool}"))?;
        }
    }
    Ok(directory.to_owned())
}
