//! The command: parse, run, and turn an error into one line and an exit code.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::Path,
};

use clap::Parser as _;
use offwatch::{
    cli::{Cli, Command, VirtTop},
    command,
    error::Error,
    limits, memory, text,
};

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;

fn main() {
    let code = match parse(std::env::args_os().collect()) {
        Ok(command) => execute(&command),
        Err(error) => usage(&error),
    };
    end(code);
}

/// Ends the process without what libraries have registered for its end: libvirt's
/// thread may be in the middle of something, and libcrypto's clean-up would take
/// it away under its hands.
fn end(code: u8) -> ! {
    let _ = io::stdout().flush();
    // SAFETY: has no preconditions; everything of our own has been dropped.
    unsafe { libc::_exit(code.into()) }
}

/// The exit code.
fn execute(command: &Command) -> u8 {
    memory::share_heap();
    memory::keep_heap();
    memory::use_small_pages();
    let result = limits::raise()
        .and_then(|()| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
        })
        .map_err(|source| Error::Io {
            what: "cannot start".into(),
            source,
        })
        .and_then(|runtime| runtime.block_on(run(command)));
    match result {
        // Whoever closed our output, as `head` does, has what they wanted.
        Ok(code) => code,
        Err(Error::Closed) => SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            error.code()
        }
    }
}

/// Called by a link named virt-top, the program is virt-top.
fn parse(mut args: Vec<OsString>) -> Result<Command, clap::Error> {
    let name = args.first().and_then(|path| Path::new(path).file_name());
    if name.is_none_or(|name| name != "virt-top") {
        return Cli::try_parse_from(args).map(|cli| cli.command);
    }
    // virt-top takes both.
    for arg in args.iter_mut().filter(|arg| *arg == "-help") {
        *arg = "--help".into();
    }
    VirtTop::try_parse_from(args).map(|cli| Command::Top(Box::new(cli.args)))
}

async fn run(command: &Command) -> Result<u8, Error> {
    match command {
        Command::Top(args) => command::top::run(args).await?,
        Command::Advise(args) => return command::advise::run(args).await,
        Command::Enforce(args) => return command::enforce::run(args).await,
        Command::Trial(args) => return command::trial::run(args).await,
        Command::Export(args) => return command::export::run(args).await,
        Command::Fleet(args) => return command::fleet::run(args).await,
        Command::Doctor(args) => command::doctor::run(args)?,
        Command::Features(args) => command::features::run(args)?,
    }
    Ok(SUCCESS)
}

/// Help and versions are printed whole; an error is one line like any other.
fn usage(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => SUCCESS,
            Err(_) => FAILURE,
        };
    }
    let text = error.to_string();
    let told = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let told: Vec<&str> = told
        .map(|line| line.trim().trim_start_matches("error: "))
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .collect();
    complain(&format!("{}; try --help", told.join(" ")));
    u8::try_from(error.exit_code()).unwrap_or(FAILURE)
}

/// One line on stderr; nothing can be done if that is closed.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "offwatch: {}", text::plain(message));
}
