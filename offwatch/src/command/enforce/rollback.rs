//! `offwatch enforce rollback`.

use super::{ended, kernel, print, print_text, taken_back};
use crate::{
    cli::enforce::StateArgs,
    enforce::{
        apply::{Recovered, recover},
        audit::Audit,
        here::Here,
        journal::Store,
    },
    error::Error,
};

/// Takes back what is not confirmed, also what an enforcer that was killed left.
pub(super) fn run(args: &StateArgs) -> Result<u8, Error> {
    let store = Store::open(&args.state_dir);
    let here = Here::now()?;
    let recovered = match store.numbers()?.is_empty() {
        true => Recovered::default(),
        false => {
            let mut audit = Audit::open(&args.state_dir, &here)?;
            let because = "it was asked for";
            recover(&mut *kernel()?, &store, &mut audit, &here, false, because)?
        }
    };
    let taken = &recovered.taken_back;
    let printed = match args.json {
        true => print(&taken_back::json("offwatch.enforce.rollback", taken)),
        false => print_text(&text(&store, &recovered)),
    };
    ended(printed, taken_back::code(taken), !taken.is_empty())
}

fn text(store: &Store, recovered: &Recovered) -> String {
    let mut text = taken_back::text(&recovered.taken_back);
    for id in &recovered.ended_by_boot {
        text += &format!("commit {id} ended with the boot it was made in\n");
    }
    for id in &recovered.elsewhere {
        text += &format!("commit {id} belongs to another network namespace: left alone\n");
    }
    if text.is_empty() {
        let journal = store.directory().display();
        text = format!("nothing to take back: no commit in {journal} waits for a confirmation\n");
    }
    text
}
