//! `offwatch fleet`.

use crate::{cli::fleet::FleetArgs, error::Error};

/// Prints what Prometheus has; the exit code.
pub async fn run(_args: &FleetArgs) -> Result<u8, Error> {
    Ok(0)
}
