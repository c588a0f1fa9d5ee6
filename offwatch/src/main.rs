//! The command: parse, run, and turn an error into one line and an exit code.

use std::process::ExitCode;

use clap::{Parser as _, error::ErrorKind};
use offwatch::{
    cli::{Cli, Command},
    command,
    error::Error,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(|source| Error::Io {
            what: "cannot start".into(),
            source,
        })
        .and_then(|runtime| runtime.block_on(run(&cli)));
    match result {
        // Whoever closed our output, as `head` does, has what they wanted.
        Ok(()) | Err(Error::Closed) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("offwatch: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<(), Error> {
    match &cli.command {
        Command::Top(args) => command::top::run(args).await,
        Command::Doctor(args) => command::doctor::run(args),
    }
}

/// Help and versions are printed whole; an error is one line like any other.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Nothing can be done if stdout is closed.
        let _ = error.print();
    } else {
        let text = error.to_string();
        let told = text.lines().take_while(|line| !line.starts_with("Usage:"));
        let told: Vec<&str> = told
            .map(|line| line.trim().trim_start_matches("error: "))
            .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
            .collect();
        eprintln!("offwatch: {}; try --help", told.join(" "));
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
