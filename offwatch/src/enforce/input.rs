//! What a run is given: a policy, an advice or both, and the plan that they make.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    from_advice::{AdviceError, FromAdvice},
    gather::{GatherError, Gatherer},
    kernel::Kernel,
    plan::{Plan, PlanError, Sources, make},
    policy::{
        Policy,
        file::{self, FileError, LARGEST_ADVICE},
    },
    target::Targets,
};
use crate::cli::enforce::POLICY_FILE;

/// How stdin is named to the user.
const STDIN: &str = "stdin";

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Neither is there a policy nor was an advice given.
    #[error("there is no {POLICY_FILE}; write one, or name another with --policy or --from")]
    NoPolicy,
    /// A policy from stdin: nobody could say who wrote it.
    #[error("a policy is a file that root owns; --policy - is not read (--from - is)")]
    PolicyOfStdin,
    /// What was given is no advice.
    #[error("{}: {error}", path.display())]
    Advice {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        error: AdviceError,
    },
    /// The rules make no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Interfaces are not known.
    #[error(transparent)]
    Gather(#[from] GatherError),
}

/// What a run is given.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The policy, and its file as the user named it.
    pub policy: Option<(String, Policy)>,
    /// The advice.
    pub advice: Option<FromAdvice>,
    /// SHA-256 of the policy, else of the advice, in hexadecimal.
    pub sha256: Option<String>,
}

impl Input {
    /// Reads what the command line names; without a name, the policy of this host.
    /// An advice of `-` is read from stdin.
    pub fn read(policy: Option<&Path>, from: Option<&Path>) -> Result<Self, InputError> {
        if policy.is_some_and(|path| path.as_os_str() == "-") {
            return Err(InputError::PolicyOfStdin);
        }
        let mut input = Self::default();
        let default = from.is_none().then_some(Path::new(POLICY_FILE));
        if let Some(path) = policy.or(default) {
            let read = file::policy(path).map_err(|error| match error {
                FileError::Io { source, .. }
                    if policy.is_none() && source.kind() == io::ErrorKind::NotFound =>
                {
                    InputError::NoPolicy
                }
                error => error.into(),
            });
            let (policy, sha256) = read?;
            input.policy = Some((path.display().to_string(), policy));
            input.sha256 = Some(sha256);
        }
        if let Some(path) = from {
            let (path, found) = match path.as_os_str() == "-" {
                true => {
                    let path = Path::new(STDIN);
                    (
                        path,
                        file::bounded(io::stdin().lock(), path, LARGEST_ADVICE)?,
                    )
                }
                false => (path, file::trusted(path, LARGEST_ADVICE)?),
            };
            let advice = FromAdvice::parse(&path.display().to_string(), &found.bytes);
            input.advice = Some(advice.map_err(|error| InputError::Advice {
                path: path.to_owned(),
                error,
            })?);
            input.sha256.get_or_insert(found.sha256);
        }
        Ok(input)
    }

    /// Where it is said what is wanted.
    pub fn sources(&self) -> Sources<'_> {
        Sources {
            policy: self.policy.as_ref().map(|(file, policy)| (&**file, policy)),
            advice: self.advice.as_ref(),
        }
    }

    /// The plan for the interfaces of this network namespace, and these. Must run on
    /// a tokio runtime. `with_owners`: also if the plan does not depend on VMs.
    pub fn plan(
        &self,
        gatherer: &mut Gatherer,
        kernel: &mut dyn Kernel,
        with_owners: bool,
    ) -> Result<(Plan, Targets), InputError> {
        let sources = self.sources();
        let targets = gatherer.targets(kernel, |targets| {
            let mut needs = sources.needs(targets);
            needs.owners |= with_owners;
            needs
        })?;
        Ok((make(&targets, sources)?, targets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_file() {
        let error = Input::read(Some(Path::new("-")), None).expect_err("no file");
        assert!(
            error.to_string().starts_with("a policy is a file"),
            "{error}"
        );
    }
}
