//! `offwatch enforce`.

mod apply;
mod canary;
mod confirm;
mod report;
mod rollback;
mod status;
mod taken_back;
mod undo;
mod watchdog;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

pub use self::{apply::Options, canary::Canary};
use crate::{
    cli::enforce::{EnforceArgs, EnforceCommand},
    enforce::{
        error::EnforceError,
        kernel::{Kernel, Request, netlink::Netlink},
    },
    error::Error,
    sample::offloads::{FeatureNames, FeatureSet},
};

/// Does what the command line says; the exit code.
pub async fn run(args: &EnforceArgs) -> Result<u8, Error> {
    match &args.command {
        Some(EnforceCommand::Confirm(state)) => confirm::run(state),
        Some(EnforceCommand::Rollback(state)) => rollback::run(state),
        Some(EnforceCommand::Status(state)) => status::run(state),
        Some(EnforceCommand::Undo {
            commits,
            all,
            state,
        }) => undo::run(commits, *all, state),
        Some(EnforceCommand::Watchdog { commit, state }) => {
            watchdog::run(&state.state_dir, *commit)
        }
        None => todo!(),
    }
}

/// The way to this kernel's features.
fn kernel() -> Result<Box<dyn Kernel>, EnforceError> {
    Ok(Box::new(Netlink::open().map_err(EnforceError::Features)?))
}

/// Names of what is switched, and how.
fn switched<'n>(request: &Request, names: &'n FeatureNames) -> BTreeMap<&'n str, bool> {
    let named = request.mask.iter().filter_map(|bit| {
        let name = names.name(bit)?;
        Some((name, request.on.contains(bit)))
    });
    named.collect()
}

/// The same for people.
fn words(set: FeatureSet, on: FeatureSet, names: &FeatureNames) -> String {
    let named = set.iter().filter_map(|bit| {
        let on = match on.contains(bit) {
            true => "on",
            false => "off",
        };
        Some(format!("{} {on}", names.name(bit)?))
    });
    named.collect::<Vec<_>>().join(", ")
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}
