//! `offwatch trial`.

use crate::{cli::trial::TrialArgs, error::Error};

/// Runs a trial and prints it; the exit code.
pub async fn run(_args: &TrialArgs) -> Result<u8, Error> {
    Err(Error::Closed)
}
