//! What cargo and rustup install.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::needs::Kind;
use crate::ebpf::{BPF_LINKER_RELEASE, BpfLinker, Compiler};
use crate::run;
use crate::workspace::Workspace;

/// Debian's LLVM, of the release that its rustc-web is built with.
const LLVM: &str = "/usr/lib/llvm-22";
const LLVM_FEATURE: &str = "llvm-22";

/// Cargo subcommand, rustup component, purpose.
const COMPONENTS: &[(&str, &str, &str)] = &[
    ("fmt", "rustfmt", "formats the source"),
    ("clippy", "clippy", "lints it"),
];

/// What a report says on tools that are not packages: whether it is there, its
/// name, its purpose.
pub(super) fn tools(workspace: &Workspace, kind: Kind) -> Vec<(bool, &'static str, String)> {
    match kind {
        Kind::Build | Kind::Packages => Vec::new(),
        Kind::Bpf => {
            let compiler = Compiler::find();
            let by = compiler.map_or("none yet".to_owned(), |compiler| compiler.to_string());
            let linker = BpfLinker::find(workspace);
            let at = linker.as_ref().map_or("none yet".to_owned(), |linker| {
                linker.path.display().to_string()
            });
            vec![
                (
                    compiler.is_some(),
                    "Rust for BPF",
                    format!("compiles it: {by}"),
                ),
                (
                    linker.is_some(),
                    "bpf-linker 0.13",
                    format!("links it: {at}"),
                ),
            ]
        }
        Kind::Tests => COMPONENTS
            .iter()
            .map(|&(subcommand, name, purpose)| (has(subcommand), name, purpose.to_owned()))
            .collect(),
    }
}

/// rustup's minimal profile comes without them. A failure shows in the report.
pub(super) fn install_components() {
    for (_, component, _) in COMPONENTS
        .iter()
        .filter(|(subcommand, ..)| !has(subcommand))
    {
        println!("installing {component}");
        let added = run::run(Command::new("rustup").args(["component", "add", component]));
        if let Err(error) = added {
            eprintln!("xtask: {error:#}");
        }
    }
}

fn has(subcommand: &str) -> bool {
    run::succeeds(Command::new(run::cargo_path()).args([subcommand, "--version"]))
}

pub(super) fn bpf_linker_can_be_built() -> bool {
    Path::new(LLVM).join("bin/llvm-config").exists()
}

/// Into the checkout's target directory: the user's own tools stay as they are.
/// Called when none works, so one that is there already is replaced.
pub(super) fn install_bpf_linker(workspace: &Workspace) -> Result<()> {
    let root = BpfLinker::own_root(workspace);
    println!(
        "installing bpf-linker {BPF_LINKER_RELEASE} in {}",
        root.display()
    );
    let mut command = Command::new(run::cargo_path());
    command.args([
        "install",
        "bpf-linker",
        "--version",
        BPF_LINKER_RELEASE,
        "--locked",
        "--force",
    ]);
    command
        .args([
            "--no-default-features",
            "--features",
            LLVM_FEATURE,
            "--root",
        ])
        .arg(root);
    run::run(command.env("LLVM_PREFIX", LLVM))
}
