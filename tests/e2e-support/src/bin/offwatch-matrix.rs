//! The lab tests on a matrix of real kernels. `cargo xtask vm` calls this with
//! what it has built.

use anyhow::{Context, Result};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use offwatch_e2e::matrix::{self, Docs, Mode, Options, Selection};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What makes a run one of a part of the matrix.
const PARTS: [&str; 3] = ["kernel", "lockdown", "arguments"];

/// Run test binaries on real kernels, each in an emulated machine
#[derive(Parser)]
struct Args {
    /// Only this kernel; may be repeated [default: all, and 6.12 with --lockdown and
    /// with --icount, too]
    #[arg(long, value_name = "KERNEL", value_parser = PossibleValuesParser::new(matrix::kernel_names()))]
    kernel: Vec<String>,

    /// Boot with lockdown=confidentiality only
    #[arg(long)]
    lockdown: bool,

    /// Boot with a clock that counts instructions only
    #[arg(long, conflicts_with = "lockdown")]
    icount: bool,

    /// The BPF object with programs that do nothing
    #[arg(long, value_name = "PATH")]
    empty_object: Option<PathBuf>,

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

    /// Give up on a kernel that says nothing for so long
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    limit: u64,

    /// Where kernels and results are kept [default: vm-cache in cargo's target directory]
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,

    /// Look for newer kernel packages than those kept
    #[arg(long)]
    refresh: bool,

    /// Write what the whole matrix showed to this page
    #[arg(long, value_name = "FILE", conflicts_with_all = PARTS)]
    write_docs: Option<PathBuf>,

    /// Fail if this page does not say what the whole matrix showed
    #[arg(long, value_name = "FILE", conflicts_with_all = PARTS, conflicts_with = "write_docs")]
    check_docs: Option<PathBuf>,

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
    let mode = match (args.lockdown, args.icount) {
        (true, _) => Mode::Lockdown,
        (false, true) => Mode::Icount,
        (false, false) => Mode::Plain,
    };
    let selection = if args.kernel.is_empty() && mode == Mode::Plain {
        Selection::All
    } else {
        Selection::Kernels {
            names: args.kernel,
            mode,
        }
    };
    let write = args.write_docs.map(Docs::Write);
    let cache = args.cache.map_or_else(default_cache, Ok)?;
    matrix::run(&Options {
        selection,
        program: args.program,
        empty_object: args.empty_object,
        tests: args.test,
        arguments: args.arguments,
        environment: args.env,
        scale: args.scale.max(1),
        jobs: args.jobs,
        limit: Duration::from_secs(args.limit),
        cache,
        refresh: args.refresh,
        docs: write.or(args.check_docs.map(Docs::Check)),
    })
}

/// Cargo puts programs into `<target directory>/<profile>/`.
fn default_cache() -> Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?;
    let target = program.ancestors().nth(2);
    Ok(target.context("no target directory")?.join("vm-cache"))
}
