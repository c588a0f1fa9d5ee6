//! Why there is no trial.

use crate::enforce::plan::PlanError;

/// Why there is no trial: one line each, and nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// What is to be switched cannot be.
    #[error("--set {set}: {}", told(.error))]
    Plan {
        /// As the user wrote it.
        set: String,
        /// Why.
        error: Box<PlanError>,
    },
    /// The change would change nothing.
    #[error("--set {set} changes nothing: {because}")]
    Nothing {
        /// As the user wrote it.
        set: String,
        /// How it is already.
        because: String,
    },
    /// No change of a recipe changes anything.
    #[error("no change of the recipe changes anything here: {0}")]
    NothingAtAll(String),
    /// There is no such VM, as far as it is known.
    #[error("--vm {vm} is no VM with an interface here, and not all are known: {unknown}")]
    VmsUnknown {
        /// Its name.
        vm: String,
        /// Why not all are known.
        unknown: String,
    },
    /// Several VMs have the name.
    #[error(
        "--vm {vm}: several VMs have that name; choose one of their interfaces with --dev: {devs}"
    )]
    SeveralVms {
        /// The name.
        vm: String,
        /// Interfaces of them all.
        devs: String,
    },
    /// Signals cannot be waited for, or the like.
    #[error("the trial cannot begin: {0}")]
    Start(String),
}

/// Nothing was written in a file.
fn told(error: &PlanError) -> String {
    match error {
        PlanError::UnknownFeature { error, .. } => error.to_string(),
        PlanError::Contradiction {
            feature, dev, on, ..
        } => {
            let [one, other] = match on {
                true => ["on", "off"],
                false => ["off", "on"],
            };
            format!("{feature} of {dev} is to be {one}, and {other}")
        }
        other => other.to_string(),
    }
}
