//! Measures what observing costs and holds it against the budgets.
//!
//!     offwatch-bench --quick --json result.json

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use offwatch_tests::bench::{self, Config};
use offwatch_tests::skip_reason;

/// Measures what observing costs, as ratios to programs that do nothing.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Fewer repetitions: a rough number soon.
    #[arg(long)]
    quick: bool,

    /// Also write the results to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Object with the empty programs, if not the one `cargo xtask ebpf` built.
    #[arg(long, value_name = "FILE")]
    empty: Option<PathBuf>,

    /// Exit with 1 if a budget is missed.
    #[arg(long)]
    strict: bool,

    /// Only measure what `offwatch enforce --watch` costs.
    #[arg(long)]
    enforce_watch: bool,

    /// Only measure what changing features takes.
    #[arg(long)]
    enforce: bool,

    /// Only observe this many interfaces and read: what strace is started on.
    #[arg(long, hide = true, value_name = "N")]
    read_only: Option<u32>,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("offwatch-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    if let Some(reason) = skip_reason() {
        bail!("{reason}");
    }
    if let Some(interfaces) = args.read_only {
        bench::read_only(interfaces)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.enforce_watch {
        print!("{}", bench::enforce_watch::measure(args.quick)?);
        return Ok(ExitCode::SUCCESS);
    }
    if args.enforce {
        print!("{}", bench::enforcing(args.quick)?);
        return Ok(ExitCode::SUCCESS);
    }
    let report = bench::run(&Config {
        quick: args.quick,
        empty_object: args.empty,
    })?;
    print!("{report}");
    if let Some(path) = args.json {
        let json = serde_json::to_vec_pretty(&report).context("the results as JSON")?;
        std::fs::write(&path, json).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(if args.strict && !report.budgets_met() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
