//! `offwatch fleet`.

mod advise;
mod survey;
mod top;

use std::io::{self, Write as _};

use serde_json::Value;

use crate::{
    cli::fleet::{FleetArgs, FleetCommand},
    error::Error,
};

/// The exit code of `--exit-code` if there is something to do.
const FINDINGS: u8 = 3;

/// Prints what Prometheus has; the exit code.
pub async fn run(args: &FleetArgs) -> Result<u8, Error> {
    match &args.command {
        FleetCommand::Top(args) => top::run(args).await,
        FleetCommand::Advise(args) => advise::run(args).await,
    }
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}

fn print_json(value: &Value, on_one_line: bool) -> Result<(), Error> {
    print(&match on_one_line {
        true => format!("{value}\n"),
        false => format!("{value:#}\n"),
    })
}

fn code(args: &crate::cli::fleet::PrometheusArgs, is_to_do: bool) -> u8 {
    match args.exit_code && is_to_do {
        true => FINDINGS,
        false => 0,
    }
}
