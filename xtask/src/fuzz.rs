//! `cargo xtask fuzz`: what reads input from elsewhere, given any bytes.
//!
//! libFuzzer on the stable toolchain: coverage is compiled in by LLVM's pass that
//! cargo-fuzz uses too; only its sanitizers would need nightly. Targets and seeds
//! are laid out for cargo-fuzz, which runs them as well.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::run;
use crate::workspace::Workspace;

const DIRECTORY: &str = "fuzz";
/// As the bounded runs of `cargo xtask test` have it: seconds each.
const RUNS: u64 = 20_000;
/// What libFuzzer asks of LLVM.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target (fuzz/fuzz_targets/TARGET.rs); may be repeated
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// How many inputs each target is given; 0: until one fails
    #[arg(long, value_name = "N", default_value_t = RUNS)]
    runs: u64,

    /// Where the choice of inputs begins: the same number, the same inputs
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    fuzz(&workspace, &args.targets, args.runs, args.seed)?;
    Ok(ExitCode::SUCCESS)
}

/// All targets, a bounded number of inputs each, always the same ones.
pub(crate) fn bounded(workspace: &Workspace) -> Result<()> {
    fuzz(workspace, &[], RUNS, 1)
}

fn fuzz(workspace: &Workspace, chosen: &[String], runs: u64, seed: u32) -> Result<()> {
    let home = workspace.root.join(DIRECTORY);
    let all = targets(&home)?;
    if let Some(unknown) = chosen.iter().find(|target| !all.contains(target)) {
        anyhow::bail!("no target {unknown}; there are {}", all.join(", "));
    }
    let chosen = if chosen.is_empty() { &all } else { chosen };
    let built = workspace.target.join(DIRECTORY);
    let host = host()?;
    // For a target of its own, so that build scripts are built without coverage.
    let mut build = run::cargo("build");
    build
        .args(["--bins", "--target", &host])
        .current_dir(&home)
        .env("CARGO_TARGET_DIR", &built)
        .env("RUSTFLAGS", COVERAGE)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run::run(&mut build)?;
    for target in chosen {
        // What is found goes here; the seeds stay as they are.
        let found = built.join("corpus").join(target);
        let failed = built.join("artifacts").join(target);
        for directory in [&found, &failed] {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        if runs > 0 {
            empty(&found)?;
        }
        let mut program = Command::new(built.join(&host).join("debug").join(target));
        let runs = if runs == 0 { -1 } else { runs.cast_signed() };
        program
            .args([format!("-runs={runs}"), format!("-seed={seed}")])
            .args(["-max_len=4096", "-timeout=60", "-print_final_stats=1"])
            .arg(format!("-artifact_prefix={}/", failed.display()))
            .args([&found, &home.join("corpus").join(target)])
            .current_dir(&home);
        println!("\nfuzz {target}");
        run::run(&mut program)
            .with_context(|| format!("{target} failed; the input is in {}", failed.display()))?;
    }
    Ok(())
}

/// Names of the targets.
fn targets(home: &Path) -> Result<Vec<String>> {
    let directory = home.join("fuzz_targets");
    let entries = fs::read_dir(&directory).with_context(|| directory.display().to_string())?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        names.extend(name.map(str::to_owned));
    }
    ensure!(!names.is_empty(), "no targets in {}", directory.display());
    names.sort();
    Ok(names)
}

/// A bounded run begins with the seeds alone, so that it is the same each time.
fn empty(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// The machine's own target.
fn host() -> Result<String> {
    let told = run::output(Command::new("rustc").arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc tells no host")
}
