//! `offwatch export`.

use crate::{cli::export::ExportArgs, error::Error};

/// Runs until it is ended; the exit code.
pub async fn run(_args: &ExportArgs) -> Result<u8, Error> {
    Ok(0)
}
