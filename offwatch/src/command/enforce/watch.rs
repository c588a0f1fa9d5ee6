//! `offwatch enforce --watch`.

use std::path::PathBuf;

use super::planned::narrow;
use crate::{
    cli::enforce::EnforceArgs,
    enforce::{
        apply::{Enforcer, Settings},
        error::EnforceError,
        gather::Gatherer,
        input::{Input, InputError},
        kernel::Refusal,
        plan::{Plan, make},
        predict::negotiable,
        target::Targets,
        watch::{
            self, Limit, Live, Wanted,
            log::{Level, Log},
        },
    },
    error::Error,
    filter::Filter,
    inventory::features::Family,
    probe::can_change_interfaces,
    service::Service,
};

/// Keeps the policy applied until it is asked to end; the exit code.
pub(super) async fn run(args: &EnforceArgs, input: Input) -> Result<u8, Error> {
    if !can_change_interfaces() {
        return Err(EnforceError::Refused(Refusal::NotPermitted).into());
    }
    let log = Log::from_env();
    let kept = Kept {
        policy: args.policy.clone(),
        from: args.from.clone(),
        with_owners: !args.vm.is_empty(),
        filter: Filter::new(&args.vm, &args.dev)?,
        input,
    };
    let settings = Settings {
        policy_sha256: kept.input.sha256.clone(),
        ..Settings::new(&args.state_dir)
    };
    let (enforcer, recovered) = Enforcer::open(super::kernel()?, settings)?;
    for taken_back in &recovered.taken_back {
        let line = match &taken_back.untold {
            Some(error @ EnforceError::Untried(_)) => error.to_string(),
            _ => taken_back.line(),
        };
        log.line(Level::Warning, &line);
    }
    check(&kept.input, &enforcer)?;
    let limit = kept.limit();
    let negotiable = negotiable(enforcer.names());
    let gatherer = Gatherer::new(args.connect.clone());
    let mut live = Live::new(kept, enforcer, gatherer, log);
    let service = Service::from_env();
    // Without it rtnetlink tells that something changed.
    let family = Family::resolve().ok();
    watch::run(&mut live, family, negotiable, limit, service).await?;
    Ok(0)
}

/// A policy that wants to be confirmed must have been.
fn check(input: &Input, enforcer: &Enforcer) -> Result<(), EnforceError> {
    let wants = input.policy.as_ref();
    let wants = wants.filter(|(_, policy)| policy.confirm.is_some());
    match (wants, &input.sha256) {
        (Some((file, _)), Some(sha256)) if !enforcer.confirmed_before(sha256)? => {
            Err(EnforceError::Unconfirmed(file.clone()))
        }
        _ => Ok(()),
    }
}

/// What is wanted, where that is written, and of what it is wanted.
struct Kept {
    policy: Option<PathBuf>,
    from: Option<PathBuf>,
    /// It chooses VMs.
    with_owners: bool,
    filter: Filter,
    input: Input,
}

impl Kept {
    fn read(&self) -> Result<Input, InputError> {
        let (policy, from) = (self.policy.as_deref(), self.from.as_deref());
        if from.is_none_or(|from| from.as_os_str() != "-") {
            return Input::read(policy, from);
        }
        // What came by stdin cannot be read again.
        let mut input = match policy {
            Some(_) => Input::read(policy, None)?,
            None => return Ok(self.input.clone()),
        };
        input.advice.clone_from(&self.input.advice);
        Ok(input)
    }

    fn interfaces(
        &self,
        input: &Input,
        gatherer: &mut Gatherer,
        enforcer: &mut Enforcer,
    ) -> Result<Targets, InputError> {
        let needs = |targets: &Targets| {
            let mut needs = input.sources().needs(targets);
            needs.owners |= self.with_owners;
            needs
        };
        Ok(gatherer.targets(enforcer.kernel(), needs)?)
    }
}

impl Wanted for Kept {
    fn reload(&mut self, gatherer: &mut Gatherer, enforcer: &mut Enforcer) -> Result<(), Error> {
        let input = self.read()?;
        check(&input, enforcer)?;
        // Or it contradicts itself, or names what the kernel does not have.
        let targets = self.interfaces(&input, gatherer, enforcer)?;
        make(&targets, input.sources()).map_err(InputError::Plan)?;
        self.input = input;
        Ok(())
    }

    fn limit(&self) -> Limit {
        let policy = self.input.policy.as_ref();
        policy.map_or_else(Limit::default, |(_, policy)| Limit {
            burst: policy.watch.burst,
            per_minute: policy.watch.per_minute,
        })
    }

    fn sha256(&self) -> Option<String> {
        self.input.sha256.clone()
    }

    fn targets(&self, gatherer: &mut Gatherer, enforcer: &mut Enforcer) -> Result<Targets, Error> {
        Ok(self.interfaces(&self.input, gatherer, enforcer)?)
    }

    fn plan(&self, targets: &Targets) -> Result<Plan, Error> {
        let mut plan = make(targets, self.input.sources()).map_err(InputError::Plan)?;
        narrow(&mut plan, targets, &self.filter);
        Ok(plan)
    }
}
