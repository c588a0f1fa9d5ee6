//! `offwatch enforce watchdog`: what an enforcer starts.

use std::path::Path;

use super::kernel;
use crate::{enforce::watchdog, error::Error};

/// Watches a commit until it is settled.
pub(super) fn run(state_dir: &Path, commit: u64) -> Result<u8, Error> {
    watchdog::run(&mut *kernel()?, state_dir, commit)?;
    Ok(0)
}
