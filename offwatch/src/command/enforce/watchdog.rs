//! `offwatch enforce watchdog`: what an enforcer starts.

use std::path::Path;

use super::kernel;
use crate::{
    enforce::{error::EnforceError, watchdog},
    error::Error,
};

/// Watches the commit that it is told of until it is settled.
pub(super) fn run(state_dir: &Path) -> Result<u8, Error> {
    let mut kernel = kernel()?;
    if let Some(commit) = watchdog::told().map_err(EnforceError::Wait)? {
        watchdog::run(&mut *kernel, state_dir, commit)?;
    }
    Ok(0)
}
