//! Measures what observing costs and holds it against the goals.
//!
//!     offwatch-bench --quick --only paths --json result.json

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum as _};
use offwatch_tests::{
    bench::{self, Config, Part, Report},
    manual, skip_reason,
};

/// Measures what observing costs, as ratios to programs that do nothing.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Fewer repetitions: a rough number soon
    #[arg(long)]
    quick: bool,

    /// Only these parts, with commas between them
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,

    /// Also write the results to a file; parts that it has of before stay
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Only write docs/overhead.md, of the results in a file
    #[arg(long, value_name = "FILE")]
    write_docs: Option<PathBuf>,

    /// Object with the empty programs, if not the one `cargo xtask ebpf` built
    #[arg(long, value_name = "FILE")]
    empty: Option<PathBuf>,

    /// Exit with 1 if a goal is missed
    #[arg(long)]
    strict: bool,

    /// Only observe this many interfaces and read: what strace is started on
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
    if let Some(from) = args.write_docs {
        Report::read(&from)?.write_page(&manual::root()?.join("docs"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(reason) = skip_reason() {
        bail!("{reason}");
    }
    if let Some(interfaces) = args.read_only {
        bench::read_only(interfaces)?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in bench::missing_peers() {
        eprintln!("{line}");
    }
    let report = bench::run(&Config {
        quick: args.quick,
        parts: match args.only.is_empty() {
            true => Part::value_variants().to_vec(),
            false => args.only,
        },
        json: args.json.clone(),
        empty_object: args.empty,
    })?;
    // Half an hour later nobody may read on: what was measured is in the file.
    match write!(io::stdout(), "{report}") {
        Err(error) if args.json.is_none() => return Err(error).context("printing the results"),
        _ => {}
    }
    Ok(match args.strict && !report.goals_met() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
