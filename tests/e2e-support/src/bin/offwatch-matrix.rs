//! The lab tests on a matrix of real kernels. `cargo xtask vm` calls this with
//! what it has built.

use anyhow::{Context, Result};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use offwatch_e2e::matrix::{self, Options};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Run test binaries on real kernels, each in an emulated machine
#[derive(Parser)]
struct Args {
    /// Only this kernel; may be repeated
    #[arg(long, value_name = "KERNEL", value_parser = PossibleValuesParser::new(matrix::kernel_names()))]
    kernel: Vec<String>,

    /// Boot one of the kernels once more, with lockdown=confidentiality
    #[arg(long)]
    lockdown: bool,

    /// The offwatch program under test
    #[arg(long, value_name = "PATH")]
    program: PathBuf,

    /// A test binary; may be repeated
    #[arg(long, value_name = "PATH", required = true)]
    test: Vec<PathBuf>,

    /// Kernels that run at a time
    #[arg(long, default_value_t = 2, value_name = "N")]
    jobs: usize,

    /// What the tests divide their amounts of traffic by
    #[arg(long, default_value_t = 20, value_name = "N")]
    scale: u32,

    /// Further environment of the tests; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// Give up on a kernel after so long
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    limit: u64,

    /// Where kernels and results are kept [default: vm-cache in cargo's target directory]
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,

    /// Look for newer kernel packages than those kept
    #[arg(long)]
    refresh: bool,

    /// A filter and options for the test binaries
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("offwatch-matrix: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<bool> {
    let kernels = if args.kernel.is_empty() {
        matrix::kernel_names().map(str::to_owned).collect()
    } else {
        args.kernel
    };
    let cache = args.cache.map_or_else(default_cache, Ok)?;
    matrix::run(&Options {
        kernels,
        lockdown: args.lockdown,
        program: args.program,
        tests: args.test,
        arguments: args.arguments,
        environment: args.env,
        scale: args.scale.max(1),
        jobs: args.jobs,
        limit: Duration::from_secs(args.limit),
        cache,
        refresh: args.refresh,
    })
}

/// Cargo puts programs into `<target directory>/<profile>/`.
fn default_cache() -> Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?;
    let target = program.ancestors().nth(2);
    Ok(target.context("no target directory")?.join("vm-cache"))
}
