//! `offwatch enforce --dry-run`: what would be changed. Changes nothing.

use super::{kernel, planned, print};
use crate::{
    cli::enforce::EnforceArgs,
    enforce::{
        input::Input,
        plan::{json::Document, text},
    },
    error::Error,
};

/// The exit code of `--exit-code` if there is something to change.
const CHANGES: u8 = 3;

/// Plans and prints; the exit code.
pub(super) fn run(args: &EnforceArgs, input: &Input) -> Result<u8, Error> {
    let (plan, _) = planned::plan(args, input, &mut *kernel()?)?;
    print(&match args.json {
        true => format!("{:#}\n", serde_json::json!(Document::from(&plan))),
        false => text::of(&plan),
    })?;
    Ok(match args.exit_code && plan.has_changes() {
        true => CHANGES,
        false => 0,
    })
}
