//! `offwatch enforce`.

mod apply;
mod canary;
mod confirm;
mod defined;
mod dry_run;
mod planned;
mod report;
mod rollback;
mod status;
mod still;
mod taken_back;
mod undo;
mod watch;
mod watchdog;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    time::Duration,
};

pub use self::apply::Options;
use crate::{
    cli::enforce::{EnforceArgs, EnforceCommand},
    enforce::{
        apply::{Enforcer, Settings, around},
        error::EnforceError,
        input::Input,
        kernel::{self, Kernel, Request},
        plan::text as plan_text,
        target::Id,
    },
    error::Error,
    sample::offloads::FeatureNames,
    text::plain,
};

/// Does what the command line says; the exit code.
pub async fn run(args: &EnforceArgs) -> Result<u8, Error> {
    match &args.command {
        Some(EnforceCommand::Confirm(state)) => confirm::run(state),
        Some(EnforceCommand::Rollback(state)) => rollback::run(state),
        Some(EnforceCommand::Status { all, state }) => status::run(*all, state),
        Some(EnforceCommand::Undo {
            commits,
            all,
            state,
        }) => undo::run(commits, *all, state),
        Some(EnforceCommand::Watchdog(state)) => watchdog::run(&state.state_dir),
        None => change(args).await,
    }
}

/// What the modes have in common: the files, which are read before anything else.
async fn change(args: &EnforceArgs) -> Result<u8, Error> {
    let input = Input::read(args.policy.as_deref(), args.from.as_deref())?;
    match () {
        () if args.apply => applied(args, &input).await,
        () if args.watch => watch::run(args, input).await,
        () => dry_run::run(args, &input),
    }
}

/// `--apply`.
async fn applied(args: &EnforceArgs, input: &Input) -> Result<u8, Error> {
    let confirm_within = deadline(args, input)?;
    let settings = Settings {
        policy_sha256: input.sha256.clone(),
        ..Settings::new(&args.state_dir)
    };
    let (mut enforcer, recovered) = Enforcer::open(kernel()?, settings)?;
    enforcer.prepare_watchdog();
    let (plan, targets) = planned::plan(args, input, enforcer.kernel())?;
    let of_policy = input.policy.as_ref();
    let options = Options {
        canary: canary::wanted(args, of_policy.map(|(_, policy)| policy)),
        confirm_within,
        detach: args.detach,
        json: args.json,
        write_xml: args.write_xml,
        connect: args.connect.clone(),
        wants_confirmation: of_policy.is_some_and(|(_, policy)| policy.confirm.is_some()),
    };
    let all = targets.targets.iter();
    let masters: Vec<(Id, Option<u32>)> = all
        .map(|target| (target.id.clone(), target.master))
        .collect();
    if !args.json {
        match print_text(&plan_text::rest(&plan)) {
            // Who reads no more wants it done all the same.
            Err(Error::Closed) => {}
            printed => printed?,
        }
    }
    let around = around(&plan.changes, &masters, &plan.names);
    apply::run(&mut enforcer, &recovered, plan, &around, options).await
}

/// Within which time the changes are to be confirmed.
fn deadline(args: &EnforceArgs, input: &Input) -> Result<Option<Duration>, EnforceError> {
    let of_policy = input.policy.as_ref();
    let of_policy = of_policy.and_then(|(_, policy)| policy.confirm);
    match args.confirm.or(of_policy) {
        None if args.detach => Err(EnforceError::NoDeadline),
        within => Ok(within),
    }
}

/// The way to this kernel's features.
fn kernel() -> Result<Box<dyn Kernel>, EnforceError> {
    Ok(kernel::open().map_err(EnforceError::Features)?)
}

/// Names of what is switched, and how: for programs.
fn switched<'n>(request: &Request, names: &'n FeatureNames) -> BTreeMap<&'n str, bool> {
    let named = request.mask.iter().filter_map(|bit| {
        let name = names.name(bit)?;
        Some((name, request.on.contains(bit)))
    });
    named.collect()
}

/// The exit code of what was done, and told. Code 1 says that nothing was changed:
/// if that is not so, it must not end with it because nobody could be told.
fn ended(printed: Result<(), Error>, code: u8, has_changed: bool) -> Result<u8, Error> {
    match printed {
        Ok(()) | Err(Error::Closed) => Ok(code),
        Err(Error::Io { what, source }) if has_changed => {
            Err(EnforceError::Untold { what, source }.into())
        }
        Err(error) => Err(error),
    }
}

/// Prints lines for people.
fn print_text(text: &str) -> Result<(), Error> {
    print(&plain_lines(text))
}

/// Names of interfaces and VMs may hold anything.
fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        cli::{Cli, Command},
        enforce::policy::Policy,
    };

    #[test]
    fn who_cannot_be_told_learns_the_code_of_what_was_done() {
        let full = || Err(Error::stdout(io::ErrorKind::StorageFull.into()));
        let closed = || Err(Error::stdout(io::ErrorKind::BrokenPipe.into()));
        for code in [0, 4] {
            assert_eq!(ended(Ok(()), code, true).expect("told"), code);
            assert_eq!(ended(closed(), code, true).expect("closed"), code);
        }
        let code = |has_changed| ended(full(), 0, has_changed).expect_err("untold").code();
        assert_eq!((code(true), code(false)), (4, 1));
    }

    #[test]
    fn names_do_not_reach_the_terminal_as_they_are() {
        let told = "commit 1\n  \u{1b}[31m: rx-gro on\n";
        assert_eq!(plain_lines(told), "commit 1\n  ?[31m: rx-gro on\n");
    }

    #[test]
    fn who_detaches_has_a_deadline() {
        let within = |words: &[&str], of_policy: Option<u64>| {
            let words = ["offwatch", "enforce", "--apply"].iter().chain(words);
            let Ok(Command::Enforce(args)) = Cli::try_parse_from(words).map(|cli| cli.command)
            else {
                panic!("not understood");
            };
            let policy = Policy {
                confirm: of_policy.map(Duration::from_secs),
                ..Policy::default()
            };
            let input = Input {
                policy: Some(("policy.toml".into(), policy)),
                ..Input::default()
            };
            deadline(&args, &input)
        };
        let error = within(&["--detach"], None).expect_err("no deadline");
        assert_eq!(error.code(), 2);
        let seconds = |within: Result<Option<Duration>, EnforceError>| {
            within.expect("a deadline").map(|within| within.as_secs())
        };
        assert_eq!(seconds(within(&["--detach"], Some(9))), Some(9));
        let both = ["--detach", "--confirm", "2s"];
        assert_eq!(seconds(within(&both, Some(9))), Some(2));
        assert_eq!(seconds(within(&[], None)), None);
    }
}
