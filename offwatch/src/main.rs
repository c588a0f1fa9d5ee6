//! The command: parse, run, and turn an error into one line and an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use offwatch::{
    cli::{Cli, Command},
    command,
    error::Error,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
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
